"""A taste, learned from some dozens of swipes: what a picture's chance to be kept is, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upimagine.choose.logistic import Reals, fit_logistic, fit_platt, log_loss, sigmoid
from upimagine.errors import UpimagineError

LEAST, LEAST_OF_EACH = 24, 6
"""Swipes that are needed, and how many of these must be keeps, and rejects."""
_FOLDS, _INNER_FOLDS = 5, 4
_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class Sureness:
    """How often a taste was right about swipes that it had not seen (cross-validation in five parts)."""

    swipes: int
    right: int
    always: float
    """How often one is right who always says the commoner thing."""

    @property
    def accuracy(self) -> float:
        """Share of swipes, 0 to 1."""
        return self.right / self.swipes

    @property
    def interval(self) -> tuple[float, float]:
        """Where the accuracy lies with 95 % certainty (Wilson 1927)."""
        n, z = self.swipes, 1.96
        middle = (self.accuracy + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * math.sqrt(self.accuracy * (1 - self.accuracy) / n + z * z / (4 * n * n))
        return middle - reach, middle + reach

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"right about {self.accuracy:.0%} of {self.swipes} swipes it had not seen "
            f"({low:.0%} to {high:.0%}); always saying the commoner: {self.always:.0%}"
        )


@dataclass(frozen=True)
class Taste:
    """What was learned. `chances` of the pictures that taught it are those of models that had not seen them."""

    weights: Reals
    bias: float
    slope: float
    shift: float
    sureness: Sureness

    def chances(self, rows: Reals) -> Reals:
        """(M, D) as it learned from to the chance (M,) that each would be kept."""
        return sigmoid(self.slope * (rows @ self.weights + self.bias) + self.shift)


def learn_taste(rows: Reals, kept: NDArray[np.bool_]) -> tuple[Taste, Reals]:
    """Learn from (N, D) rows and whether each was kept; gives back the taste and the unseen chances (N,) of the rows.

    A logistic regression. Its strength is chosen by log loss in inner parts, so the accuracy of the outer ones, and the
    calibration by them, is of swipes that took no part in anything. The same input gives the same taste.

    Raises:
        UpimagineError: there are too few swipes, or too few of one kind.
    """
    check_enough(int(kept.sum()), int((~kept).sum()))
    y = kept.astype(np.float64)
    decisions = np.empty(len(y))
    for fold in _folds(kept, _FOLDS):
        weights, bias = fit_logistic(rows[~fold], y[~fold], _strength(rows[~fold], kept[~fold]))
        decisions[fold] = rows[fold] @ weights + bias
    slope, shift = fit_platt(decisions, kept)
    weights, bias = fit_logistic(rows, y, _strength(rows, kept))
    always = max(y.mean(), 1 - y.mean())
    sureness = Sureness(len(y), int(((decisions > 0) == kept).sum()), float(always))
    return Taste(weights, bias, slope, shift, sureness), sigmoid(slope * decisions + shift)


def check_enough(keeps: int, rejects: int) -> None:
    """Raises UpimagineError where so many swipes are too few to learn from."""
    if keeps + rejects < LEAST or min(keeps, rejects) < LEAST_OF_EACH:
        raise UpimagineError(
            f"a taste needs {LEAST} swipes, {LEAST_OF_EACH} of each kind; "
            f"there are {keeps} keeps and {rejects} rejects; sort some more first"
        )


def _strength(rows: Reals, kept: NDArray[np.bool_]) -> float:
    y = kept.astype(np.float64)
    losses = []
    for strength in _STRENGTHS:
        loss = 0.0
        for fold in _folds(kept, _INNER_FOLDS):
            weights, bias = fit_logistic(rows[~fold], y[~fold], strength)
            loss += log_loss(rows[fold] @ weights + bias, y[fold]) * int(fold.sum())
        losses.append(loss)
    return _STRENGTHS[int(np.argmin(losses))]


def _folds(kept: NDArray[np.bool_], count: int) -> list[NDArray[np.bool_]]:
    """Masks (N,) of `count` parts with the same share of keeps, each drawn from all of the sitting."""
    part = np.empty(len(kept), np.int64)
    chance = np.random.default_rng(0)
    for kind in (True, False):
        where = np.flatnonzero(kept == kind)
        part[chance.permutation(where)] = np.arange(len(where)) % count
    return [part == fold for fold in range(count)]
