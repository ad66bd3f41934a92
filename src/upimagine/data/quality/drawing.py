"""Drawings and cartoons: flat areas with hard outlines."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey

_FLAT, _LIVE, _HARD = 4, 6, 60  # range of levels among a pixel and its eight neighbours


def drawing(grey: Grey) -> float:
    """Share of flat pixels, times the share of hard edges among those that are not flat: 0 to 1.

    Photographs are neither as flat nor, where they are not flat, as hard: they stay under 0.07. After the transitions
    of Athitsos, Swain and Frankel 1997 ("Distinguishing photographs and graphics on the World Wide Web"). Pencil
    drawings with soft shades are not found.
    """
    square = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(grey, square) - cv2.erode(grey, square)
    live = int(np.count_nonzero(spread >= _LIVE))
    if live == 0:
        return 0.0
    return float(np.mean(spread < _FLAT)) * int(np.count_nonzero(spread >= _HARD)) / live
