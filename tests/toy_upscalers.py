"""Upscalers made of one function each, and a short way to render with them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.render.enlarge import MemorySink, Report, Settings, enlarge
from upimagine.roles import Critic, Upscaler


class Net:
    """An upscaler made of one function; counts its calls."""

    radius_px: int | None = None

    def __init__(self, enlarging: Callable[[Tensor], Tensor], scale: int, window_px: int, guide_channels: int = 0):
        self.enlarging, self.scale, self.window_px, self.guide_channels = enlarging, scale, window_px, guide_channels
        self.calls = 0

    def upscale(self, tiles: Tensor) -> Tensor:
        assert tiles.shape[1:] == (3 + self.guide_channels, self.window_px, self.window_px)
        self.calls += 1
        return self.enlarging(tiles)


def nearest(scale: int = 4, window_px: int = 8, guide_channels: int = 0) -> Net:
    return Net(lambda x: F.interpolate(x[:, :3], scale_factor=scale, mode="nearest"), scale, window_px, guide_channels)


def inventing(scale: int = 4, window_px: int = 8) -> Net:
    """Texture that depends on the whole tile, row by row: what a net with a global field does."""

    def enlarging(tiles: Tensor) -> Tensor:
        base = F.interpolate(tiles[:, :3], scale_factor=scale, mode="bilinear")
        phase = torch.arange(window_px * scale, dtype=torch.float32)
        weights = torch.linspace(0, 9, window_px**2 * 3)
        pitch = (tiles[:, :3].flatten(1) * weights).sum(1).view(-1, 1, 1, 1)
        return base + 0.1 * torch.sin(phase * pitch) * torch.cos(phase.view(-1, 1) * (pitch + 1))

    return Net(enlarging, scale, window_px)


def plane(height: int = 20, width: int = 27, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def render(
    low: Tensor, net: Upscaler, settings: Settings, guide: Tensor | None = None, critic: Critic | None = None
) -> tuple[Tensor, Report]:
    sink = MemorySink()
    report = enlarge(low, net, guide=guide, critic=critic, settings=settings, sink=sink)
    return sink.picture(), report


PLAIN = Settings(stride_px=5, feather_px=6)


class Wishing:
    """A critic made of one function."""

    def __init__(self, wish: Callable[[Tensor, Tensor], Tensor]):
        self.wish = wish

    def score(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None
        return self.wish(pictures, context)
