"""Logistic regression with an L2 penalty, and probabilities that mean what they say (Platt 1999)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def fit_logistic(x: Reals, y: Reals, l2: float) -> tuple[Reals, float]:
    """Weights (D,) and bias that minimise the summed log loss plus l2 / 2 |weights|^2, by Newton's method.

    Args:
        x: (N, D).
        y: (N,) targets in [0, 1], not only 0 and 1.
        l2: above 0; the bias is free.
    """
    rows = np.column_stack([x, np.ones(len(x))])
    penalty = np.full(rows.shape[1], l2)
    penalty[-1] = 1e-9  # only so that the step exists when all targets are alike
    weights = np.zeros(rows.shape[1])
    loss = _loss(rows, y, weights, penalty)
    for _ in range(50):
        chance = sigmoid(rows @ weights)
        slope = rows.T @ (chance - y) + penalty * weights
        curvature = (rows * (chance * (1 - chance))[:, None]).T @ rows + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        size = 1.0
        while (new := _loss(rows, y, weights - size * step, penalty)) > loss and size > 1e-6:
            size /= 2
        weights = weights - size * step
        if loss - new < 1e-9 * max(1.0, loss):
            break
        loss = new
    return weights[:-1], float(weights[-1])


def fit_platt(decisions: Reals, kept: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that turn decisions (N,) of unseen samples into chances: sigmoid(slope d + shift).

    Platt, "Probabilistic outputs for support vector machines", 1999: targets are (N+ + 1) / (N+ + 2) and 1 / (N- + 2)
    instead of 1 and 0, so that a few samples never give certainty.
    """
    yes, no = int(kept.sum()), int((~kept).sum())
    targets = np.where(kept, (yes + 1) / (yes + 2), 1 / (no + 2))
    slope, shift = fit_logistic(decisions[:, None], targets, l2=1e-6)
    return float(slope[0]), shift


def sigmoid(x: Reals) -> Reals:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def log_loss(decisions: Reals, y: Reals) -> float:
    """Mean negative log likelihood of targets (N,) by decisions (N,), whose sigmoid is the chance of 1."""
    return float(np.mean(np.logaddexp(0, decisions) - y * decisions))


def _loss(rows: Reals, y: Reals, weights: Reals, penalty: Reals) -> float:
    return len(y) * log_loss(rows @ weights, y) + float(penalty @ weights**2) / 2
