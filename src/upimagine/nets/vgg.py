"""VGG16 up to relu4_3 (Simonyan & Zisserman 2014, 1409.1556): the eye behind the perceptual loss and the distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from upimagine.errors import UpimagineError

# Channels of each convolution; 0 is a 2x2 max pool. Position in the Sequential gives torchvision's key names.
_PLAN = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512)

LAYER_INDEX = {
    "relu1_1": 1,
    "relu1_2": 3,
    "relu2_1": 6,
    "relu2_2": 8,
    "relu3_1": 11,
    "relu3_2": 13,
    "relu3_3": 15,
    "relu4_1": 18,
    "relu4_2": 20,
    "relu4_3": 22,
}
"""Layer name to its index in ``Vgg16Features.features``, as torchvision counts."""

DEFAULT_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
"""The last activation of each block before it is pooled."""


class Vgg16Features(nn.Module):
    """Feature maps of VGG16, frozen, with torchvision's key names (``features.{i}.weight`` and ``.bias``).

    Input is (N, 3, H, W) in [-1, 1]; the ImageNet normalisation ((x + 1) / 2 - mean) / std happens inside. A map of
    block b is (N, C, H >> (b - 1), W >> (b - 1)) with C = 64, 128, 256, 512 and is never negative. A new one has random
    weights; `load_vgg16` fills it from a file. Weights take no gradient, the input does.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        before = 3
        for channels in _PLAN:
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

    def forward(self, pictures: Tensor, layers: Sequence[str] = DEFAULT_LAYERS) -> dict[str, Tensor]:
        """(N, 3, H, W) in [-1, 1] to one map a layer asked for; computes no deeper than the deepest of them.

        Raises ValueError on a layer that VGG16 has not, or a picture that is not RGB.
        """
        unknown = sorted(set(layers) - set(LAYER_INDEX))
        if unknown or not layers:
            raise ValueError(f"unknown VGG16 layers {unknown}: choose from {', '.join(LAYER_INDEX)}")
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(f"VGG16 wants (N, 3, H, W), got {tuple(pictures.shape)}")
        wanted = {LAYER_INDEX[name]: name for name in layers}
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


def load_vgg16(path: str | Path) -> Vgg16Features:
    """VGG16 features from a ``.safetensors`` file with torchvision's key names, any float dtype; float32 comes back.

    A file of the whole of VGG16 serves too: what lies deeper than relu4_3 is not read. Raises UpimagineError, naming
    the file, when there is none, when it is not safetensors, or when it holds another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UpimagineError(
            f"{path}: no such file; give VGG16 weights with torchvision's key names as .safetensors, "
            f"or go on without the perceptual loss"
        )
    network = Vgg16Features()
    wanted = network.state_dict()
    found: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            present = set(file.keys())
            for name, tensor in wanted.items():
                if name not in present:
                    raise UpimagineError(f"{path}: not VGG16 ({name} is missing); give torchvision's VGG16 weights")
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(tensor.shape):
                    raise UpimagineError(
                        f"{path}: not VGG16 ({name} is {shape}, should be {tuple(tensor.shape)}); "
                        f"give torchvision's VGG16 weights"
                    )
                found[name] = file.get_tensor(name).float()
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UpimagineError(
            f"{path}: not a readable .safetensors file ({reason}); fetch or convert it anew"
        ) from error
    network.load_state_dict(found)
    return network
