"""Tensors to a picture file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from upimagine.errors import PictureError
from upimagine.pixels import atomic
from upimagine.pixels.encoding import encode, plan


def write(
    path: str | Path,
    pixels: Tensor,
    *,
    alpha: Tensor | None = None,
    bit_depth: int = 8,
    dpi: float | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
    quality: int = 95,
) -> None:
    """Write a picture as PNG or TIFF (8 or 16 bits), JPEG or WebP (8 bits), by suffix, tagged sRGB.

    Args:
        path: the file; its folder is made if need be.
        pixels: (3, H, W) or (1, 3, H, W) in [-1, 1], sRGB-encoded; values beyond are clamped.
        alpha: (1, H, W) or (1, 1, H, W) in [0, 1], straight; not for JPEG.
        bit_depth: bits a channel, 8 or 16.
        dpi: print resolution to state in the file.
        recipe: text to embed, which `read_recipe` gives back.
        overwrite: replace an existing file.
        quality: 1 to 100, of JPEG (always 4:4:4) and WebP.

    Raises:
        PictureError: the format cannot hold it, or a pixel is NaN or infinite.
        UpimagineError: the file exists, or cannot be written (full disk, no permission).
        ValueError: shapes that are no picture.
    """
    path = Path(path)
    pixels = _one(pixels, 3)
    height, width = pixels.shape[1:]
    kind = plan(path, height, width, bit_depth, alpha is not None, dpi)
    samples = to_samples(pixels, bit_depth, path)  # (H, W, 3)
    if alpha is not None:
        alpha = _one(alpha, 1)
        if alpha.shape[1:] != pixels.shape[1:]:
            raise ValueError(f"alpha {tuple(alpha.shape)} does not cover pixels {tuple(pixels.shape)}")
        samples = np.concatenate([samples, to_samples(alpha * 2 - 1, bit_depth, path)], axis=2)  # (H, W, 4)
    with atomic.replacing(path, overwrite) as file:
        encode(samples, file, path, kind, dpi=dpi, recipe=recipe, quality=quality)


def to_samples(pixels: Tensor, bit_depth: int, path: Path) -> np.ndarray[Any, Any]:
    """Round (C, H, W) in [-1, 1] to (H, W, C) integers, clamped: the one place where pixels lose their fractions.

    Raises:
        PictureError: a pixel is NaN or infinite (names `path`).
    """
    pixels = pixels.detach().to("cpu", torch.float32)
    low, high = torch.aminmax(pixels)  # both are NaN when one pixel is
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise PictureError(f"{path}: not written, for some pixels are NaN or infinite; the model may have diverged")
    top, dtype = (255, torch.uint8) if bit_depth == 8 else (65535, torch.uint16)
    scaled = torch.empty(pixels.permute(1, 2, 0).shape).copy_(pixels.permute(1, 2, 0))  # (H, W, C)
    scaled.clamp_(-1, 1).add_(1).mul_(top / 2).round_()
    return scaled.to(dtype).numpy()


def _one(tensor: Tensor, channels: int) -> Tensor:
    """Take the one picture out of a batch of one."""
    single = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if single.ndim != 3 or single.shape[0] != channels:
        raise ValueError(f"one picture is ({channels}, H, W) or (1, {channels}, H, W), not {tuple(tensor.shape)}")
    return single
