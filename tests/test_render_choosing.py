import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from upimagine.render.choosing import choose_row, overlap_differences


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.5, 1.0, 8.0]))
def test_the_row_is_chosen_as_by_trying_everything(seed: int, tiles: int, kinds: int, agreement: float) -> None:
    random = np.random.default_rng(seed)
    # Small whole numbers, so that ties are many and sums exact.
    scores = random.integers(-3, 4, (tiles, kinds)).astype(np.float64)
    scores[:, 1:][random.random((tiles, kinds - 1)) < 0.2] = -np.inf
    left = [random.integers(0, 4, (kinds, kinds)).astype(np.float64) for _ in range(tiles - 1)]
    above = random.integers(0, 4, (tiles, kinds)).astype(np.float64)

    def cost(labels: tuple[int, ...]) -> float:
        total = sum(agreement * above[tile, kind] - scores[tile, kind] for tile, kind in enumerate(labels))
        return float(total + sum(agreement * left[tile][labels[tile : tile + 2]] for tile in range(tiles - 1)))

    # min keeps the first of equals: the lowest candidate, leftmost tile first.
    best = min(itertools.product(range(kinds), repeat=tiles), key=cost)
    assert tuple(choose_row(scores, left, above, agreement)) == best


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
def test_without_agreement_each_tile_takes_its_best(seed: int, tiles: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(tiles, kinds))
    left = [random.random((kinds, kinds)) for _ in range(tiles - 1)]
    expected = scores.argmax(axis=1).tolist()
    assert choose_row(scores, left, random.random((tiles, kinds)), 0.0) == expected


def test_overlap_differences_are_mean_squares() -> None:
    generator = torch.Generator().manual_seed(1)
    here = torch.rand(3, 3, 5, 4, generator=generator)
    there = torch.rand(2, 3, 5, 4, generator=generator)
    expected = torch.stack([torch.stack([(a - b).square().mean() for b in there]) for a in here])
    assert torch.allclose(overlap_differences(here, there), expected, atol=1e-6)
    assert torch.equal(overlap_differences(here[:1], here[:1]), torch.zeros(1, 1))


def test_no_overlap_is_no_difference() -> None:
    assert torch.equal(overlap_differences(torch.rand(2, 3, 8, 0), torch.rand(2, 3, 8, 0)), torch.zeros(2, 2))
