"""How blurred a picture is: how little it changes when it is blurred once more."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey

_TAPS = 9


def blur(grey: Grey) -> float | None:
    """Blur effect of Crété, Dolmiere, Ladet and Nicolas 2007 ("The blur effect", SPIE 6492): 0 crisp to 1 blurred.

    The share of the picture's edges that survives a running mean of 9 px, along the worse of the two directions. It
    depends on edges alone, not on contrast or how much of the picture is out of focus. None under 16 px and where
    there is no edge.
    """
    if min(grey.shape) < 16:
        return None
    shares = []
    for dx, dy in ((1, 0), (0, 1)):
        again = cv2.blur(grey, (_TAPS, 1) if dx else (1, _TAPS), borderType=cv2.BORDER_REFLECT)
        edges = np.abs(cv2.Sobel(grey, cv2.CV_32F, dx, dy))[2:-1, 2:-1]
        left = np.abs(cv2.Sobel(again, cv2.CV_32F, dx, dy))[2:-1, 2:-1]
        total = float(edges.sum())
        if total < edges.size:  # not one level a pixel: nothing to judge by
            continue
        shares.append(1 - float(np.maximum(0, edges - left).sum()) / total)
    return max(shares) if shares else None
