"""Hold a tile to the low-res plane: its area average must be the low-res tile, so that no colour drifts."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def pool(output: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Area average of (N, C, h·k, w·k) down to (N, C, h, w); any NaN or infinity of the output survives in it."""
    count, channels, height, width = output.shape
    rows, cols = size_px
    # Rows first, over whole lines of memory: twice as fast on a CPU as the pooling kernel.
    strips = output.reshape(count, channels, rows, height // rows, width).sum(dim=3)
    sums = strips.view(count, channels, rows, cols, width // cols).sum(dim=4)
    return sums.mul_(rows * cols / (height * width))


def match_low_res(
    output: Tensor, low: Tensor, iterations: int = 1, *, pooled: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """Add a smooth correction to (N, 3, H, W) so that its area average comes to equal low (N, 3, h, w).

    Iterative back-projection, after Irani and Peleg 1991, with a bicubic kernel: each iteration enlarges what is still
    missing of the low-res tile and adds it; texture finer than a low-res pixel is untouched. 0 iterations copy. Since
    pooling and enlarging are linear, the iterations run at low resolution and the output is touched once. The result
    may leave [-1, 1] a little: clip it afterwards. pooled: ``pool(output)`` where it is known; out: where to write.
    """
    if out is None:
        out = torch.empty_like(output, memory_format=torch.contiguous_format)
    if iterations == 0:
        return out.copy_(output)
    count, channels, rows, cols = low.shape
    height, width = output.shape[-2:]
    up_rows, seen_rows = _enlargement(rows, height, output.device)
    up_cols, seen_cols = _enlargement(cols, width, output.device)
    missing = low - (pool(output, (rows, cols)) if pooled is None else pooled)
    correction = missing
    for _ in range(iterations - 1):
        missing = missing - seen_rows @ missing @ seen_cols.T
        correction = correction + missing
    planes = count * channels
    stretched = (up_rows @ correction).view(planes, height, cols)
    flat = out.view(planes, height, width)
    torch.baddbmm(output.reshape(planes, height, width), stretched, up_cols.T.expand(planes, -1, -1), out=flat)
    return out


@lru_cache(maxsize=16)
def _enlargement(low_px: int, high_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bicubic enlargement along one axis as a matrix (high, low), and what pooling sees of it, (low, low)."""
    steps = torch.eye(low_px).view(1, low_px, low_px, 1)  # one impulse a channel
    curves = F.interpolate(steps, size=(high_px, 1), mode="bicubic", align_corners=False)
    matrix = curves.view(low_px, high_px).T.contiguous()
    seen = matrix.view(low_px, high_px // low_px, low_px).mean(dim=1)
    return matrix.to(device), seen.to(device)
