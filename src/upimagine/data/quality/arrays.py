"""The two kinds of array that measures take, and the median of short rows of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rgb8 = NDArray[np.uint8]
"""(H, W, 3) RGB, sRGB-encoded, 0 to 255."""

Grey = NDArray[np.float32]
"""(H, W) luma (BT.601, as OpenCV computes it) of the sRGB-encoded values, 0 to 255."""


def median(values: NDArray[np.floating]) -> float:
    """As numpy's of a 1-d array with at least one number, which spends most of its time on checks."""
    ranked = np.sort(values)
    return float((ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2)
