"""Toy nets, untrained, of the shapes of RRDBNet and SRResNet, for the benchmark of the render engine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dense(nn.Module):
    """Residual-in-residual dense block of RRDBNet (Wang et al. 2018, 1809.00219)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(width + layer * growth, growth if layer < 4 else width, 3, 1, 1) for layer in range(5)
            )
            for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        start = x
        for layers in self.blocks:
            seen = [x]
            for layer in list(layers)[:-1]:
                seen.append(F.leaky_relu(layer(torch.cat(seen, 1)), 0.2))
            x = x + 0.2 * layers[-1](torch.cat(seen, 1))
        return start + 0.2 * x


class Residual(nn.Module):
    """Of SRResNet, without batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Net:
    """A module as an upscaler with a finite radius."""

    guide_channels, align_px = 0, 1

    def __init__(self, module: nn.Module, radius_px: int | None, window_px: int, scale: int = 4) -> None:
        self.module = module.eval().to(memory_format=torch.channels_last)
        self.radius_px, self.window_px, self.scale = radius_px, window_px, scale

    def upscale(self, tiles: Tensor) -> Tensor:
        return self.module(tiles.to(next(self.module.parameters()).dtype)).float()


def rrdb(blocks: int = 6, width: int = 64, growth: int = 32) -> nn.Module:
    torch.manual_seed(0)
    ends = [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
    more = [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
    body = [Dense(width, growth) for _ in range(blocks)]
    return nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), *body, *ends, *more, nn.Conv2d(width, 3, 3, 1, 1))


def srresnet(blocks: int = 4, width: int = 32) -> nn.Module:
    torch.manual_seed(0)
    ups = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
    more = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
    body = [Residual(width) for _ in range(blocks)]
    return nn.Sequential(nn.Conv2d(3, width, 9, 1, 4), *body, *ups, *more, nn.Conv2d(width, 3, 9, 1, 4))
