"""One candidate for each tile, so that neighbours agree: picking the best of every tile alone makes patchwork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Costs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowCosts:
    """What the choice of one tile row depends on by itself."""

    scores: Costs
    """(tiles, candidates), -inf for the vetoed."""
    right: Sequence[Costs]
    """For each tile but the last, how its candidates differ from those to the right, (candidates, candidates)."""


@dataclass(frozen=True)
class RowBelow:
    """The next tile row, where the choice looks ahead."""

    costs: RowCosts
    down: Sequence[Costs]
    """For each tile, how its candidates differ from those of the tile below, (candidates, candidates below)."""


def overlap_differences(here: Tensor, there: Tensor) -> Tensor:
    """Mean squared differences of the same pixels in K and M candidates, (K, 3, h, w) and (M, 3, h, w), as (K, M)."""
    # ‖a − b‖² = aa + bb − 2ab turns K·M passes over the pixels into one matrix product; measured from one of the
    # candidates, so that little is lost to cancellation.
    both = torch.cat((here, there)).sub_(here[:1]).flatten(1)
    products = both @ both.T
    squares = products.diagonal()
    count = len(here)
    differences = squares[:count].unsqueeze(1) + squares[count:] - 2.0 * products[:count, count:]
    return differences.clamp_min_(0.0) / max(both.shape[1], 1)


def choose_row(row: RowCosts, above: Costs, agreement: float, below: RowBelow | None = None) -> list[int]:
    """The winners of one tile row: those of the least Σ −score + agreement · Σ differences (Viterbi 1967).

    above: (tiles, candidates), differences to the chosen tile above. With the row below, the energy of both rows
    together is made least, exactly, and its winners are forgotten: they are chosen when their own turn comes. Ties go
    to the lower candidate, leftmost tile first. agreement 0 is the best score of each tile.
    """
    if agreement == 0:
        return [int(winner) for winner in np.argmax(row.scores, axis=1)]
    tiles = len(row.scores)
    # A row without one below is a row above one that has a single candidate and nothing to agree with.
    lower = np.zeros((tiles, 1)) if below is None else -below.costs.scores
    lower_right = [np.zeros((1, 1))] * (tiles - 1) if below is None else [agreement * d for d in below.costs.right]
    unary = (agreement * above - row.scores)[:, :, None] + lower[:, None, :]  # (tiles, candidates, candidates below)
    if below is not None:
        unary += agreement * np.stack(below.down)
    right = [agreement * differences for differences in row.right]
    # From right to left: the cost of the best way onward from each pair of candidates; then walk it from the left.
    onward = [unary[-1]]
    for tile in range(tiles - 2, -1, -1):
        # Least over the upper neighbour, then over the lower one: K³ instead of K⁴ sums.
        upper_least = (right[tile][:, :, None] + onward[-1]).min(axis=1)
        onward.append(unary[tile] + (upper_least[:, None, :] + lower_right[tile]).min(axis=2))
    onward.reverse()
    at = np.unravel_index(np.argmin(onward[0]), onward[0].shape)
    winners = [int(at[0])]
    for tile in range(1, tiles):
        ways = right[tile - 1][at[0]][:, None] + lower_right[tile - 1][at[1]] + onward[tile]
        at = np.unravel_index(np.argmin(ways), ways.shape)
        winners.append(int(at[0]))
    return winners


def as_costs(values: Tensor) -> Costs:
    """A small tensor as a float64 array."""
    costs: Costs = values.to(device="cpu", dtype=torch.float64).numpy()
    return costs
