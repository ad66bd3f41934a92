"""Pixels to the integers a file holds: the one place where they lose their fractions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from upimagine.errors import PictureError
from upimagine.pixels.dithering import add_noise
from upimagine.pixels.formats import Encoding
from upimagine.pixels.spaces import from_srgb

_ALPHA_CHANNEL = 3


def to_samples(
    pixels: Tensor, alpha: Tensor | None, bit_depth: int, path: Path, encoding: Encoding, first_row: int = 0
) -> np.ndarray[Any, Any]:
    """Round rows of a picture to (H, W, 3 or 4) samples of its file, uint8 or uint16, contiguous.

    `pixels` are (3, H, W) in [-1, 1], sRGB-encoded, `alpha` (1, H, W) in [0, 1]; both are clamped. `first_row` says
    which row of the picture the first one is: the rows get the same samples in whatever strips they come.

    Raises:
        PictureError: a pixel is NaN or infinite (names `path`).
    """
    colour = _levels(pixels, path)
    if encoding.space != "srgb":
        from_srgb(colour, encoding.space)
    samples = _rounded(colour, bit_depth, encoding.dither, first_row, 0)
    if alpha is None:
        return samples
    covered = _rounded(_levels(alpha * 2 - 1, path), bit_depth, encoding.dither, first_row, _ALPHA_CHANNEL)
    return np.concatenate([samples, covered], axis=2)


def _levels(pixels: Tensor, path: Path) -> Tensor:
    """Copy (C, H, W) to (H, W, C) float32 on the processor, if all of it is finite."""
    pixels = pixels.detach().to("cpu", torch.float32)
    low, high = torch.aminmax(pixels)  # both are NaN when one pixel is
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise PictureError(f"{path}: not written, for some pixels are NaN or infinite; the model may have diverged")
    return torch.empty(pixels.permute(1, 2, 0).shape).copy_(pixels.permute(1, 2, 0))


def _rounded(levels: Tensor, bit_depth: int, dither: bool, first_row: int, first_channel: int) -> np.ndarray[Any, Any]:
    """Round (H, W, C) in [-1, 1] to integers, clamped; uses up `levels`."""
    top, dtype = (255, torch.uint8) if bit_depth == 8 else (65535, torch.uint16)
    levels.clamp_(-1, 1).add_(1).mul_(top / 2)
    if dither and bit_depth == 8:
        add_noise(levels.numpy(), first_row, first_channel)
    return levels.round_().to(dtype).numpy()
