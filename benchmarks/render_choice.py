"""By how much the choice tile by tile, row by row, and with a look ahead misses the best one over the whole grid."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from upimagine import pixels
from upimagine.make.stages import render_settings
from upimagine.models.loaded import load_upscaler
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Enlarge
from upimagine.render.chooser import down_costs, row_costs
from upimagine.render.choosing import Costs, RowBelow, RowCosts, choose_row
from upimagine.render.layout import lay_out
from upimagine.render.network import NetworkCalls
from upimagine.render.rows import CandidateRow, RowMaker

_PLANE_PX = 112  # six tiles a row: the exact search takes candidates ** 6 numbers


class Grid:
    """Scores (rows, cols, K) of all tiles, and differences to the right and below (rows, cols, K, K)."""

    def __init__(self, scores: Costs, right: Costs, down: Costs, agreement: float) -> None:
        self.scores, self.right, self.down, self.agreement = scores, right, down, agreement

    def row(self, row: int) -> RowCosts:
        return RowCosts(self.scores[row], list(self.right[row]))

    def energy(self, won: Costs) -> float:
        rows, cols = np.indices(won.shape)
        beside = self.right[rows[:, :-1], cols[:, :-1], won[:, :-1], won[:, 1:]].sum()
        below = self.down[rows[:-1], cols[:-1], won[:-1], won[1:]].sum()
        return float(self.agreement * (beside + below) - self.scores[rows, cols, won].sum())

    def by_rows(self, look_ahead: bool) -> Costs:
        """As the renderer chooses."""
        won: list[list[int]] = []
        above = np.zeros_like(self.scores[0])
        for row in range(len(self.scores)):
            last = row + 1 == len(self.scores)
            below = RowBelow(self.row(row + 1), list(self.down[row])) if look_ahead and not last else None
            won.append(choose_row(self.row(row), above, self.agreement, below))
            if not last:
                above = self.down[row][range(len(won[-1])), won[-1]]
        return np.array(won)

    def alone(self) -> Costs:
        """The best of every tile by itself."""
        best: Costs = self.scores.argmax(axis=2)
        return best

    def least(self) -> float:
        """The least energy over the whole grid, exactly: tile after tile leaves the frontier, one tile a column, whose
        candidates take part in every combination."""
        rows, cols, _ = self.scores.shape
        ways = np.zeros((1,) * cols)  # over the candidates of the last tile of each column
        for row in range(rows):
            for col in range(cols):
                if row:
                    down = self.agreement * self.down[row - 1, col]  # (above, here)
                    above = np.moveaxis(ways, col, -1)
                    here = np.stack([(above + down[:, kind]).min(axis=-1) for kind in range(down.shape[1])], axis=-1)
                else:
                    here = np.repeat(np.moveaxis(ways, col, -1), self.scores.shape[2], axis=-1)
                here = here - self.scores[row, col]
                ways = np.moveaxis(here, -1, col)
                if col:
                    beside = self.agreement * self.right[row, col - 1]
                    shape = [1] * cols
                    shape[col - 1], shape[col] = beside.shape
                    ways = ways + beside.reshape(shape)
        return float(ways.min())


def grid_of(path: Path, best_of: int) -> Grid:
    """All candidates of a picture at _PLANE_PX through detail-x8."""
    upscaler = load_upscaler("detail-x8")
    stage = Enlarge(model="detail-x8", stride_px=16, best_of=best_of)
    settings = render_settings(stage, upscaler.window_px)
    low = resize_antialiased(pixels.read(path).pixels[None], (_PLANE_PX, _PLANE_PX))
    layout = lay_out(low, upscaler, settings, None, None)
    plan, made = layout.plan, []
    with NetworkCalls(settings.batch_tiles, low.device) as calls, torch.no_grad():
        maker = RowMaker(
            layout, [upscaler], upscaler.critic,
            variants=settings.candidates(), settings=settings, calls=calls,
        )  # fmt: skip
        for row in range(plan.rows):
            one = maker.make(row)
            made.append(CandidateRow(one.pictures.clone(), one.scores))
    rows = [row_costs(plan, upscaler.scale, one) for one in made]
    down = [down_costs(plan, upscaler.scale, row, made[row], made[row + 1]) for row in range(plan.rows - 1)]
    return Grid(
        np.stack([row.scores for row in rows]), np.stack([row.right for row in rows]), np.array(down),
        settings.agreement,
    )  # fmt: skip


def choice(paths: Sequence[Path]) -> None:
    for best_of in (2, 8):
        left: dict[str, list[float]] = {"tile by tile": [], "row by row": [], "with a row of look-ahead": []}
        least, same = [], 0
        for path in paths:
            grid = grid_of(path, best_of)
            least.append(grid.least())
            for name, won in zip(left, (grid.alone(), grid.by_rows(False), grid.by_rows(True)), strict=True):
                left[name].append(grid.energy(won) - least[-1])
            same += left["with a row of look-ahead"][-1] < 1e-9
        told = ", ".join(f"{statistics.mean(found):.3f} ({max(found):.3f} most) {name}" for name, found in left.items())
        print(
            f"choice: {best_of} candidates, {len(paths)} pictures of {grid.scores[..., 0].size} tiles: energy above "
            f"the least, {statistics.mean(least):.1f} in the mean: {told}; {same} exactly the least"
        )
