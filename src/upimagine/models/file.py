"""One `.safetensors` file that describes itself: networks, their configuration and the model's whole story."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from upimagine.errors import UpimagineError
from upimagine.models.architectures import ARCHITECTURES, architecture_of
from upimagine.models.builtin import find
from upimagine.pixels.atomic import write_bytes

FORMAT = 1
KEY = "upimagine"
Role = Literal["generator", "upscaler", "translator"]


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds."""

    path: Path
    role: Role
    main: nn.Module  # in evaluation mode, float32
    critic: nn.Module | None  # the discriminator it was trained against, for choosing candidates
    story: dict[str, Any]  # training settings, data, licence, scores
    sha256: str  # of the file


def save_model(
    path: Path, role: Role, main: nn.Module, critic: nn.Module | None, story: dict[str, Any], half: bool = True
) -> None:
    """Write the model whole or not at all; with `half` weight matrices are stored as float16."""
    tensors: dict[str, Tensor] = {}
    nets: dict[str, Any] = {}
    for name, net in (("main", main), ("critic", critic)):
        if net is None:
            continue
        architecture, config = architecture_of(net)
        nets[name] = {"architecture": architecture, "config": config}
        for key, value in net.state_dict().items():
            stored = value.detach().cpu().contiguous()
            # Only the large tensors: batch-norm variances can be too small for float16.
            tensors[f"{name}.{key}"] = (
                stored.half() if half and stored.is_floating_point() and stored.dim() > 1 else stored
            )
    header = {"format": FORMAT, "role": role, "nets": nets, "story": story}
    write_bytes(path, save(tensors, {KEY: json.dumps(header, sort_keys=True)}), overwrite=True)


def read_header(path: Path) -> dict[str, Any]:
    """The description alone, without weights. Raises UpimagineError for what is not a model file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise UpimagineError(f"{path} does not exist; `upimagine models` lists the built-in models") from error
    except (SafetensorError, OSError) as error:
        raise UpimagineError(f"{path} is not a sound model file ({error}); get it anew or train it again") from error
    if KEY not in metadata:
        raise UpimagineError(f"{path} is a safetensors file but not an upimagine model; import it first")
    try:
        header: dict[str, Any] = json.loads(metadata[KEY])
        found = header["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise UpimagineError(f"{path} has a damaged description; get it anew or train it again") from error
    if found != FORMAT:
        raise UpimagineError(f"{path} has model format {found}, this version reads {FORMAT}; update upimagine")
    return header


class _Unfilled(TorchFunctionMode):
    """Leaves out first random weights, which a file replaces; "meta" tensors would load PyTorch's compiler, seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def load_model_file(model: str | Path) -> ModelFile:
    """Build the networks that a built-in model, or a file, names and fill them. Nothing in the file is executed.

    Raises UpimagineError naming the file when it is missing, damaged, of another format or does not fit its own
    description.
    """
    path = find(model)
    header = read_header(path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    tensors: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a dict)
            tensors[key] = file.get_tensor(key)
    try:
        nets = {name: (str(net["architecture"]), dict(net["config"])) for name, net in header["nets"].items()}
        role, story = header["role"], dict(header["story"])
        nets["main"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UpimagineError(f"{path} has a damaged description; get it anew or train it again") from error
    built: dict[str, nn.Module] = {}
    for name, (architecture, config) in nets.items():
        kind = ARCHITECTURES.get(architecture)
        if kind is None:
            raise UpimagineError(f"{path} needs the architecture {architecture!r}; update upimagine")
        keys = [key for key in tensors if key.startswith(f"{name}.")]
        mine = {key.removeprefix(f"{name}."): tensors.pop(key) for key in keys}
        try:
            with _Unfilled():
                net = kind(**config)
            net.load_state_dict(mine)  # copies into float32
        except (TypeError, ValueError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise UpimagineError(f"{path} does not fit its own description ({first}); get it anew") from error
        built[name] = net.eval().requires_grad_(False)
    return ModelFile(path, role, built["main"], built.get("critic"), story, sha256)
