"""Where finished rows go: the streamed canvas never knows what a file is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

_STRIP_ROWS = 64


class Sink(Protocol):
    """Takes the finished picture strip by strip, from top to bottom."""

    def write_rows(self, rows: Tensor) -> None:
        """Take the next (3, h, W) float32 in [-1, 1], on the CPU; h ≥ 1 varies. The tensor is the sink's to keep."""
        ...


class MemorySink:
    """Keeps the picture in memory, to look at or to feed to the next stage."""

    def __init__(self) -> None:
        self._strips: list[Tensor] = []

    def write_rows(self, rows: Tensor) -> None:
        """Keep the next strip (3, h, W)."""
        self._strips.append(rows)

    def picture(self) -> Tensor:
        """All rows so far as (1, 3, H, W)."""
        return torch.cat(self._strips, dim=1).unsqueeze(0)


class CroppedSink:
    """Passes on only a part of what it is given."""

    def __init__(self, sink: Sink, top: int, left: int, height: int, width: int) -> None:
        """The part, in pixels of what comes."""
        self._sink = sink
        self._top, self._left, self._height, self._width = top, left, height, width
        self._row = 0

    def write_rows(self, rows: Tensor) -> None:
        """Take (3, h, W) and pass on what lies inside."""
        first = max(self._top - self._row, 0)
        last = min(self._top + self._height - self._row, rows.shape[1])
        self._row += rows.shape[1]
        if first < last:
            self._sink.write_rows(rows[:, first:last, self._left : self._left + self._width].contiguous())

    def skip(self, rows: int) -> None:
        """So many rows came in an earlier process."""
        self._row = rows
        inside = min(max(rows - self._top, 0), self._height)
        skip(self._sink, inside)


class TimedSink:
    """Passes rows on and adds up the time the sink takes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.seconds = 0.0

    def skip(self, rows: int) -> None:
        """So many rows came in an earlier process."""
        skip(self._sink, rows)

    def write_rows(self, rows: Tensor) -> None:
        """Pass on the next (3, h, W)."""
        started = time.perf_counter()
        self._sink.write_rows(rows)
        self.seconds += time.perf_counter() - started


def in_strips(rows: int) -> Iterator[tuple[int, int]]:
    """First row and the row after the last of strips that wide pictures are handed on in, to save memory."""
    return ((first, min(first + _STRIP_ROWS, rows)) for first in range(0, rows, _STRIP_ROWS))


def skip(sink: Sink, rows: int) -> None:
    """Tell a sink that counts that so many rows came in an earlier process; others know by themselves."""
    if isinstance(sink, CroppedSink | TimedSink):
        sink.skip(rows)
