"""How long the rest of a run will take."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

#: Ticks whose median counts. Of 5, 9, 15 and 31, and of plain means, 15 foretold our own runs' ends best.
_RECENT = 15


class Pace:
    """From the seconds of recent ticks, and of what interrupts the steps: each is counted once, apart.

    The median passes over spells in which something else used the machine.

    Args:
        kimg: thousands of pictures of the whole run.
        preview_kimg: thousands of pictures from one preview to the next.
        checkpoint_s: seconds from one checkpoint to the next.
    """

    def __init__(self, kimg: float, preview_kimg: float, checkpoint_s: float) -> None:
        self._kimg, self._preview_kimg, self._checkpoint_s = kimg, preview_kimg, checkpoint_s
        self._rates: deque[float] = deque(maxlen=_RECENT)
        self._previews: deque[float] = deque(maxlen=_RECENT)
        self._pages: deque[float] = deque(maxlen=_RECENT)
        self._checkpoints: deque[float] = deque(maxlen=_RECENT)

    def add_tick(self, seconds_per_kimg: float) -> None:
        """What a thousand pictures took since the last tick, previews and checkpoints not counted."""
        if 0 < seconds_per_kimg < math.inf:
            self._rates.append(seconds_per_kimg)

    def add_preview(self, seconds: float) -> None:
        """What a preview took."""
        self._previews.append(seconds)

    def add_page(self, seconds: float) -> None:
        """What writing the page after a preview took."""
        self._pages.append(seconds)

    def add_checkpoint(self, seconds: float) -> None:
        """What a checkpoint took."""
        self._checkpoints.append(seconds)

    def seconds_left(self, kimg: float) -> float:
        """From `kimg` to the end; 0 at the end and before the first tick."""
        if kimg >= self._kimg or not self._rates:
            return 0.0
        previews = int(self._kimg / self._preview_kimg) - int(kimg / self._preview_kimg)
        if self._kimg % self._preview_kimg:
            previews += 1  # the last picture is always shown
        work = median(self._rates) * (self._kimg - kimg) + previews * (_usual(self._previews) + _usual(self._pages))
        checkpoint = _usual(self._checkpoints)
        # A checkpoint is due this long after the last one, the writing of which is a part of that time.
        return work / (1 - min(checkpoint / self._checkpoint_s, 0.5)) + checkpoint


def _usual(seconds: deque[float]) -> float:
    return median(seconds) if seconds else 0.0
