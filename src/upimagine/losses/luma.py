"""Luma: the one brightness by which sharpness, spectra and gradients are judged."""

from __future__ import annotations

from torch import Tensor


def luma(pictures: Tensor) -> Tensor:
    """Rec. 601 luma, 0.299 R + 0.587 G + 0.114 B of sRGB-encoded values: (N, 3, H, W) to (N, H, W), same range."""
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"luma wants (N, 3, H, W), got {tuple(pictures.shape)}")
    red, green, blue = pictures.unbind(1)
    return 0.299 * red + 0.587 * green + 0.114 * blue
