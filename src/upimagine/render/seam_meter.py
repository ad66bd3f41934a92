"""Seam measures of a picture that streams by, in memory that grows with its width alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from upimagine.render.journal import part, parts
from upimagine.render.luma import luma
from upimagine.render.plan import TilePlan
from upimagine.render.seams import BLOCK_PX, NO_SEAMS, TONE_PX, Doubles, Lines, Seams, mean, over, period_energy, sigmas


def measure_seams(picture: Tensor, plan: TilePlan, scale: int) -> Seams:
    """Seam measures of (3, H, W) in [-1, 1] that was made by a plan at a scale; it may be a crop, from the top left."""
    meter = SeamMeter(plan, scale, (picture.shape[1], picture.shape[2]))
    meter.write_rows(picture)
    return meter.seams()


class SeamMeter:
    """A sink that looks at the rows it is given.

    Lines inside tiles, from the middle half between two seams, tell what the picture itself does there; both
    directions count.
    """

    def __init__(
        self, plan: TilePlan, scale: int, size_px: tuple[int, int], origin_px: tuple[int, int] = (0, 0)
    ) -> None:
        """size_px: (height, width) of the picture that will come; origin_px: where on the plan's canvas it begins."""
        height, width = size_px
        self._across = Lines.of(plan.col_starts_px, plan.window_px, scale, width, origin_px[1])
        self._down = Lines.of(plan.row_starts_px, plan.window_px, scale, height, origin_px[0])
        self._measured = bool(self._across.seams or self._down.seams)
        self._pitch_px = (plan.stride_px * scale) if plan.stride_px else 0
        self._waiting: list[Tensor] = []  # rows short of a block
        self._row = 0  # rows measured so far
        self._last: Tensor | None = None  # the row above
        self._jumps_across = np.zeros(width)  # sum over rows of |gradient| at every column
        self._jumps_down: list[float] = []  # mean over columns at every row
        self._deviations_across = np.zeros(len(self._across.blocks))
        self._steps_across = np.zeros(len(self._across.steps))
        self._rows_of_blocks = self._rows_of_steps = 0
        self._blocks_down = _Passing(self._down.blocks, BLOCK_PX // 2, width // BLOCK_PX, _deviation)
        self._steps_down = _Passing(self._down.steps, TONE_PX, width // TONE_PX, _step)

    def write_rows(self, rows: Tensor) -> None:
        """Look at the next (3, h, W) in [-1, 1]."""
        if not self._measured:
            return
        self._waiting.append((luma(rows.unsqueeze(0))[0] + 1.0) * 127.5)  # (h, W) in 0...255
        ready = sum(len(strip) for strip in self._waiting) // TONE_PX * TONE_PX
        if ready:
            grey = torch.cat(self._waiting)
            self._waiting = [grey[ready:].clone()]
            self._look(grey[:ready])

    def seams(self) -> Seams:
        """What was found, once all rows have come."""
        if not self._measured:
            return NO_SEAMS
        rest = torch.cat(self._waiting) if self._waiting else torch.empty(0, len(self._jumps_across))
        self._waiting = []
        if len(rest):
            self._look(rest)
        jumps = _both(
            self._across.split(self._jumps_across / max(self._row, 1)), self._down.split(np.asarray(self._jumps_down))
        )
        blocks_across = self._deviations_across / max(self._rows_of_blocks, 1)
        steps_across = self._steps_across / max(self._rows_of_steps, 1)
        deviations = _both(
            self._across.parts(blocks_across, self._across.blocks),
            self._down.parts(self._blocks_down.told(), self._down.blocks),
        )
        steps = _both(
            self._across.parts(steps_across, self._across.steps),
            self._down.parts(self._steps_down.told(), self._down.steps),
        )
        return Seams(
            ratio=over(mean(jumps[0]), mean(jumps[1])),
            contrast_dip=over(mean(deviations[0]), mean(deviations[1])),
            tone_step=mean(steps[0]) - mean(steps[1]),
            period=period_energy(
                [
                    (self._jumps_across / max(self._row, 1), self._across.seams),
                    (np.asarray(self._jumps_down), self._down.seams),
                ],
                self._pitch_px,
            ),
            ratio_sigmas=sigmas(*jumps),
            dip_sigmas=-sigmas(*deviations),
            step_sigmas=sigmas(*steps),
        )

    def state(self) -> dict[str, Tensor]:
        """Everything measured so far, to go on from in another process."""
        waiting = torch.cat(self._waiting) if self._waiting else torch.empty(0, len(self._jumps_across))
        numbers = [self._row, self._rows_of_blocks, self._rows_of_steps]
        return {
            "waiting": waiting,
            "numbers": torch.tensor(numbers),
            "last": torch.empty(0) if self._last is None else self._last,
            "jumps_across": torch.from_numpy(self._jumps_across),
            "jumps_down": torch.tensor(self._jumps_down, dtype=torch.float64),
            "deviations_across": torch.from_numpy(self._deviations_across),
            "steps_across": torch.from_numpy(self._steps_across),
            **parts(blocks_down=self._blocks_down.state(), steps_down=self._steps_down.state()),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self._waiting = [state["waiting"]]
        self._row, self._rows_of_blocks, self._rows_of_steps = (int(number) for number in state["numbers"])
        self._last = state["last"] if len(state["last"]) else None
        self._jumps_across = state["jumps_across"].numpy()
        self._jumps_down = state["jumps_down"].tolist()
        self._deviations_across = state["deviations_across"].numpy()
        self._steps_across = state["steps_across"].numpy()
        self._blocks_down.load(part(state, "blocks_down"))
        self._steps_down.load(part(state, "steps_down"))

    def _look(self, grey: Tensor) -> None:
        """Measure the next rows (h, W), h a multiple of the blocks' sides but at the end."""
        top, height = self._row, len(grey)
        self._row += height
        self._jumps_across[1:] += (grey[:, 1:] - grey[:, :-1]).abs_().sum(dim=0, dtype=torch.float64).numpy()
        above = grey[:1] if self._last is None else self._last[None]
        self._jumps_down += (grey - torch.cat((above, grey[:-1]))).abs_().mean(dim=1).tolist()
        self._last = grey[-1].clone()
        if height < BLOCK_PX and self._rows_of_blocks:
            return
        self._look_across(grey)
        self._look_down(grey, top)

    def _look_across(self, grey: Tensor) -> None:
        """Blocks either side of vertical lines, summed by running sums along the rows."""
        for side_px, lines in ((BLOCK_PX, self._across.blocks), (TONE_PX, self._across.steps)):
            count = max(len(grey) // side_px, 1)
            group = min(side_px, len(grey))
            stacked = grey[: count * group].reshape(count, group, -1).double()
            at = np.asarray(lines, dtype=np.intp)
            sums = _running(stacked.sum(dim=1))
            if side_px == TONE_PX:
                before, after = sums[:, at] - sums[:, at - side_px], sums[:, at + side_px] - sums[:, at]
                self._steps_across += np.abs(after - before).sum(axis=0) / (group * side_px)
                self._rows_of_steps += count
                continue
            squares = _running(stacked.square().sum(dim=1))
            half, values = side_px // 2, group * side_px
            mean = (sums[:, at + half] - sums[:, at - half]) / values
            mean_square = (squares[:, at + half] - squares[:, at - half]) / values
            self._deviations_across += np.sqrt(np.maximum(mean_square - mean**2, 0)).sum(axis=0)
            self._rows_of_blocks += count

    def _look_down(self, grey: Tensor, top: int) -> None:
        """Blocks either side of horizontal lines: each line takes of these rows what lies beside it."""
        for line, first, last in self._blocks_down.beside(top, len(grey)):
            blocks = _columns(grey[first - top : last - top], BLOCK_PX)
            sums = np.stack((blocks.sum(dim=(0, 2)).numpy(), blocks.square().sum(dim=(0, 2)).numpy()))
            self._blocks_down.add(line, sums, last)
        for line, first, last in self._steps_down.beside(top, len(grey)):
            both = [grey[max(first, start) - top : max(min(last, stop) - top, 0)] for start, stop in _sides(line)]
            sums = np.stack([_columns(rows, TONE_PX).sum(dim=(0, 2)).numpy() for rows in both])
            self._steps_down.add(line, sums, last)


class _Passing:
    """What is summed beside horizontal lines: in full while rows beside a line come, afterwards as one number each, so
    that memory does not grow with the picture's height times its width."""

    def __init__(self, lines: list[int], reach_px: int, blocks: int, tell: Callable[[Doubles], float]) -> None:
        self._lines, self._reach_px, self._blocks, self._tell = lines, reach_px, blocks, tell
        self._open: dict[int, Doubles] = {}
        self._told: dict[int, float] = {}

    def beside(self, top: int, height: int) -> list[tuple[int, int, int]]:
        """Lines that lie beside these rows, each with the first of them and the one after the last."""
        near = [
            (line, max(line - self._reach_px, top), min(line + self._reach_px, top + height)) for line in self._lines
        ]
        return [(line, first, last) for line, first, last in near if first < last]

    def add(self, line: int, sums: Doubles, last: int) -> None:
        """Sums (2, blocks) beside a line, of rows up to `last`."""
        so_far = self._open.pop(line, np.zeros((2, self._blocks))) + sums
        if last == line + self._reach_px:
            self._told[line] = self._tell(so_far)
        else:
            self._open[line] = so_far

    def told(self) -> list[float]:
        """A number for each line."""
        for line, sums in self._open.items():
            self._told[line] = self._tell(sums)
        return [self._told.get(line, 0.0) for line in self._lines]

    def state(self) -> dict[str, Tensor]:
        """All so far, to go on from in another process."""
        told = torch.tensor([*self._told.items()], dtype=torch.float64).reshape(-1, 2)
        return {"told": told, **{str(line): torch.from_numpy(sums) for line, sums in self._open.items()}}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self._told = {int(line): value for line, value in state["told"].tolist()}
        self._open = {int(line): sums.numpy() for line, sums in state.items() if line != "told"}


def _sides(line: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows above and below a line whose means are compared."""
    return (line - TONE_PX, line), (line, line + TONE_PX)


def _both(one: tuple[list[float], list[float]], other: tuple[list[float], list[float]]) -> tuple[list[float], ...]:
    """Values at seams and inside, of both directions together."""
    return one[0] + other[0], one[1] + other[1]


def _running(rows: Tensor) -> Doubles:
    """(n, W) to running sums (n, W + 1) that begin with 0."""
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1))
    np.cumsum(rows.numpy(), axis=1, out=sums[:, 1:])
    return sums


def _columns(rows: Tensor, side_px: int) -> Tensor:
    """(h, W) to (h, W // side, side) float64; what is left over at the right is dropped."""
    count = rows.shape[1] // side_px
    return rows[:, : count * side_px].reshape(rows.shape[0], count, side_px).double()


def _deviation(sums: Doubles) -> float:
    """Mean deviation of full blocks, from their sums and sums of squares (2, blocks)."""
    mean, mean_square = sums / BLOCK_PX**2
    return float(np.sqrt(np.maximum(mean_square - mean**2, 0)).mean()) if mean.size else 0.0


def _step(sums: Doubles) -> float:
    """Mean difference of blocks before and after a line, from their sums (2, blocks)."""
    return float(np.abs(sums[1] - sums[0]).mean() / TONE_PX**2) if sums.size else 0.0
