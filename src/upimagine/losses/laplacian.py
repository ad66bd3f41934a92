"""Laplacian-pyramid L1 with a weight a level: between comparing everything and only what the pooled picture shows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def laplacian_pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    """(N, C, H, W) to `levels` maps, the finest first: x - blur(x) at H, H/2, ..., and last what is left.

    5-tap binomial blur with replicated edges, then 2x2 means, as in tneumann/minimal_glo (after GLO, Bojanowski et al.
    2017, 1707.05776). Raises ValueError when the sides do not halve so often.
    """
    height, width = pictures.shape[2:]
    if levels < 1 or height % 2 ** (levels - 1) or width % 2 ** (levels - 1):
        raise ValueError(f"pictures of {width}x{height} px have no pyramid of {levels} levels")
    maps = []
    x = pictures.float()
    for _ in range(levels - 1):
        blurred = _blur(x)
        maps.append(x - blurred)
        x = F.avg_pool2d(blurred, 2)
    return [*maps, x]


def laplacian_l1(output: Tensor, truth: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum of the mean |difference| of each level, `weights` from the finest to the coarsest one.

    With means each level weighs alike, which is GLO's 2^2j on sums. (0, 0, 0, 1) on 256 px compares, like the J-net's
    low-res L1, what is left at 32 px.
    """
    total = output.new_zeros((), dtype=torch.float32)
    pairs = zip(laplacian_pyramid(output, len(weights)), laplacian_pyramid(truth, len(weights)), strict=True)
    for weight, (ours, theirs) in zip(weights, pairs, strict=True):
        if weight:
            total = total + weight * (ours - theirs).abs().mean()
    return total


def _blur(x: Tensor) -> Tensor:
    """(N, C, H, W) by [1 4 6 4 1] / 16 along both sides."""
    channels = x.shape[1]
    taps = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    across = F.conv2d(padded, taps.view(1, 1, 1, 5).expand(channels, 1, 1, 5), groups=channels)
    return F.conv2d(across, taps.view(1, 1, 5, 1).expand(channels, 1, 5, 1), groups=channels)
