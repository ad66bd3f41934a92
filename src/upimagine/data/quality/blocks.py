"""Over-compression: the grid of 8 px blocks that JPEG leaves."""

from __future__ import annotations

import numpy as np

from upimagine.data.quality.arrays import Grey, median

_BLOCK_PX = 8


def block_step(grey: Grey) -> float | None:
    """How much larger the step across block borders is than elsewhere, in levels of 255; 0 where there is no grid.

    The blocking effect of Wang, Sheikh and Bovik 2002 ("No-reference perceptual quality assessment of JPEG compressed
    images", ICIP), at whichever of the eight phases it is strongest, so that cropping and saving again do not hide it.
    As a difference: the ratio is high for any smooth picture, however well it was saved. None under 32 px.
    """
    if min(grey.shape) < 4 * _BLOCK_PX:
        return None
    across, down = np.abs(np.diff(grey, axis=1)).mean(axis=0), np.abs(np.diff(grey, axis=0)).mean(axis=1)
    # Compression marks rows and columns alike, a fence only one of them.
    return float(np.sqrt(_excess(across) * _excess(down)))


def _excess(steps: np.ndarray) -> float:
    """Of the mean step at each border between columns: the steepest phase over the middling one.

    Each phase is the median of its borders, since a picture's own straight line would else pass for a grid.
    """
    phases = np.array([median(steps[phase::_BLOCK_PX]) for phase in range(_BLOCK_PX)])
    return float(phases.max() - median(phases))
