"""The search for near hashes finds what comparing all with all finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upimagine.data import near
from upimagine.data.near import NONE, REACH_BITS, nearest_better


def families(count: int, most_bits: int, seed: int) -> np.ndarray:
    """(count, 32): hashes that stray by up to so many bits from a few ancestors, in any order."""
    chance = np.random.default_rng(seed)
    ancestors = chance.integers(0, 256, (max(1, count // 5), 32), dtype=np.uint8)
    hashes = ancestors[chance.integers(0, len(ancestors), count)]
    for row in hashes:
        for bit in chance.choice(256, chance.integers(0, most_bits + 1), replace=False):
            row[bit // 8] ^= 1 << bit % 8
    return hashes


def by_force(hashes: np.ndarray, rows: list[int]) -> tuple[list[int], list[int]]:
    bits = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(axis=2, dtype=int)
    better, distance = [], []
    for index in range(len(hashes)):
        others = [
            (bits[index, other], other)
            for other in range(index)
            if bits[index, other] <= REACH_BITS and (index in rows or other in rows)
        ]
        nearest = min(others, default=(REACH_BITS + 1, NONE))
        distance.append(int(nearest[0]))
        better.append(int(nearest[1]))
    return better, distance


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 24), st.integers(0, 1000), st.data())
def test_it_finds_what_comparing_all_with_all_finds(count: int, most_bits: int, seed: int, data: st.DataObject) -> None:
    hashes = families(count, most_bits, seed)
    rows = data.draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    better, bits = nearest_better(hashes, np.array(rows))
    assert (better.tolist(), bits.tolist()) == by_force(hashes, rows)


@pytest.mark.parametrize("bits", [REACH_BITS, REACH_BITS + 1])
def test_the_reach_is_what_it_says(bits: int) -> None:
    """The worst case: the differing bits spread evenly, so that as few parts as can be are nearly alike."""
    one = np.zeros(256, np.uint8)
    other = one.copy()
    other[near._DEAL[[(step * 16) % 256 + step // 16 for step in range(bits)]]] = 1
    hashes = np.packbits(np.stack((one, other)), axis=1)
    better, found = nearest_better(hashes, np.array([1]))
    assert better.tolist() == ([NONE, 0] if bits <= REACH_BITS else [NONE, NONE])
    assert found[1] == min(bits, REACH_BITS + 1)


def test_many_equal_hashes_are_compared_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.concatenate((families(30, 3, 5), np.zeros((70, 32), np.uint8)))
    whole = nearest_better(hashes, np.arange(100))
    monkeypatch.setattr(near, "_MOST_PAIRS", 7)
    portions = nearest_better(hashes, np.arange(100))
    assert all(np.array_equal(one, other) for one, other in zip(whole, portions, strict=True))
    assert whole[0][31:].tolist() == [30] * 69, "the best of equals"
