"""Plain borders: frames, letterbox bars, the margins of scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from upimagine.data.quality.arrays import Rgb8

_SAME = 12  # levels of 255 that a border may stray, for the sake of JPEG
_PLAIN_SHARE = 0.98  # of a line
_STEP_SHARE = 0.5  # of the line where the border ends
_BLEND_PX = 3  # a border's inner edge may be soft


def frame(rgb: Rgb8) -> float:
    """Thickness of the thinner of two opposite plain borders, for the picture's side: 0 to 0.5; the larger pair's.

    A border ends at once along most of its length. A plain backdrop, into which a head rises, is none.
    """
    levels = rgb.astype(np.int16)
    across = levels.transpose(1, 0, 2)
    return max(
        min(_border(lines), _border(lines[::-1])) / len(lines) for lines in (levels, across)
    )  # fmt: skip


def _border(lines: NDArray[np.int16]) -> int:
    """Plain lines before the picture begins; 0 where it does not begin with a step."""
    colour = np.median(lines[0], axis=0)
    if np.mean(np.abs(lines[0] - colour).max(axis=1) > _SAME) > 1 - _PLAIN_SHARE:  # as in most pictures
        return 0
    strays = np.abs(lines[: len(lines) // 2 + _BLEND_PX] - colour).max(axis=2) > _SAME  # (lines, pixels)
    share = strays.mean(axis=1)
    plain = share <= 1 - _PLAIN_SHARE
    thickness = len(plain) if plain.all() else int(np.argmin(plain))
    after = share[thickness : thickness + _BLEND_PX]
    return thickness if len(after) and after.max() >= _STEP_SHARE and thickness <= len(lines) // 2 else 0
