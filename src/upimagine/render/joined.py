"""The canvas for tiles that disagree: each is joined to its neighbours along a cut; finished rows leave at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from upimagine.render.joins import Floats, cuts, join
from upimagine.render.plan import TilePlan
from upimagine.render.sinks import Sink, in_strips, skip

Blend = Literal["feather", "cut", "multiband"]

_TOGETHER = 16
"""Joins that are cut together: many times faster than one by one, and more would only take memory."""


class JoinedBands:
    """Joins chosen tiles, first along each row, then row to row, and hands finished rows to a sink.

    Holds one tile row, so memory grows with the width of the picture, not with its area. Stands in for `Bands`.
    """

    def __init__(
        self,
        plan: TilePlan,
        scale: int,
        sink: Sink,
        *,
        multiband: bool,
        avoid: Tensor | None = None,
        rim_px: int = 0,
    ) -> None:
        """avoid: (h, w) on the low-res plane, what a cut through each pixel costs beside the difference; 0 is free.
        rim_px: low-res pixels at the edges of tiles that cuts keep away from, where the overlap is wide enough."""
        self._plan, self._scale, self._sink, self._multiband = plan, scale, sink, multiband
        self._tile_px = plan.window_px * scale
        self._rim_px = rim_px * scale
        self._avoid = None if avoid is None else avoid.float().cpu().numpy()
        self._above: Floats | None = None  # rows of the canvas that the next tile row meets, (rows, W, 3)
        self._next_row = 0

    def add_row(self, row: int, tiles: Mapping[int, Tensor]) -> None:
        """Join in one whole tile row, {column: (3, tile, tile)}, rows in order, columns in any order.

        Raises ValueError when a row or a column is missing or comes twice: a picture with a hole must not go on.
        """
        self._plan.check_row(row, self._next_row, tiles)
        self._next_row += 1
        top = self._plan.row_starts_px[row] * self._scale
        strip = self._row(top, tiles)
        if self._above is not None and len(self._above):  # tiles that do not overlap have nothing to join
            meet_px = len(self._above)
            costs = self._costs(top, top + meet_px, 0, strip.shape[1])
            joined = self._join(
                [self._above.transpose(1, 0, 2)],
                [strip[:meet_px].transpose(1, 0, 2)],
                None if costs is None else [costs.T],
            )
            strip[:meet_px] = joined[0].transpose(1, 0, 2)
        last = row + 1 == self._plan.rows
        done = self._tile_px if last else self._plan.row_starts_px[row + 1] * self._scale - top
        self._above = None if last else strip[done:].copy()
        for first, after in in_strips(done):
            rows = torch.from_numpy(np.ascontiguousarray(strip[first:after].transpose(2, 0, 1)))
            self._sink.write_rows(rows.clamp_(-1.0, 1.0))

    def state(self) -> dict[str, Tensor]:
        """What is not yet finished, to go on from in another process."""
        above = np.empty((0, 0, 3), np.float32) if self._above is None else self._above
        return {"above": torch.from_numpy(above), "next_row": torch.tensor(self._next_row)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`; the sink must have got all rows above."""
        above = state["above"].numpy()
        self._above = above if above.size else None
        self._next_row = int(state["next_row"])
        skip(self._sink, self._plan.row_starts_px[self._next_row] * self._scale)

    def _row(self, top: int, tiles: Mapping[int, Tensor]) -> Floats:
        """The tiles of a row joined side by side, (tile, W, 3)."""
        lefts = [start * self._scale for start in self._plan.col_starts_px]
        meets = [0, *(left + self._tile_px - right for left, right in pairwise(lefts))]  # with the tile to the left
        shown = [tiles[col].permute(1, 2, 0).cpu().numpy() for col in range(len(lefts))]
        strip = np.empty((self._tile_px, self._plan.width_px * self._scale, 3), dtype=np.float32)
        strip[:, : self._tile_px] = shown[0]
        # Joins that do not touch each other are cut together, which is many times faster.
        for group in self._apart(meets):
            firsts, seconds, costs = [], [], []
            for col in group:
                left, meet_px = lefts[col], meets[col]
                if meet_px:
                    firsts.append(strip[:, left : left + meet_px])
                    seconds.append(shown[col][:, :meet_px])
                    costs.append(self._costs(top, top + self._tile_px, left, left + meet_px))
                strip[:, left + meet_px : left + self._tile_px] = shown[col][:, meet_px:]
            meeting = [col for col in group if meets[col]]
            known = [cost for cost in costs if cost is not None]
            for col, joined in zip(meeting, self._join(firsts, seconds, known or None), strict=True):
                strip[:, lefts[col] : lefts[col] + meets[col]] = joined
        return strip

    def _apart(self, meets: Sequence[int]) -> list[list[int]]:
        """Columns from the second on, in groups whose joins are of one width and do not touch each other."""
        groups: list[list[int]] = []
        for col in range(1, len(meets)):
            alike = groups and meets[groups[-1][-1]] == meets[col]
            if alike and len(groups[-1]) < _TOGETHER and meets[col - 1] + meets[col] <= self._tile_px:
                groups[-1].append(col)
            else:
                groups.append([col])
        return groups

    def _join(
        self, firsts: Sequence[Floats], seconds: Sequence[Floats], avoid: Sequence[Floats] | None
    ) -> list[Floats]:
        """Pairs of one size joined each."""
        if not firsts:
            return []
        dear = None if avoid is None else np.stack(avoid)
        where = cuts(np.stack(firsts), np.stack(seconds), dear, self._rim_px)
        return [
            join(first, second, place, multiband=self._multiband)
            for first, second, place in zip(firsts, seconds, where, strict=True)
        ]

    def _costs(self, top: int, bottom: int, left: int, right: int) -> Floats | None:
        """The costs of cutting there, at output size."""
        if self._avoid is None:
            return None
        k = self._scale
        part = self._avoid[top // k : bottom // k, left // k : right // k]
        return part.repeat(k, axis=0).repeat(k, axis=1)
