"""Two ways to a smaller picture: the mean over areas, which a camera makes, and the sharper anti-aliased bicubic."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resize_antialiased(pictures: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Bicubic, anti-aliased where it shrinks: (N, C, H, W) in [-1, 1] to (N, C, height, width) in [-1, 1].

    Overshoot at edges is clipped. Float32 whatever comes in, because half-precision weights shift flat areas.
    """
    if pictures.shape[2:] == size_px:
        return pictures.float()
    resized = functional.interpolate(pictures.float(), size_px, mode="bicubic", antialias=True)
    return resized.clamp(-1, 1)


def shrink_area(pictures: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Mean over the area each new pixel covers: (N, C, H, W) to (N, C, height, width), any ratio of sizes.

    Parts of pixels count by their share. Where the ratio is whole this is plain average pooling.

    Raises:
        ValueError: the new size is larger than the old along a side.
    """
    height, width = pictures.shape[2:]
    rows, columns = size_px
    if rows > height or columns > width:
        raise ValueError(f"shrink_area cannot enlarge {height} x {width} to {rows} x {columns}")
    pictures = pictures.float()
    if height % rows == 0 and width % columns == 0:
        return functional.avg_pool2d(pictures, (height // rows, width // columns))
    down = _shares(height, rows, pictures.device)  # (rows, height)
    across = _shares(width, columns, pictures.device)  # (columns, width)
    return down @ pictures @ across.T


def _shares(old: int, new: int, device: torch.device) -> Tensor:
    """(new, old): the share of each old pixel in the mean over each new one; rows sum to 1."""
    edges = torch.arange(new + 1, device=device, dtype=torch.float64) * (old / new)
    starts = torch.arange(old, device=device, dtype=torch.float64)
    shared = torch.minimum(edges[1:, None], starts + 1) - torch.maximum(edges[:-1, None], starts)
    return (shared.clamp(min=0) * (new / old)).float()
