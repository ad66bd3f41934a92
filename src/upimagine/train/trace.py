"""The plotted numbers of a run, tick by tick, as the watch asks for them."""

from __future__ import annotations

import math
from statistics import median

from upimagine.train.journal import Line


class Trace:
    """Finite values by name, in order, and what was no number in the last tick."""

    def __init__(self) -> None:
        self.kimg = 0.0
        self.broken: list[str] = []
        self._series: dict[str, list[tuple[float, float]]] = {}
        self._ticks: list[float] = []

    def add(self, line: Line) -> None:
        """A tick's line as it stands in the log."""
        self.kimg = float(line["kimg"])
        self._ticks.append(self.kimg)
        self.broken = []
        for name, value in line.items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                self._series.setdefault(name, []).append((self.kimg, float(value)))
            elif value is None:
                self.broken.append(name)

    def ticks_after(self, kimg: float) -> int:
        """How many ticks there were since."""
        return sum(tick > kimg for tick in self._ticks)

    def recent(self, name: str, count: int) -> list[float] | None:
        """The last `count` values, or None when there are not yet so many."""
        series = self._series.get(name, [])
        return [value for _, value in series[-count:]] if len(series) >= count else None

    def usual(self, name: str, count: int) -> float | None:
        """Median of the last `count` values, or None when there are not yet so many."""
        values = self.recent(name, count)
        return None if values is None else median(values)

    def onset(self, name: str, count: int) -> float:
        """Where the first of the last `count` values stands, in kimg."""
        return self._series[name][-count][0]

    def earlier(self, name: str, before: float) -> list[float]:
        """All values from before a place in kimg."""
        return [value for kimg, value in self._series.get(name, []) if kimg < before]
