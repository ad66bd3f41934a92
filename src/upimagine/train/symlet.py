"""Symlets, Daubechies' least asymmetric orthonormal filters, computed instead of tabulated."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray


@cache
def symlet(moments: int) -> NDArray[np.float64]:
    """Low-pass taps (2 * moments,), orthonormal to their own even shifts, with so many vanishing moments, sum sqrt(2).

    Spectral factorisation (Daubechies, "Ten lectures on wavelets", 1992, chapters 6 and 8): the zeros of
    P(y) = sum_k C(moments - 1 + k, k) y^k, y = (2 - z - 1/z) / 4, come in pairs z, 1/z, of which one is taken. Of all
    choices this is the most symmetrical, and of it and its mirror image the one whose weight lies before the middle.
    `symlet(6)` is the "sym6" of stylegan2-ada, training/augment.py.
    """
    zeros = np.roots([math.comb(moments - 1 + k, k) for k in reversed(range(moments))])
    pairs = [_inside(complex(zero)) for zero in zeros if zero.imag >= 0]
    choices = []
    for powers in itertools.product((1, -1), repeat=len(pairs)):
        chosen = [zero**power for pair, power in zip(pairs, powers, strict=True) for zero in pair]
        taps = np.real(np.poly([-1.0] * moments + chosen))
        choices.append(taps * math.sqrt(2) / taps.sum())
    best: NDArray[np.float64] = min(choices, key=lambda taps: float(np.abs(taps - taps[::-1]).sum()))
    return best if centre(best) < moments - 0.5 else best[::-1].copy()


def centre(taps: NDArray[np.float64]) -> float:
    """Where the weight of a filter lies, in taps from its first."""
    return float((taps * np.arange(len(taps))).sum() / taps.sum())


def _inside(zero: complex) -> list[complex]:
    """The z within the unit circle that belongs to y, and its conjugate unless it is real."""
    both = np.roots([1, -(2 - 4 * zero), 1])
    z = complex(both[np.argmin(np.abs(both))])
    return [z] if zero.imag == 0 else [z, z.conjugate()]
