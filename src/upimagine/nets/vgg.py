"""VGG16 and VGG19 (Simonyan & Zisserman 2014, 1409.1556): the eye behind the perceptual loss and the distances."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from upimagine.errors import UpimagineError

Depth = Literal[16, 19]

# Channels of each convolution; 0 is a 2x2 max pool. Position in the Sequential gives torchvision's key names.
_PLANS: dict[Depth, tuple[int, ...]] = {
    16: (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512),  # what lies deeper serves nobody here
    19: (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512),
}


def _layer_index(plan: Sequence[int]) -> dict[str, int]:
    """Layer name to its index in ``VggFeatures.features``, as torchvision counts."""
    found: dict[str, int] = {}
    block, number, index = 1, 0, 0
    for channels in plan:
        if channels == 0:
            block, number, index = block + 1, 0, index + 1
            continue
        number, index = number + 1, index + 2
        found[f"relu{block}_{number}"] = index - 1
    return found


LAYER_INDEX = _layer_index(_PLANS[16])
DEFAULT_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
"""Of VGG16, by which pictures are measured: the last activation of each block before it is pooled."""

#: A key that only this network has, and how the SHA-256 of torchvision's own file begins (it is in the file's name).
_MARKS: dict[Depth, str] = {19: "features.16.weight", 16: "features.17.weight"}
_DOWNLOADS: dict[str, Depth] = {"397923af": 16, "dcbb9e9d": 19}


class VggFeatures(nn.Module):
    """Feature maps of a VGG, frozen, with torchvision's key names (``features.{i}.weight`` and ``.bias``).

    Input is (N, 3, H, W) in [-1, 1]; the ImageNet normalisation ((x + 1) / 2 - mean) / std happens inside. A map of
    block b is (N, C, H >> (b - 1), W >> (b - 1)) with C = 64, 128, 256, 512, 512 and is never negative. A new one has
    random weights; `load_vgg` fills it from a file. Weights take no gradient, the input does. VGG16 goes up
    to relu4_3, VGG19 to relu5_4.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, depth: Depth = 16) -> None:
        super().__init__()
        self.depth = depth
        self.layer_index = _layer_index(_PLANS[depth])
        last = {name.partition("_")[0]: name for name in self.layer_index}
        #: The last activation of each of the first four blocks before it is pooled.
        self.block_ends = tuple(last[f"relu{block}"] for block in (1, 2, 3, 4))
        steps: list[nn.Module] = []
        before = 3
        for channels in _PLANS[depth]:
            if channels == 0:
                steps.append(nn.MaxPool2d(2))
                continue
            steps += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
            before = channels
        self.features = nn.Sequential(*steps)
        # Not persistent: the state dict then holds torchvision's keys and nothing else.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(N, 3, H, W) in [-1, 1] to one map a layer asked for (`block_ends`); computes no deeper than the deepest.

        Raises ValueError on a layer that the network has not, or a picture that is not RGB.
        """
        layers = self.block_ends if layers is None else layers
        unknown = sorted(set(layers) - set(self.layer_index))
        if unknown or not layers:
            raise ValueError(f"unknown VGG{self.depth} layers {unknown}: choose from {', '.join(self.layer_index)}")
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(f"VGG{self.depth} wants (N, 3, H, W), got {tuple(pictures.shape)}")
        wanted = {self.layer_index[name]: name for name in layers}
        deepest = max(wanted)
        maps: dict[str, Tensor] = {}
        x = ((pictures + 1) / 2 - self.mean) / self.std
        for index, step in enumerate(self.features):
            x = step(x)
            if index in wanted:
                maps[wanted[index]] = x
            if index == deepest:
                break
        return {name: maps[name] for name in layers}


class Vgg16Features(VggFeatures):
    """VGG16, by which pictures are measured."""

    def __init__(self) -> None:
        super().__init__(16)


def load_vgg(path: str | Path) -> VggFeatures:
    """VGG16 or VGG19, whichever the file holds under torchvision's key names; any float dtype, float32 comes back.

    A ``.safetensors`` file, or torchvision's own download (``vgg16-397923af.pth``, ``vgg19-dcbb9e9d.pth``), which is
    only opened, and then without executing anything, if its SHA-256 is the published one. VGG16 is not read deeper than
    relu4_3. Raises UpimagineError, naming the file, when there is none, when it is damaged, or holds another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UpimagineError(
            f"{path}: no such file; give VGG16 or VGG19 weights with torchvision's key names as .safetensors, "
            f"or go on without the perceptual loss"
        )
    with ExitStack() as keep:
        names, shape, tensor = _of_download(path) if path.suffix == ".pth" else _of_safetensors(path, keep)
        depth = next((depth for depth, mark in _MARKS.items() if mark in names), None)
        if depth is None:
            # What is missing tells more than that something is.
            gone = next((key for key in VggFeatures(16).state_dict() if key not in names), _MARKS[16])
            raise UpimagineError(f"{path}: not VGG16 or VGG19 ({gone} is missing); give torchvision's VGG weights")
        network = Vgg16Features() if depth == 16 else VggFeatures(19)
        found: dict[str, Tensor] = {}
        for name, wanted in network.state_dict().items():
            if name not in names:
                raise UpimagineError(
                    f"{path}: not VGG{depth} ({name} is missing); give torchvision's VGG{depth} weights"
                )
            if shape(name) != tuple(wanted.shape):
                raise UpimagineError(
                    f"{path}: not VGG{depth} ({name} is {shape(name)}, should be {tuple(wanted.shape)}); "
                    f"give torchvision's VGG{depth} weights"
                )
            found[name] = tensor(name).float()
    if not all(bool(value.isfinite().all()) for value in found.values()):
        raise UpimagineError(f"{path}: holds weights that are no numbers; fetch or convert it anew")
    network.load_state_dict(found)
    return network


def load_vgg16(path: str | Path) -> Vgg16Features:
    """`load_vgg`, refusing VGG19: figures are only alike when the eye is."""
    network = load_vgg(path)
    if not isinstance(network, Vgg16Features):
        raise UpimagineError(f"{path}: not VGG16 but VGG{network.depth}; figures are told by torchvision's VGG16")
    return network


_Opened = tuple[set[str], Callable[[str], tuple[int, ...]], Callable[[str], Tensor]]
"""Names in a weights file, and what gives a name's shape and its tensor."""


def _of_safetensors(path: Path, keep: ExitStack) -> _Opened:
    try:
        file = keep.enter_context(safe_open(path, framework="pt"))
        names = set(file.keys())
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UpimagineError(
            f"{path}: not a readable .safetensors file ({reason}); fetch or convert it anew"
        ) from error
    return names, lambda name: tuple(file.get_slice(name).get_shape()), file.get_tensor


def _of_download(path: Path) -> _Opened:
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found[:8] not in _DOWNLOADS:
        known = ", ".join(f"vgg{depth}-{begin}.pth" for begin, depth in _DOWNLOADS.items())
        raise UpimagineError(
            f"{path}: its SHA-256 begins with {found[:8]}, so it is none of torchvision's {known}; fetch it anew, "
            f"or give .safetensors"
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise UpimagineError(f"{path}: cannot be read ({type(error).__name__}); fetch it anew") from error
    return set(state), lambda name: tuple(state[name].shape), lambda name: state[name]
