"""The picture mirrored outwards beyond the trim, on the way to the file."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from upimagine.printing.size import PrintLayout
from upimagine.printing.strips import RowSink, check_rows


class BleedRows:
    """A sink that takes the trim of a print and passes on trim and bleed.

    The bleed mirrors the picture at its outermost pixels, which are not repeated (numpy's ``reflect``). Any heights
    of strips give the same picture. It holds `bleed_px` rows; since it knows the height, nothing needs closing.
    """

    def __init__(self, sink: RowSink, layout: PrintLayout) -> None:
        """sink: takes a picture of `layout.full_px`."""
        self._sink = sink
        self._layout = layout
        self._row = 0
        self._first = torch.empty(3, 0, layout.trim_px[1])  # rows that wait until those above them can be made
        self._last = torch.empty(3, 0, layout.trim_px[1])  # rows that the bleed below will mirror

    def write_rows(self, rows: Tensor) -> None:
        """Take the next (3, h, W) in [-1, 1] of the trim.

        Raises:
            ValueError: another width, or more rows than the trim has.
        """
        check_rows(rows, self._row, self._layout.trim_px)
        if rows.shape[1] == 0:
            return
        bleed = self._layout.bleed_px
        waiting = self._row <= bleed
        self._row += rows.shape[1]
        self._last = torch.cat([self._last, rows], dim=1)[:, -bleed - 1 :].clone()
        if waiting:
            rows = self._first = torch.cat([self._first, rows], dim=1)
            if self._row <= bleed:
                return
            self._first = self._first[:, :0]
            rows = torch.cat([rows[:, 1 : bleed + 1].flip(1), rows], dim=1)
        if self._row == self._layout.trim_px[0]:
            rows = torch.cat([rows, self._last[:, :-1].flip(1)], dim=1)
        self._sink.write_rows(functional.pad(rows, (bleed, bleed), mode="reflect"))

    def state(self) -> dict[str, Tensor]:
        """The rows that wait, to go on from in another process."""
        return {"first": self._first, "last": self._last, "rows": torch.tensor(self._row)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self._first, self._last, self._row = state["first"], state["last"], int(state["rows"])
