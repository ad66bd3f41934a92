"""Nearest hashes among very many: multi-index hashing (Norouzi, Punjani and Fleet 2012, 1307.2982)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from upimagine.data.phash import BITS

REACH_BITS = 31
"""Hashes farther apart than this are not looked for. With 16 parts of 16 bits, of any two hashes within it one part
differs in at most one bit, so 17 buckets a part hold all that can be near."""

_PARTS = BITS // 16
_FLIPS = np.array([0, *(1 << bit for bit in range(16))], np.uint16)
_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)
_MOST_PAIRS = 1 << 20  # compared at a time: what bounds memory when many pictures are alike
NONE = -1


def nearest_better(hashes: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each hash, the nearest one before it, as far as `rows` have a part in it.

    Args:
        hashes: (N, 32) bytes, the best picture first.
        rows: which of them are to be compared with all others. A pair of two other rows is not looked at.

    Returns:
        (N,) the index of the nearest hash with a smaller index, the smallest of equally near ones, `NONE` where there
        is none within `REACH_BITS`; and (N,) the bits in which they differ, `REACH_BITS + 1` where there is none.
    """
    parts = np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, _PARTS)
    count = len(parts)
    # Bits and index in one number, so that the smallest is the nearest and, of equals, the best.
    best = np.full(count, (REACH_BITS + 1) << 32, np.int64)
    for one, other in _candidates(parts, np.unique(rows)):
        bits = _ONES[parts[one] ^ parts[other]].sum(axis=1, dtype=np.int64)
        near = (bits <= REACH_BITS) & (one != other)
        better, worse = np.minimum(one, other)[near], np.maximum(one, other)[near]
        np.minimum.at(best, worse, (bits[near] << 32) | better)
    found = best >> 32
    return np.where(found <= REACH_BITS, best & 0xFFFFFFFF, NONE), found


def _candidates(
    parts: NDArray[np.uint16], rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of a row and any hash that share a part, or nearly; some several times."""
    for number in range(_PARTS):
        values = parts[:, number]
        order = np.argsort(values, kind="stable").astype(np.int64)
        starts = np.searchsorted(values[order], np.arange((1 << 16) + 1))
        for flip in _FLIPS:
            wanted = (values[rows] ^ flip).astype(np.int64)
            first, size = starts[wanted], starts[wanted + 1] - starts[wanted]
            for part in _portions(size):
                lengths = size[part]
                one = np.repeat(rows[part], lengths)
                places = np.arange(len(one)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
                yield one, order[np.repeat(first[part], lengths) + places]


def _portions(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Cut buckets into runs of about `_MOST_PAIRS` pairs, a single larger bucket by itself."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _MOST_PAIRS, side="right")))
        yield slice(start, stop)
        start = stop
