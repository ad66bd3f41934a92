"""Sharpness as the variance of the Laplacian of luma: high where there is fine detail, and where there is noise."""

from __future__ import annotations

import torch
from torch import Tensor

from upimagine.losses.luma import luma


def laplacian_variance(pictures: Tensor) -> Tensor:
    """Variance of the four-neighbour Laplacian [0 1 0; 1 -4 1; 0 1 0] of luma in 0 to 255, one number a picture.

    (N, 3, H, W) in [-1, 1] to (N,) >= 0. Only pixels that have all four neighbours count, so borders invent nothing.
    Differentiable. Raises ValueError on pictures under 3 px.
    """
    if min(pictures.shape[-2:]) < 3:
        raise ValueError(f"a Laplacian needs at least 3x3 px, got {tuple(pictures.shape[-2:])}")
    y = (luma(pictures.float()) + 1) * 127.5  # (N, H, W) in [0, 255]
    laplacian = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * y[:, 1:-1, 1:-1]
    return torch.var(laplacian.flatten(1), dim=1, correction=0)
