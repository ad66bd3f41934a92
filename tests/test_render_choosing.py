import itertools
from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from upimagine.render.choosing import Costs, RowBelow, RowCosts, choose_row, overlap_differences


def costs(random: np.random.Generator, tiles: int, kinds: int) -> RowCosts:
    # Small whole numbers, so that ties are many and sums exact.
    scores = random.integers(-3, 4, (tiles, kinds)).astype(np.float64)
    scores[:, 1:][random.random((tiles, kinds - 1)) < 0.2] = -np.inf
    return RowCosts(scores, [random.integers(0, 4, (kinds, kinds)).astype(np.float64) for _ in range(tiles - 1)])


def energy(row: RowCosts, labels: tuple[int, ...], agreement: float) -> float:
    total = -sum(float(row.scores[tile, kind]) for tile, kind in enumerate(labels))
    return total + sum(agreement * row.right[tile][labels[tile : tile + 2]] for tile in range(len(labels) - 1))


def met(differences: Sequence[Costs], labels: tuple[int, ...], below: tuple[int, ...]) -> float:
    return float(sum(tile[a, b] for tile, a, b in zip(differences, labels, below, strict=True)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.5, 1.0, 8.0]))
def test_the_row_is_chosen_as_by_trying_everything(seed: int, tiles: int, kinds: int, agreement: float) -> None:
    random = np.random.default_rng(seed)
    row = costs(random, tiles, kinds)
    above = random.integers(0, 4, (tiles, kinds)).astype(np.float64)

    def cost(labels: tuple[int, ...]) -> float:
        return energy(row, labels, agreement) + agreement * float(above[range(tiles), labels].sum())

    # min keeps the first of equals: the lowest candidate, leftmost tile first.
    best = min(itertools.product(range(kinds), repeat=tiles), key=cost)
    assert tuple(choose_row(row, above, agreement)) == best


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
def test_with_the_row_below_the_two_together_are_best(seed: int, tiles: int, kinds: int, fewer: int) -> None:
    random = np.random.default_rng(seed)
    row, lower = costs(random, tiles, kinds), costs(random, tiles, fewer)
    down = [random.integers(0, 4, (kinds, fewer)).astype(np.float64) for _ in range(tiles)]
    above = random.integers(0, 4, (tiles, kinds)).astype(np.float64)

    def cost(labels: tuple[int, ...]) -> float:
        own = energy(row, labels, 1.0) + float(above[range(tiles), labels].sum())
        ways = itertools.product(range(fewer), repeat=tiles)
        return own + min(energy(lower, other, 1.0) + met(down, labels, other) for other in ways)

    least = min(cost(labels) for labels in itertools.product(range(kinds), repeat=tiles))
    assert cost(tuple(choose_row(row, above, 1.0, RowBelow(lower, down)))) == least


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
def test_without_agreement_each_tile_takes_its_best(seed: int, tiles: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    row = costs(random, tiles, kinds)
    assert choose_row(row, random.random((tiles, kinds)), 0.0) == row.scores.argmax(axis=1).tolist()


def test_overlap_differences_are_mean_squares() -> None:
    generator = torch.Generator().manual_seed(1)
    here = torch.rand(3, 3, 5, 4, generator=generator)
    there = torch.rand(2, 3, 5, 4, generator=generator)
    expected = torch.stack([torch.stack([(a - b).square().mean() for b in there]) for a in here])
    assert torch.allclose(overlap_differences(here, there), expected, atol=1e-6)
    assert torch.equal(overlap_differences(here[:1], here[:1]), torch.zeros(1, 1))


def test_no_overlap_is_no_difference() -> None:
    assert torch.equal(overlap_differences(torch.rand(2, 3, 8, 0), torch.rand(2, 3, 8, 0)), torch.zeros(2, 2))
