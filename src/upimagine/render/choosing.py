"""One candidate for each tile, so that neighbours agree: picking the best of every tile alone makes patchwork."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Costs = npt.NDArray[np.float64]


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


def choose_row(scores: Costs, left: Sequence[Costs], above: Costs, agreement: float) -> list[int]:
    """The winners of one tile row: the least of Σ −score + agreement · Σ differences, found exactly (Viterbi 1967).

    scores: (tiles, candidates), -inf for the vetoed. left: for each tile but the first, the differences between its
    left neighbour's candidates and its own, (candidates, candidates). above: (tiles, candidates), differences to the
    chosen tile above. Ties go to the lower candidate, leftmost tile first. agreement 0 is the best score of each tile.
    """
    if agreement == 0:
        return [int(winner) for winner in np.argmax(scores, axis=1)]
    unary = agreement * above - scores
    # From right to left: the cost of the best way onward from each candidate; then walk it from the left.
    onward = [unary[-1]]
    for tile in range(len(scores) - 2, -1, -1):
        onward.append(unary[tile] + (agreement * left[tile] + onward[-1]).min(axis=1))
    onward.reverse()
    winners = [int(np.argmin(onward[0]))]
    for tile in range(1, len(scores)):
        winners.append(int(np.argmin(agreement * left[tile - 1][winners[-1]] + onward[tile])))
    return winners


def as_costs(values: Tensor) -> Costs:
    """A small tensor as a float64 array."""
    costs: Costs = values.to(device="cpu", dtype=torch.float64).numpy()
    return costs
