"""A second stage that paints a generator's small picture anew, larger: StackGAN's idea (Zhang et al. 2016, 1612.03242).

Layers follow stage II of the authors' code (hanzhanggit/StackGAN, stageII/model.py): an encoder of the small picture, a
code tiled over its map, residual blocks, and nearest-neighbour steps up. Where this network differs: the code comes
from the latent, for there is no text; the encoder's maps are added to those of the same extent on the way up; and what
comes out is added to the small picture enlarged, so that it begins with that and learns what to correct.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.began import BeganGenerator
from upimagine.nets.dcgan import DcganGenerator, init_weights
from upimagine.nets.fastgan import FastganGenerator, UpConv
from upimagine.nets.pggan import PgganGenerator
from upimagine.nets.shapes import assert_shape

TIMES = (2, 4)
LARGEST_PX = 1024
_SMALLEST_PX = 16  # whose quarter is still a map


def _normed(conv: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _down(inputs: int, outputs: int) -> nn.Sequential:
    """To half the extent."""
    return _normed(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), outputs)


class _Residual(nn.Module):
    """Two convolutions whose result is added (hanzhanggit/StackGAN, ResBlock)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _normed(nn.Conv2d(channels, channels, 3, padding=1, bias=False), channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.change(x))


class SecondStage(nn.Module):
    """A small picture, and the latent it was made from, to a picture two or four times as large.

    Args:
        times: 2 or 4.
        latent_dim: length of the latent vector.
        width: channels of the map that is as large as the small picture; 128 in the authors' code.
        blocks: residual blocks at a quarter of the small picture's side; 4 in the authors' code.
    """

    def __init__(self, times: int, latent_dim: int, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        if times not in TIMES:
            raise ValueError(f"a second stage x{times} is not defined; choose one of {TIMES}")
        self.times, self.latent_dim = times, latent_dim
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(inplace=True))
        self.to_half, self.to_quarter = _down(width, 2 * width), _down(2 * width, 4 * width)
        self.code = nn.Sequential(nn.Linear(latent_dim, 4 * width), nn.LeakyReLU(0.2, inplace=True))
        self.join = _normed(nn.Conv2d(8 * width, 4 * width, 3, padding=1, bias=False), 4 * width)
        self.blocks = nn.Sequential(*(_Residual(4 * width) for _ in range(blocks)))
        widths = [4 * width, 2 * width, width, *(max(width >> step, 4) for step in range(1, times.bit_length()))]
        self.up = nn.ModuleList(_normed(UpConv(before, after), after) for before, after in pairwise(widths))
        self.colours = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.apply(init_weights)

    def forward(self, latents: Tensor, small: Tensor) -> Tensor:
        """(N, latent_dim) and (N, 3, s, s) in [-1, 1], s a multiple of 4, to (N, 3, times s, times s) in [-1, 1]."""
        assert_shape(latents, None, self.latent_dim, name="latents")
        assert_shape(small, len(latents), 3, None, None, name="small")
        stored = self.colours.weight.dtype
        whole = self.stem(small.to(stored))
        half = self.to_half(whole)
        x = self.to_quarter(half)
        code = self.code(latents.to(stored))[:, :, None, None].expand(-1, -1, *x.shape[2:])
        x = self.blocks(self.join(torch.cat((x, code.to(x.dtype)), dim=1)))
        for up, beside in zip(self.up, (half, whole, None, None), strict=False):
            x = up(x) if beside is None else up(x) + beside
        with torch.autocast(small.device.type, enabled=False):
            enlarged = F.interpolate(small.float(), scale_factor=self.times, mode="bicubic")
        large: Tensor = (enlarged + self.colours(x).float()).clamp(-1, 1)
        return large


class StackGenerator(nn.Module):
    """A generator and the second stage behind it, as one generator. In evaluation mode a picture depends on its latent
    alone.

    Args:
        first: the first stage's {"architecture": name, "config": its arguments}; it may be such a stack itself.
        size_px: side of the picture, two or four times the first stage's.
        width: of the second stage.
        blocks: of the second stage.
    """

    def __init__(self, first: dict[str, Any], size_px: int, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        kinds: dict[str, type[nn.Module]] = FIRST_STAGES | {"stack": StackGenerator}
        name, config = first.get("architecture"), first.get("config")
        if name not in kinds or not isinstance(config, dict):
            raise ValueError(f"{name!r} is no first stage; choose one of {', '.join(kinds)}")
        # Before anything is built: each stage inside is smaller, so that a file cannot nest them without end.
        small_px = stage_px(config.get("size_px"), size_px)
        self.first: Any = kinds[name](**config)
        self.latent_dim = int(self.first.latent_dim)  # type: ignore[arg-type]
        self.size_px, self.classes = size_px, tuple(getattr(self.first, "classes", ()))
        self.config = {"first": {"architecture": name, "config": config}, "size_px": size_px}
        self.config |= {"width": width, "blocks": blocks}
        self.second = SecondStage(size_px // small_px, self.latent_dim, width, blocks)

    @property
    def truncates(self) -> bool:
        """Whether the first stage can pull its pictures to the usual ones; see `truncated`."""
        return isinstance(self.first, PgganGenerator) or (
            isinstance(self.first, StackGenerator) and self.first.truncates
        )

    def forward(self, latents: Tensor) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px) in [-1, 1]."""
        large: Tensor = self.second(latents, self.first(latents))
        return large

    def truncated(self, latents: Tensor, truncation: float) -> Tensor:
        """As `forward`, from a first stage's picture that is pulled to the usual one (`PgganGenerator.truncated`)."""
        large: Tensor = self.second(latents, self.first.truncated(latents, truncation))
        return large


def stage_px(small_px: object, size_px: int) -> int:
    """`small_px`, if a second stage can make `size_px` of it. Raises ValueError, in words, if not."""
    if not isinstance(small_px, int) or small_px % 4 or small_px < _SMALLEST_PX:
        raise ValueError(f"a first stage of {small_px} px cannot be: it takes {_SMALLEST_PX} px or more, by fours")
    if size_px not in [times * small_px for times in TIMES] or size_px > LARGEST_PX:
        raise ValueError(f"no second stage makes {size_px} px of {small_px} px: x2 or x4, up to {LARGEST_PX} px")
    return small_px


FIRST_STAGES: dict[str, type[nn.Module]] = {
    "began": BeganGenerator,
    "dcgan": DcganGenerator,
    "fastgan": FastganGenerator,
    "pggan": PgganGenerator,
}
"""Generators that a second stage can stand on, by the names of their architectures."""
