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
_MOST_PAIRS = 1 << 17  # compared at a time: what bounds memory when many pictures are alike
# Bits are dealt out to the parts at random, for neighbouring frequencies go together and would fill a few buckets.
_DEAL = np.random.default_rng(0).permutation(BITS)
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
    dealt = np.ascontiguousarray(np.packbits(np.unpackbits(hashes, axis=1)[:, _DEAL], axis=1))
    parts, words = dealt.view(np.uint16), dealt.view(np.uint64)
    count = len(hashes)
    # Bits and index in one number, so that the smallest is the nearest and, of equals, the best.
    best = np.full(count, (REACH_BITS + 1) << 32, np.int64)
    for candidates in _candidates(parts, np.unique(rows)):
        one, other = candidates
        # Hardly any pair that is not near gets past the first half of the bits.
        hopeful = (_differing(words[one, :2], words[other, :2]) <= REACH_BITS) & (one != other)
        one, other = one[hopeful], other[hopeful]
        bits = _differing(words[one], words[other])
        near = bits <= REACH_BITS
        better, worse = np.minimum(one, other)[near], np.maximum(one, other)[near]
        np.minimum.at(best, worse, (bits[near] << 32) | better)
    found = best >> 32
    return np.where(found <= REACH_BITS, best & 0xFFFFFFFF, NONE), found


def _differing(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(P, words) twice to (P,): in how many bits they differ, added up in ever wider fields of each word.

    numpy has a function for it only from version 2 on.
    """
    words = one ^ other
    words -= (words >> np.uint64(1)) & np.uint64(0x5555555555555555)
    words = (words & np.uint64(0x3333333333333333)) + ((words >> np.uint64(2)) & np.uint64(0x3333333333333333))
    words += words >> np.uint64(4)
    words &= np.uint64(0x0F0F0F0F0F0F0F0F)
    words *= np.uint64(0x0101010101010101)
    counts: NDArray[np.int64] = (words >> np.uint64(56)).astype(np.int64).sum(axis=1)
    return counts


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
