"""The canvas, one tile row high: finished rows leave at the top before new tiles come in at the bottom."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from upimagine.render.plan import TilePlan
from upimagine.render.sinks import Sink, in_strips, skip
from upimagine.render.windows import Ramp, axis_windows, support


class Bands:
    """Blends chosen tiles, row after row, and hands finished rows to a sink.

    Holds Σ w·x of one tile row, so memory grows with the width of the picture, not with its area. The windows sum to
    one along each axis, so there is nothing to divide by and no second accumulator.
    """

    def __init__(
        self,
        plan: TilePlan,
        scale: int,
        sink: Sink,
        *,
        feather_px: int | None,
        ramp: Ramp = "cosine",
        device: torch.device | str = "cpu",
    ) -> None:
        self._plan = plan
        self._scale = scale
        self._sink = sink
        tile_px = plan.window_px * scale
        self._tops = [start * scale for start in plan.row_starts_px]
        self._lefts = [start * scale for start in plan.col_starts_px]
        self._row_windows = axis_windows(self._tops, tile_px, feather_px, ramp).to(device)
        self._col_windows = axis_windows(self._lefts, tile_px, feather_px, ramp).to(device)
        self._row_supports = [support(window) for window in self._row_windows]
        self._col_supports = [support(window) for window in self._col_windows]
        self._sums = torch.zeros(3, tile_px, plan.width_px * scale, device=device)
        self._next_row = 0

    def add_row(self, row: int, tiles: Mapping[int, Tensor]) -> None:
        """Blend in one whole tile row, {column: (3, tile, tile)}; rows come in order, columns in any order.

        Raises ValueError when a row or a column is missing or comes twice: a picture with a hole must not go on.
        """
        self._plan.check_row(row, self._next_row, tiles)
        self._next_row += 1
        rows = self._row_supports[row]
        down = self._row_windows[row, rows].unsqueeze(1)
        # Always left to right: float sums of three or more tiles would otherwise depend on the order of arrival.
        for col, left in enumerate(self._lefts):
            cols = self._col_supports[col]
            target = self._sums[:, rows, left + cols.start : left + cols.stop]
            target.addcmul_(tiles[col][:, rows, cols], down * self._col_windows[col, cols])
        self._emit(row)

    def state(self) -> dict[str, Tensor]:
        """What is not yet finished, to go on from in another process."""
        return {"sums": self._sums, "next_row": torch.tensor(self._next_row)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`; the sink must have got all rows above."""
        self._sums.copy_(state["sums"])
        self._next_row = int(state["next_row"])
        skip(self._sink, self._tops[self._next_row])

    def _emit(self, row: int) -> None:
        """Send the rows that no later tile touches, and move the others to the top."""
        last = row + 1 == self._plan.rows
        top = self._tops[row]
        done = self._sums.shape[1] if last else self._tops[row + 1] - top
        for first, after in in_strips(done):
            strip = self._sums[:, first:after].clamp_(-1.0, 1.0)
            self._sink.write_rows(torch.empty(strip.shape).copy_(strip))
        rest = self._sums.shape[1] - done
        for first in range(0, rest, done):  # piece by piece, as the two places overlap when the step is short
            after = min(first + done, rest)
            self._sums[:, first:after] = self._sums[:, first + done : after + done]
        self._sums[:, rest:] = 0.0
