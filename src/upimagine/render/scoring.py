"""What makes one invention better than another, and which ones may never win."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from upimagine.render.luma import luma


def sharpness(pictures: Tensor) -> Tensor:
    """Variance of the 4-neighbour Laplacian of luma in 0…255, (N, 3, H, W) to (N,). Rewards noise as well as detail."""
    grey = luma(pictures)
    middle = grey[:, 1:-1, 1:-1]
    edges = middle * -4.0
    for neighbour in (grey[:, :-2, 1:-1], grey[:, 2:, 1:-1], grey[:, 1:-1, :-2], grey[:, 1:-1, 2:]):
        edges += neighbour
    return _variance(edges)


def contrast(pictures: Tensor) -> Tensor:
    """Standard deviation of luma in 0…255, (N, 3, H, W) to (N,). Rewards harshness as well as depth."""
    grey = luma(pictures)
    return _variance(grey - grey.mean(dim=(1, 2), keepdim=True)).sqrt()


def fidelity_db(pooled: Tensor, low: Tensor) -> Tensor:
    """PSNR in dB of the area-averaged outputs against the low-res tiles, both (N, 3, h, w) in [-1, 1], to (N,)."""
    squared = (pooled - low).square().mean(dim=(1, 2, 3))
    return 10.0 * torch.log10(4.0 / squared.clamp_min(1e-12))  # 126 dB at most, so that equal ones stay comparable


def combine(
    measures: Sequence[tuple[float, Tensor]], fidelity: Tensor, veto_db: float, floor_db: float | None = None
) -> Tensor:
    """Weighted z-scores of each tile's candidates as (tiles, candidates) float64; vetoed ones are -inf.

    measures: (weight, values (tiles, candidates)), each made comparable within the candidates of one tile. A candidate
    is vetoed when its fidelity in dB lies more than veto_db below the best of its tile, or below floor_db; the most
    faithful one always stays, so every tile keeps a winner. The vetoed do not take part in mean and deviation.
    """
    fidelity = fidelity.double()
    best = fidelity.max(dim=1, keepdim=True).values
    allowed = fidelity >= best - veto_db
    if floor_db is not None:
        allowed &= (fidelity >= floor_db) | (fidelity == best)
    scores = torch.zeros_like(fidelity)
    for weight, values in measures:
        if weight:
            scores += weight * _z_scores(values.double(), allowed)
    return scores.masked_fill(~allowed, -math.inf)


def _z_scores(values: Tensor, allowed: Tensor) -> Tensor:
    """Each row less its mean, in units of its deviation, over the allowed; 0 where they differ by rounding only."""
    count = allowed.sum(dim=1, keepdim=True)
    values = values.where(allowed, 0.0)
    mean = values.sum(dim=1, keepdim=True) / count
    away = (values - mean).where(allowed, 0.0)
    deviation = (away.square().sum(dim=1, keepdim=True) / count).sqrt()
    # float32 measures of equal pictures may differ in the last digits; z-scores must not blow that up to ±1.
    different = deviation > 1e-5 * values.abs().amax(dim=1, keepdim=True)
    return (away / deviation.clamp_min(1e-300)).where(different, 0.0)


def _variance(values: Tensor) -> Tensor:
    """Variance of (N, H, W) in [-1, 1] units, told in 0…255 units, as (N,)."""
    # From the two moments: many times faster than Tensor.var on a CPU, and exact enough, for the mean is close to 0.
    flat = values.flatten(1)
    mean_square = torch.linalg.vector_norm(flat, dim=1).square() / flat.shape[1]
    variance: Tensor = (mean_square - flat.mean(dim=1).square()).clamp_min(0.0) * 127.5**2
    return variance
