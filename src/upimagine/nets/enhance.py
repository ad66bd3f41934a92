"""EnhanceGAN: tiny pictures to four times their side through codes, a second autoencoder and a refiner.

After the EnhanceGAN post (seed 004): model A, 8x8 to 32x32; model B, 32x32 to 32x32 and one level deeper, fed by A;
model C, six residual blocks without scaling. Layer widths are ours, where the post is silent.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.equalised import widened
from upimagine.nets.shapes import assert_shape

Stages = Literal["a", "ab", "abc"]
_SCALE = 4
_DECODER_PX = 4  # side of the map that the decoder begins with
_WIDEST = 8  # channels of the deepest layers, in widths
_BLOCKS = 6
_SLOPE = 0.2


class Autoencoder(nn.Module):
    """Model A (`high_px` four times `low_px`) or B (both equal): (N, 3, low, low) in [-1, 1] to a picture and a code.

    The encoder halves the side down to 2 px, behind a convolution that keeps it, where the picture grows, and down to
    4 px where it does not; the decoder doubles from 4 px. Batch norm, LeakyReLU 0.2 before the code, ReLU behind it.
    The picture leaves a sigmoid, here stretched to [-1, 1]. Deconvolutions begin as nearest neighbours and a 3x3
    convolution, so that no chequerboard has to be unlearned. With width 64 and a code of 128, A (8 to 32 px) has
    4,593,923 parameters and B (32 px) 4,988,483.
    """

    def __init__(self, low_px: int, high_px: int, width: int = 64, code_dim: int = 128) -> None:
        super().__init__()
        self.low_px, self.high_px = low_px, high_px
        layers: list[nn.Module] = []
        channels, side_px, least_px = 3, low_px, _DECODER_PX
        if low_px < high_px:
            layers += [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE)]
            channels, least_px = width, 2
        while side_px > least_px:
            wider = min(2 * channels if channels > 3 else width, _WIDEST * width)
            layers += [nn.Conv2d(channels, wider, 4, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.LeakyReLU(_SLOPE)]
            channels, side_px = wider, side_px // 2
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side_px**2, code_dim))

        doublings = (high_px // _DECODER_PX).bit_length() - 1
        widths = [max(_WIDEST * width >> step, width) for step in range(doublings + 1)]
        self.begin = nn.Linear(code_dim, widths[0] * _DECODER_PX**2, bias=False)
        layers = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for before, after in itertools.pairwise(widths):
            layers += [_deconvolution(before, after), nn.BatchNorm2d(after), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 3, 1, 1))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, low, low) in [-1, 1] to (N, 3, high, high) in [-1, 1] and (N, code_dim)."""
        code: Tensor = self.encoder(pictures)
        deep = self.begin(code).unflatten(1, (-1, _DECODER_PX, _DECODER_PX))
        return 2 * self.decoder(deep).sigmoid() - 1, code


def _deconvolution(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    small = torch.empty(inputs, outputs, 3, 3)
    nn.init.kaiming_uniform_(small.transpose(0, 1), nonlinearity="relu")
    with torch.no_grad():
        layer.weight.copy_(widened(small))
    return layer


class Refiner(nn.Module):
    """Model C: six residual blocks of two convolutions without norm (EDSR's form, Lim et al. 2017, 1707.02921).

    A ReLU after every block but the last, as the post has it. What comes out is added to what went in and begins as
    nothing, so that a new C changes nothing.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
            for _ in range(_BLOCKS)
        )
        self.last = nn.Conv2d(width, 3, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, h, w) in [-1, 1] to the same."""
        x = self.first(pictures)
        for number, block in enumerate(self.blocks):
            x = x + block(x)
            if number < _BLOCKS - 1:
                x = F.relu(x)
        refined: Tensor = self.last(x)
        return (pictures + refined).clamp(-1, 1)


@dataclass(frozen=True)
class Enhanced:
    """What every model of a chain made."""

    pictures: list[Tensor]
    """Of A, B and C, as far as the chain goes: (N, 3, high, high) in [-1, 1]."""
    codes: list[Tensor]
    """Of A and B: (N, code_dim)."""


class EnhanceGan(nn.Module):
    """The chain: (N, 3, low, low) in [-1, 1] to (N, 3, 4 low, 4 low), through A, then B, then C.

    `stages` says how far it goes. The parts named in `frozen` keep to evaluation mode and get no gradients.
    """

    def __init__(self, low_px: int = 8, width: int = 64, code_dim: int = 128, stages: Stages = "abc") -> None:
        super().__init__()
        if low_px < 4 or low_px & (low_px - 1):
            raise ValueError(f"low_px of {low_px} is not defined; choose 4, 8, 16, 32 or 64")
        self.scale, self.window_px, self.guide_channels = _SCALE, low_px, 0
        self.config = {"low_px": low_px, "width": width, "code_dim": code_dim, "stages": stages}
        self.high_px = high_px = _SCALE * low_px
        self.frozen: tuple[str, ...] = ()
        self.a = Autoencoder(low_px, high_px, width, code_dim)
        self.b = Autoencoder(high_px, high_px, width, code_dim) if "b" in stages else None
        self.c = Refiner(width) if "c" in stages else None

    def enhance(self, low: Tensor) -> Enhanced:
        """What each model makes."""
        assert_shape(low, None, 3, self.window_px, self.window_px, name="low")
        picture, code = self.a(low.to(self.a.begin.weight.dtype))
        if "a" in self.frozen:
            picture, code = picture.detach(), code.detach()
        pictures, codes = [picture], [code]
        if self.b is not None:
            picture, code = self.b(picture)
            if "b" in self.frozen:
                picture, code = picture.detach(), code.detach()
            pictures.append(picture)
            codes.append(code)
        if self.c is not None:
            pictures.append(self.c(picture))
        return Enhanced(pictures, codes)

    def forward(self, low: Tensor) -> Tensor:
        """(N, 3, low, low) to (N, 3, 4 low, 4 low), both in [-1, 1]."""
        return self.enhance(low).pictures[-1]

    def train(self, mode: bool = True) -> EnhanceGan:
        """Training mode for all but what is frozen."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).train(False)
        return self


class CodeDiscriminator(nn.Module):
    """Tells codes from normal vectors (Makhzani et al. 2015, 1511.05644): (N, code_dim) to (N,) logits."""

    def __init__(self, code_dim: int = 128, width: int = 512) -> None:
        super().__init__()
        self.config = {"code_dim": code_dim, "width": width}
        self.layers = nn.Sequential(
            nn.Linear(code_dim, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, 1),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """(N, code_dim) to (N,) logits."""
        logits: Tensor = self.layers(codes)
        return logits.flatten()


class PictureDiscriminator(nn.Module):
    """Tells made pictures from real ones: halves the side down to 4 px, then one logit, (N, 3, s, s) to (N,)."""

    def __init__(self, size_px: int = 32, width: int = 64) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "width": width}
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        channels, side_px = width, size_px // 2
        while side_px > _DECODER_PX:
            wider = min(2 * channels, _WIDEST * width)
            layers += [nn.Conv2d(channels, wider, 4, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.LeakyReLU(_SLOPE)]
            channels, side_px = wider, side_px // 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, _DECODER_PX))

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, s, s) in [-1, 1] to (N,) logits."""
        logits: Tensor = self.layers(pictures)
        return logits.flatten()
