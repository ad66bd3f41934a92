"""Good and different at once: a determinantal point process, its most likely set found greedily."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-10


def likely_set(scores: Tensor, features: Tensor, keep: int, strength: float = 1.0) -> list[int]:
    """Indices of `keep` rows whose kernel has a large determinant, in the order in which they were taken.

    The kernel is L_ij = q_i S_ij q_j with quality q = exp(strength * score / 2) and likeness S = exp(-d^2 / 2m^2),
    d the distance of features and m their median distance (k-DPP, Kulesza and Taskar 2011). Greedy MAP with an
    incremental Cholesky factor: algorithm 1 of Chen, Zhang and Zhou 2018 (1709.05135). Ties go to the lower index.

    Args:
        scores: (N,) finite, larger is better.
        features: (N, F).
        keep: 1 to N.
        strength: how much quality counts against difference; 0: difference alone.
    """
    if not 1 <= keep <= len(scores) or len(features) != len(scores):
        raise ValueError(f"cannot keep {keep} of {len(scores)} scores and {len(features)} features")
    rows, quality = features.double().cpu(), (strength * scores.double().cpu() / 2).exp()
    squared = torch.cdist(rows, rows).square()
    apart = squared[~torch.eye(len(rows), dtype=torch.bool)]
    middle = float(apart.median()) if len(apart) else 1.0
    kernel = quality[:, None] * torch.exp(-squared / max(2 * middle, _TINY)) * quality[None]
    gain = kernel.diagonal().clone()  # d_i^2: by how much the determinant would grow
    factor = torch.zeros(len(rows), keep, dtype=torch.float64)  # rows are c_i
    chosen: list[int] = []
    for step in range(keep):
        gain[chosen] = -torch.inf
        best = int(torch.argmax(gain))
        chosen.append(best)
        root = gain[best].clamp_min(_TINY).sqrt()  # an exact twin adds nothing, and is taken last
        factor[:, step] = (kernel[best] - factor[:, :step] @ factor[best, :step]) / root
        gain = gain - factor[:, step].square()
    return chosen
