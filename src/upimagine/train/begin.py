"""Begin with a model that exists already: its networks, and how it came to be, for the new model's story."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.models.file import ModelFile, load_model_file

#: What an option may add that an older model lacks; it begins as it is made.
_NEW = re.compile(r"spread\.usual|recall\.codes|residual\.\d+\..*")

#: What belongs to the pictures that a model has learned from: worth nothing to one that learns from others.
_OWN = "recall."


def begin_with(path: Path, main: nn.Module, critic: nn.Module) -> dict[str, Any]:
    """Load the weights of a model file into both networks (the second if it has one); gives back where they came from.

    A convolution that takes fewer channels here than there (a guide left away) drops the last ones, one that takes more
    (a guide added) begins with zeros for them. Raises UpimagineError for a file that is no model or has other layers.
    """
    model = load_model_file(path)
    for net, old in ((main, model.main), (critic, model.critic)):
        if old is None:
            continue
        wanted = net.state_dict()
        try:
            fitted = {
                key: _fitted(value, wanted.get(key))
                for key, value in old.state_dict().items()
                if not key.startswith(_OWN) or (key in wanted and value.shape == wanted[key].shape)
            }
            net.load_state_dict({key: wanted[key] for key in wanted if _NEW.fullmatch(key)} | fitted)
        except RuntimeError as error:
            raise UpimagineError(
                f"--init-from {path} does not fit: give the sizes, widths and kinds of network it was made with"
            ) from error
    return origin_of(model)


def origin_of(model: ModelFile) -> dict[str, Any]:
    """What the story of a new model tells of the one it began with."""
    told = {name: model.story[name] for name in ("kimg", "hours", "begun_from") if name in model.story}
    return {"model": model.path.name, "sha256": model.sha256} | told


def _fitted(value: Tensor, wanted: Tensor | None) -> Tensor:
    """A convolution's weights for as many input channels as there are now."""
    if wanted is None or not value.dim() == wanted.dim() == 4:
        return value
    missing = max(wanted.shape[1] - value.shape[1], 0)
    return F.pad(value[:, : wanted.shape[1]], (0, 0, 0, 0, 0, missing))
