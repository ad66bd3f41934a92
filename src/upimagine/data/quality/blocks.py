"""Over-compression: the grid of 8 px blocks that JPEG leaves."""

from __future__ import annotations

import numpy as np

from upimagine.data.quality.arrays import Grey

_BLOCK_PX = 8
_FLOOR = 0.05  # of 255 levels, against division by nothing in flat pictures


def blocks(grey: Grey) -> float | None:
    """How much steeper the picture is across block borders than elsewhere; 1 where there is no grid.

    The blocking effect of Wang, Sheikh and Bovik 2002 ("No-reference perceptual quality assessment of JPEG compressed
    images", ICIP), taken as a ratio, and at whichever of the eight phases it is strongest, so that cropping and saving
    again do not hide it. None under 32 px.
    """
    if min(grey.shape) < 4 * _BLOCK_PX:
        return None
    ratios = [_ratio(np.abs(np.diff(grey, axis=1)).mean(axis=0)), _ratio(np.abs(np.diff(grey, axis=0)).mean(axis=1))]
    return float(np.sqrt(ratios[0] * ratios[1]))  # compression marks rows and columns alike, a fence only one of them


def _ratio(steps: np.ndarray) -> float:
    """Of the mean step at each border between columns: the steepest phase against the middling one.

    Each phase is the median of its borders, since a picture's own straight line would else pass for a grid.
    """
    phases = np.array([np.median(steps[phase::_BLOCK_PX]) for phase in range(_BLOCK_PX)])
    return float((phases.max() + _FLOOR) / (np.median(phases) + _FLOOR))
