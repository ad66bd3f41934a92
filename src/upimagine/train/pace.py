"""How long the rest of a run will take."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from statistics import median

#: Ticks whose median counts. Of 5, 9, 15 and 31, and of plain means, 15 foretold our own runs' ends best.
_RECENT = 15
_ENOUGH = 3  # ticks at a size, before which it is not known
_PIECES = 256  # of what is left, for its work to be added up


class Pace:
    """From the seconds of recent ticks, and of what interrupts the steps: each is counted once, apart.

    The median passes over spells in which something else used the machine.

    Args:
        kimg: thousands of pictures of the whole run.
        preview_kimg: thousands of pictures from one preview to the next.
        checkpoint_s: seconds from one checkpoint to the next.
        work: what a picture costs at a place in kimg, in any unit; growing networks take their time at the end.
    """

    def __init__(
        self, kimg: float, preview_kimg: float, checkpoint_s: float, work: Callable[[float], float] = lambda kimg: 1.0
    ) -> None:
        self._kimg, self._preview_kimg, self._checkpoint_s, self._work = kimg, preview_kimg, checkpoint_s, work
        self._rates: dict[float, deque[float]] = {}  # seconds a kimg of recent ticks, by the work they went into
        self._previews: deque[float] = deque(maxlen=_RECENT)
        self._pages: deque[float] = deque(maxlen=_RECENT)
        self._checkpoints: deque[float] = deque(maxlen=_RECENT)

    def add_tick(self, seconds_per_kimg: float, kimg: float = 0.0) -> None:
        """What a thousand pictures took before this place, previews and checkpoints not counted."""
        if 0 < seconds_per_kimg < math.inf:
            self._rates.setdefault(self._work(kimg), deque(maxlen=_RECENT)).append(seconds_per_kimg)

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
        each = (self._kimg - kimg) / _PIECES
        fixed, by_work = self._costs()
        to_do = sum(fixed + by_work * self._work(kimg + (piece + 0.5) * each) for piece in range(_PIECES)) * each
        work = to_do + previews * (_usual(self._previews) + _usual(self._pages))
        # A checkpoint is due this long after the last one, the writing of which is a part of that time.
        checkpoint = _usual(self._checkpoints)
        return work / (1 - min(checkpoint / self._checkpoint_s, 0.5)) + checkpoint

    def _costs(self) -> tuple[float, float]:
        """Seconds a kimg whatever its work, and for each unit of it: a line through the two largest sizes known."""
        rates = {work: median(some) for work, some in sorted(self._rates.items()) if len(some) >= _ENOUGH}
        rates = rates or {work: median(some) for work, some in self._rates.items()}
        (now, seconds), before = list(rates.items())[-1], list(rates.items())[-2:-1]
        for work, fewer in before:
            by_work = (seconds - fewer) / (now - work)
            if by_work > 0 and seconds - by_work * now > 0:
                return seconds - by_work * now, by_work
        return 0.0, seconds / now


def _usual(seconds: deque[float]) -> float:
    return median(seconds) if seconds else 0.0
