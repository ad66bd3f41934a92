"""The choice over the grid, tile row after tile row, each with a look at the next one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from upimagine.render.choosing import Costs, RowBelow, RowCosts, as_costs, choose_row, overlap_differences
from upimagine.render.layout import Layout
from upimagine.render.plan import TilePlan
from upimagine.render.rows import CandidateRow


class Chooser:
    """The winners of each tile row, given those of the row above and, on a wrapped plane, of the same places."""

    def __init__(self, layout: Layout, scale: int, agreement: float) -> None:
        self._layout, self._scale, self._agreement = layout, scale, agreement
        self.winners: list[tuple[int, ...]] = []
        self._above: Costs | None = None  # (tiles, candidates): how this row differs from the chosen tiles above it
        self._seen: RowCosts | None = None  # of this row, from when it was the row below

    def choose(self, row: int, here: CandidateRow, below: CandidateRow | None) -> list[int]:
        """The candidate that wins at each place of a tile row. below: the next row; None for the last one, and where
        there is no choice, or neighbours are ignored."""
        plan, scale = self._layout.plan, self._scale
        if self._agreement == 0 or len(here.pictures) == 1:
            won = self._bound(row, choose_row(RowCosts(as_costs(here.scores), ()), np.zeros(0), 0.0))
            self.winners.append(tuple(won))
            return won
        costs = self._seen or row_costs(plan, scale, here)
        above = np.zeros_like(costs.scores) if self._above is None else self._above
        following = None
        self._seen = self._above = None
        if below is not None:
            self._seen = row_costs(plan, scale, below)
            following = RowBelow(self._as_chosen(row + 1, self._seen), down_costs(plan, scale, row, here, below))
        won = self._bound(row, choose_row(costs, above, self._agreement, following))
        if following is not None:
            self._above = np.stack([down[winner] for down, winner in zip(following.down, won, strict=True)])
        self.winners.append(tuple(won))
        return won

    def state(self) -> dict[str, Tensor]:
        """All choices so far, to go on from in another process."""
        state = {"winners": torch.tensor(self.winners)}
        return state if self._above is None else state | {"above": torch.from_numpy(self._above)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self.winners = [tuple(int(winner) for winner in won) for won in state["winners"]]
        self._above = state["above"].numpy() if "above" in state else None

    def _chosen_before(self, row: int) -> tuple[int, ...] | None:
        """The winners of a row of a wrapped plane whose pixels were seen at the other end."""
        places = self._layout.row_places
        if places is None or places.index(places[row]) >= len(self.winners):
            return None
        return self.winners[places.index(places[row])]

    def _bound(self, row: int, won: list[int]) -> list[int]:
        """The same winner wherever a wrapped plane shows the same pixels."""
        before, places = self._chosen_before(row), self._layout.col_places
        if before is not None:
            return list(before)
        return won if places is None else [won[places.index(place)] for place in places]

    def _as_chosen(self, row: int, costs: RowCosts) -> RowCosts:
        """A row whose winners are known already has no other candidates."""
        before = self._chosen_before(row)
        if before is None:
            return costs
        only = np.full_like(costs.scores, -np.inf)
        only[np.arange(len(only)), before] = 0.0
        return RowCosts(only, costs.right)


def row_costs(plan: TilePlan, scale: int, row: CandidateRow) -> RowCosts:
    """Scores of a row, and how its candidates differ where tiles side by side overlap."""
    right: list[Costs] = []
    for col in range(1, plan.cols):
        right_px = (plan.col_starts_px[col] - plan.col_starts_px[col - 1]) * scale
        meet_px = plan.window_px * scale - right_px
        here, there = row.pictures[:, col - 1, :, :, right_px:], row.pictures[:, col, :, :, :meet_px]
        right.append(as_costs(overlap_differences(here, there)))
    return RowCosts(as_costs(row.scores), right)


def down_costs(plan: TilePlan, scale: int, row: int, here: CandidateRow, below: CandidateRow) -> list[Costs]:
    """How the candidates of each tile of a row differ from those of the tile below, where both overlap."""
    down_px = (plan.row_starts_px[row + 1] - plan.row_starts_px[row]) * scale
    meet_px = plan.window_px * scale - down_px
    return [
        as_costs(overlap_differences(here.pictures[:, col, :, down_px:], below.pictures[:, col, :, :meet_px]))
        for col in range(plan.cols)
    ]
