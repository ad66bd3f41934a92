"""Whether a picture has been enlarged: it then holds hardly more than half of it would."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey, median

_REPEATED = 2.0
_BLOCK_PX = 8
_FLOOR = 0.05  # of 255 levels, against division by nothing in flat pictures


def detail(grey: Grey) -> float | None:
    """Detail lost by halving the picture, for the detail that the halved picture would lose by being halved.

    About 0.5 to 1 for pictures as cameras and renderers make them, whose contrast falls slowly with scale, and under
    0.5 for those enlarged by 1.5 and more; 0 where pixels are merely repeated. Our own measure; the threshold was set
    on planted pictures. None under 32 px and for pictures with next to no detail at either scale.
    """
    if min(grey.shape) < 32:
        return None
    if _repeats(grey):
        return 0.0
    half = _halved(grey)
    coarse = _lost(half)
    return _lost(grey) / coarse if coarse >= 0.5 else None  # of 255 levels: below it there is only rounding


def _repeats(grey: Grey) -> bool:
    """Whether the picture steps at every second, third or fourth border between pixels, in both directions."""
    across, down = np.abs(np.diff(grey, axis=1)).mean(axis=0), np.abs(np.diff(grey, axis=0)).mean(axis=1)
    grids = [_block_borders(steps) for steps in (across, down)]
    return any(
        min(_rhythm(across, every, grids[0]), _rhythm(down, every, grids[1])) >= _REPEATED for every in (2, 3, 4)
    )


def _block_borders(steps: np.ndarray) -> int:
    """The phase at which JPEG's blocks, if there are any, meet."""
    return int(np.argmax([median(steps[phase::_BLOCK_PX]) for phase in range(_BLOCK_PX)]))


def _rhythm(steps: np.ndarray, every: int, grid: int) -> float:
    """Steepness of the steepest phase, for the next; without the one border in eight that JPEG's blocks may steepen."""
    places = np.arange(len(steps))
    phases = np.sort(
        [median(steps[(places % every == phase) & (places % _BLOCK_PX != grid)]) for phase in range(every)]
    )
    return float((phases[-1] + _FLOOR) / (phases[-2] + _FLOOR))


def _halved(grey: Grey) -> Grey:
    height, width = grey.shape
    return np.asarray(cv2.resize(grey, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def _lost(grey: Grey) -> float:
    """Root mean square of what halving and bicubic doubling leaves out, in levels of 255."""
    back = cv2.resize(_halved(grey), grey.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return float(np.sqrt(np.square(back - grey).mean()))
