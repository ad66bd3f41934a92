"""The two kinds of array that measures take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rgb8 = NDArray[np.uint8]
"""(H, W, 3) RGB, sRGB-encoded, 0 to 255."""

Grey = NDArray[np.float32]
"""(H, W) luma (BT.601, as OpenCV computes it) of the sRGB-encoded values, 0 to 255."""
