"""Begin with a model that exists already: its networks, and how it came to be, for the new model's story."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file


def begin_with(path: Path, main: nn.Module, critic: nn.Module) -> dict[str, Any]:
    """Load the weights of a model file into both networks (the second if it has one); gives back where they came from.

    A first convolution that takes fewer channels here than there (a guide left away) drops the last ones. Raises
    UpimagineError for a file that is no model or has other layers.
    """
    model = load_model_file(path)
    for net, old in ((main, model.main), (critic, model.critic)):
        if old is None:
            continue
        wanted = net.state_dict()
        try:
            net.load_state_dict({key: _fitted(value, wanted.get(key)) for key, value in old.state_dict().items()})
        except RuntimeError as error:
            raise UpimagineError(
                f"--init-from {path} does not fit: give the widths and sizes it was made with"
            ) from error
    told = {name: model.story[name] for name in ("kimg", "hours", "begun_from") if name in model.story}
    return {"model": path.name, "sha256": model.sha256} | told


def _fitted(value: Tensor, wanted: Tensor | None) -> Tensor:
    """A convolution's weights without the input channels that are not there any more."""
    if wanted is not None and value.dim() == wanted.dim() == 4 and value.shape[1] > wanted.shape[1]:
        return value[:, : wanted.shape[1]]
    return value
