"""How much each tile says at each pixel: one-dimensional windows that sum to one along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Ramp = Literal["linear", "cosine", "smoothstep"]


def ramp(kind: Ramp, width_px: int) -> Tensor:
    """A rising half-sample ramp (width_px,) float64, complementary: r[k] + r[width - 1 - k] = 1.

    Half-sample positions (k + ½) / width never reach 0 or 1, so no pixel of the overlap is wasted.
    """
    t = (torch.arange(width_px, dtype=torch.float64) + 0.5) / max(width_px, 1)
    if kind == "linear":
        return t
    if kind == "cosine":
        return 0.5 - 0.5 * torch.cos(math.pi * t)
    return t * t * (3.0 - 2.0 * t)


def axis_windows(starts_px: Sequence[int], window_px: int, feather_px: int | None, kind: Ramp) -> Tensor:
    """The window of each tile along one axis, (tiles, window_px) float32 ≥ 0; they sum to 1 at every pixel.

    All numbers are output pixels. Each overlap of two neighbours hands over in a ramp feather_px wide (None, or more
    than the overlap: the whole overlap), centred in the overlap: outside it one tile alone speaks, because averaging
    tiles that invented different texture loses its contrast. 0 is a hard cut. There is no taper on the sides that lie
    on the picture's edge. Where ramps run into each other (strides below the feather) the windows are normalised.
    """
    rising = torch.ones(len(starts_px), window_px, dtype=torch.float64)
    falling = torch.ones_like(rising)
    for index, (left, right) in enumerate(pairwise(starts_px)):
        overlap = left + window_px - right
        width = overlap if feather_px is None else min(feather_px, overlap)
        begin = (overlap - width) // 2  # from the start of the right tile
        step = ramp(kind, width)
        rising[index + 1, :begin] = 0.0
        rising[index + 1, begin : begin + width] = step
        begin += right - left  # the same pixels, from the start of the left tile
        falling[index, begin : begin + width] = step.flip(0)
        falling[index, begin + width :] = 0.0
    windows = rising * falling
    total = torch.zeros(starts_px[-1] + window_px, dtype=torch.float64)
    for start, window in zip(starts_px, windows, strict=True):
        total[start : start + window_px] += window
    totals = torch.stack([total[start : start + window_px] for start in starts_px])
    return (windows / totals).to(torch.float32)


def support(window: Tensor) -> slice:
    """The pixels where a window (window_px,) is not 0: one run, never empty for windows of ``axis_windows``."""
    inside = torch.nonzero(window).flatten()
    return slice(int(inside[0]), int(inside[-1]) + 1)
