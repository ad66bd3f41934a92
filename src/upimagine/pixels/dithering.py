"""Fine noise that turns the bands of 8 bits into the tone between them."""

from __future__ import annotations

from typing import Any

import numpy as np

_BLOCK_SAMPLES = 1 << 20


def add_noise(levels: np.ndarray[Any, Any], first_row: int = 0, first_channel: int = 0) -> None:
    """Add to (H, W, C) float32 levels in [0, 255], in place, what makes rounding keep their local mean.

    The noise is triangular, within one level either way, and independent in every pixel and channel: after Lipshitz,
    Wannamaker and Vanderkooy 1992 ("Quantization and dither"), the mean of the error is then zero and its power the
    same at every level, so that no band shows, not even as quieter noise. Levels that 8 bits hold exactly are
    therefore dithered like any other, except for the ends: closer than half a level to black or white, the noise is
    rectangular within half a level, which keeps the mean too and never leaves the range. Pure black and pure white
    stay pure.

    A pixel's noise depends on nothing but its row (counted from `first_row`), column and channel (counted from
    `first_channel`): the same picture gives the same bytes in whatever strips it comes.
    """
    height, width, channels = levels.shape
    # Four numbers a pixel, whether or not there is a fourth channel, so that alpha moves no other noise.
    columns = np.arange(width, dtype=np.uint32)[:, None] * np.uint32(4)
    columns = _mixed(columns + np.arange(first_channel, first_channel + channels, dtype=np.uint32))  # (W, C)
    rows = _mixed(np.arange(first_row, first_row + height, dtype=np.uint32) ^ np.uint32(0x9E3779B9))  # (H,)
    block = max(1, _BLOCK_SAMPLES // max(1, width * channels))
    for top in range(0, height, block):
        part = levels[top : top + block]
        bits = _mixed(rows[top : top + block, None, None] + columns)  # 32 random bits a sample
        one = _rectangular(bits >> np.uint32(17))
        other = _rectangular(bits & np.uint32(0x7FFF))
        other[(part < 0.5) | (part > 254.5)] = 0
        part += one
        part += other


def _rectangular(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Turn 15 random bits to (-0.5, 0.5): with more, float32 would round white and almost half a level to 255.5."""
    return (bits.astype(np.float32) + 0.5) / 32768 - 0.5


def _mixed(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scatter 32-bit numbers so that neighbours have nothing in common (Wellons' lowbias32, public domain)."""
    numbers = numbers ^ (numbers >> np.uint32(16))
    numbers *= np.uint32(0x7FEB352D)
    numbers ^= numbers >> np.uint32(15)
    numbers *= np.uint32(0x846CA68B)
    numbers ^= numbers >> np.uint32(16)
    return numbers
