"""A picture as measures look at it: read once, never larger than it needs to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import to_uint8
from upimagine.data.quality.arrays import Grey, Rgb8

LEAST_PX = 1024
"""A JPEG is decoded smaller as long as its shorter side keeps so many pixels."""
SMALL_PX = 512
MOST_PIXELS = 100_000_000
"""Larger pictures are refused: several are in memory at a time."""


@dataclass(frozen=True)
class Look:
    """One picture in the forms that measures take."""

    size_px: tuple[int, int]
    """(height, width) of the upright picture in the file."""
    grey: Grey
    """Whole, or a JPEG of 2048 px and more reduced: for what happens from pixel to pixel."""
    small_rgb: Rgb8
    """With a longer side of at most 512 px: for what is seen at a glance."""
    small_grey: Grey

    @property
    def small_pixels(self) -> Tensor:
        """(3, H, W) in [-1, 1] of `small_rgb`."""
        return torch.from_numpy(self.small_rgb).permute(2, 0, 1).float() / 127.5 - 1


def look_at(path: Path) -> Look:
    """Read a picture for measuring.

    Raises:
        PictureError: it cannot be read, or has more than `MOST_PIXELS`.
    """
    size = pixels.read_size(path)
    colours = pixels.read(path, max_pixels=MOST_PIXELS, least_px=LEAST_PX).pixels
    return look(np.ascontiguousarray(to_uint8(colours).permute(1, 2, 0).numpy()), size)


def look(rgb: Rgb8, size_px: tuple[int, int]) -> Look:
    """From (H, W, 3) as decoded, and the size in the file."""
    small = shrunk(rgb, SMALL_PX)
    return Look(size_px, _grey(rgb), small, _grey(small))


def shrunk(rgb: Rgb8, longer_px: int) -> Rgb8:
    """Mean over areas, so that the longer side has at most so many pixels; smaller pictures stay as they are."""
    height, width = rgb.shape[:2]
    scale = longer_px / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grey(rgb: Rgb8) -> Grey:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
