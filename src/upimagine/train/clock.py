"""What is due in a run, and what its steps take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from upimagine.train.settings import LoopSettings


class Clock:
    """Which tick, preview or checkpoint is due; the same for a resumed run as for one that never stopped.

    Args:
        settings: how often.
        seconds_before: what earlier processes have trained.
        shown: pictures they have shown.
    """

    def __init__(self, settings: LoopSettings, seconds_before: float, shown: int) -> None:
        self._settings = settings
        self._began = self._last_tick_s = self._last_checkpoint_s = time.monotonic()
        self._before = seconds_before
        self._apart_s = 0.0  # previews and checkpoints, which are no steps
        self._ticks = self._number(shown, settings.tick_kimg)
        self._previews = self._number(shown, settings.preview_kimg)
        self._last_shown: int | None = None
        self._waited_s = 0.0

    @property
    def trained_s(self) -> float:
        """Seconds of this run so far, those of earlier processes among them."""
        return self._before + time.monotonic() - self._began

    @property
    def _stepped_s(self) -> float:
        return time.monotonic() - self._apart_s

    @contextmanager
    def apart(self, count: Callable[[float], None]) -> Iterator[None]:
        """What takes place inside is no part of the steps' time; `count` is told the seconds."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self._apart_s += took
        count(took)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What takes place inside is waiting for data."""
        began = time.monotonic()
        yield
        self._waited_s += time.monotonic() - began

    def data_wait(self) -> float:
        """Share of the steps' time since the last tick that went by waiting for data; call it before
        `seconds_per_kimg`, which begins a new tick."""
        waited, self._waited_s = self._waited_s, 0.0
        return min(1.0, waited / max(self._stepped_s - self._last_tick_s, 1e-9))

    def tick_due(self, shown: int) -> bool:
        """Whether a log line is due; time counts from the first call on, since first steps are slow."""
        if self._last_shown is None:
            self._last_shown, self._last_tick_s, self._waited_s = shown, self._stepped_s, 0.0
        before, self._ticks = self._ticks, self._number(shown, self._settings.tick_kimg)
        return self._ticks > before

    def preview_due(self, shown: int) -> bool:
        """Whether a preview is due."""
        before, self._previews = self._previews, self._number(shown, self._settings.preview_kimg)
        return self._previews > before

    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is due; from then on the next one is waited for."""
        now = time.monotonic()
        due = now - self._last_checkpoint_s >= self._settings.checkpoint_minutes * 60
        if due:
            self._last_checkpoint_s = now
        return due

    def seconds_per_kimg(self, shown: int) -> float | None:
        """Of steps alone since the last tick; None where there was but the first step, which is not counted."""
        now, before = self._stepped_s, shown if self._last_shown is None else self._last_shown
        seconds, kimg = now - self._last_tick_s, (shown - before) / 1000
        self._last_tick_s, self._last_shown = now, shown
        return seconds / kimg if kimg > 0 else None

    @staticmethod
    def _number(shown: int, every_kimg: float) -> int:
        return int(shown / (every_kimg * 1000))
