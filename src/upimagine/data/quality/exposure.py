"""Exposure: how much is burnt out, and how bright the lights are."""

from __future__ import annotations

import numpy as np

from upimagine.data.quality.arrays import Grey, Rgb8

_BURNT = 250


def clipped(rgb: Rgb8) -> float:
    """Share of pixels of the middle (a half of each side) in which every channel is at least 250 of 255: 0 to 1.

    Only the middle, because a white backdrop is no fault.
    """
    height, width = rgb.shape[:2]
    middle = rgb[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(np.mean(middle.min(axis=2) >= _BURNT))


def highlights(grey: Grey) -> float:
    """Luma that nine tenths of the pixels stay under: 0 to 255. A dark backdrop alone does not lower it."""
    return float(np.percentile(grey, 90))
