"""Whether a picture has been enlarged: it then holds hardly more than half of it would."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey


def detail(grey: Grey) -> float | None:
    """Detail lost by halving the picture, for the detail that the halved picture would lose by being halved.

    About 0.5 to 1 for pictures as cameras and renderers make them, whose contrast falls slowly with scale, and under
    0.4 for those enlarged by 1.5 and more. Our own measure; the threshold was set on planted pictures. None under
    32 px and for pictures with next to no detail at either scale.
    """
    if min(grey.shape) < 32:
        return None
    half = _halved(grey)
    coarse = _lost(half)
    return _lost(grey) / coarse if coarse >= 0.5 else None  # of 255 levels: below it there is only rounding


def _halved(grey: Grey) -> Grey:
    height, width = grey.shape
    return np.asarray(cv2.resize(grey, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def _lost(grey: Grey) -> float:
    """Root mean square of what halving and bicubic doubling leaves out, in levels of 255."""
    back = cv2.resize(_halved(grey), grey.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return float(np.sqrt(np.square(back - grey).mean()))
