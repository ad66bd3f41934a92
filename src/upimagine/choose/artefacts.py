"""What a generator does badly, as numbers: a pattern that repeats with its strides, and blotches of foreign colour."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.choose.features import oklab
from upimagine.losses.luma import luma

_PERIOD_PX = 8  # three layers of stride 2; it holds the periods 2 and 4, and JPEG's blocks, too
GRID_LEAST_PX = 3 * _PERIOD_PX + 2
"""The shorter side that `grid_score` needs."""
_BLOTCH_PLANE = 32
_SPOT, _AROUND = 3, 7  # cells of the plane: a spot of a tenth of the side, and what lies around it


def grid_score(pictures: Tensor) -> Tensor:
    """How free of a repeating grid: (N, 3, H, W) in [-1, 1] to (N,), about 0 without one, -1 for twice the energy.

    Transposed convolutions leave patterns with the period of their strides (Odena et al. 2016, "Deconvolution and
    Checkerboard Artifacts"). Luma less its 3x3 mean is folded onto one period of 8 px; minus the log2 of the
    variance of the 64 phase means, over what chance alone would leave of it, is the score. Raises ValueError under
    26 px a side.
    """
    if min(pictures.shape[-2:]) < GRID_LEAST_PX:
        raise ValueError(f"a grid is looked for in 26x26 px and more, got {tuple(pictures.shape)}")
    y = luma(pictures.float())
    fine = y[:, 1:-1, 1:-1] - F.avg_pool2d(y[:, None], 3, 1)[:, 0]
    rows, columns = (side // _PERIOD_PX for side in fine.shape[-2:])
    fine = fine[:, : rows * _PERIOD_PX, : columns * _PERIOD_PX]
    limit = 4 * fine.abs().flatten(1).median(1).values[:, None, None] + 1e-6
    fine = torch.maximum(torch.minimum(fine, limit), -limit)  # one hard edge is no grid
    folded = fine.reshape(-1, rows, _PERIOD_PX, columns, _PERIOD_PX).mean((1, 3))  # (N, 8, 8)
    by_chance = fine.flatten(1).var(1) / (rows * columns)
    return -torch.log2((folded.flatten(1).var(1) + 1e-12) / (by_chance + 1e-12))


def blotch_score(pictures: Tensor) -> Tensor:
    """How free of blotches: (N, 3, H, W) in [-1, 1] to (N,), at most 0; our own measure.

    Minus the largest difference, in Oklab chroma, between a spot of about a tenth of the side and what lies around it.
    Lips count, too, so that only differences between like pictures say something.
    """
    chroma = oklab(F.adaptive_avg_pool2d(pictures.float(), _BLOTCH_PLANE))[:, 1:]  # (N, 2, 32, 32)
    apart: Tensor = torch.linalg.vector_norm(_mean(chroma, _SPOT) - _mean(chroma, _AROUND), dim=1)
    return -apart.amax((1, 2))


def _mean(planes: Tensor, cells: int) -> Tensor:
    return F.avg_pool2d(F.pad(planes, (cells // 2,) * 4, mode="reflect"), cells, 1)
