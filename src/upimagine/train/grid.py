"""Pictures side by side, for previews."""

from __future__ import annotations

import torch
from torch import Tensor


def picture_grid(pictures: Tensor, columns: int) -> Tensor:
    """(N, 3, H, W) to one (3, rows * H, columns * W), row by row; missing places are black."""
    count, channels, height, width = pictures.shape
    rows = -(-count // columns)
    grid = torch.full((rows * columns, channels, height, width), -1.0)
    grid[:count] = pictures.float().cpu()
    grid = grid.view(rows, columns, channels, height, width)
    return grid.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def cut_grid(grid: Tensor, columns: int) -> Tensor:
    """The squares that `picture_grid` laid side by side: (3, rows * S, columns * S) to (rows * columns, 3, S, S)."""
    channels, height, width = grid.shape
    side = width // columns
    cut = grid.view(channels, height // side, side, columns, side).permute(1, 3, 0, 2, 4)
    return cut.reshape(-1, channels, side, side)
