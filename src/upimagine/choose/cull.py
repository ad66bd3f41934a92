"""Thousands to four: good ones that do not look alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from upimagine.choose.features import picture_features
from upimagine.choose.ranking import best_first
from upimagine.errors import UpimagineError


def cull(
    pictures: Tensor,
    scores: Tensor,
    keep: int,
    features: Tensor | None = None,
    *,
    share: float = 0.25,
) -> list[int]:
    """Indices of `keep` pictures, the best-scored first, each as unlike those before it as the good ones allow.

    Only the best-scored `share` of the pictures that were not vetoed competes (at least `keep` of them). Starting from
    the best, the one farthest from all chosen so far is added until there are enough: farthest-first traversal
    (Gonzalez 1985). Ties go to the better score, then to the lower index: the same input gives the same choice.

    Args:
        pictures: (N, 3, H, W) in [-1, 1].
        scores: (N,), larger is better, as `ranking.combine` gives; NaN is a veto.
        keep: how many to choose, at least 1.
        features: (N, F), near rows for pictures that look alike; default `picture_features(pictures)`.
        share: of the pictures in the running that may compete, in (0, 1].

    Raises UpimagineError when fewer than `keep` pictures are left after vetoes.
    """
    if len(scores) != len(pictures) or (features is not None and len(features) != len(pictures)):
        raise ValueError("pictures, scores and features must be equally many")
    if keep < 1 or not 0 < share <= 1:
        raise ValueError(f"keep must be at least 1 and share in (0, 1], got {keep} and {share}")
    ranked = best_first(scores)
    if len(ranked) < keep:
        raise UpimagineError(
            f"only {len(ranked)} of {len(scores)} pictures may be chosen, {keep} were asked for; "
            f"sample more, or keep fewer"
        )
    pool = ranked[: max(keep, math.ceil(share * len(ranked)))]
    # Only the pool needs features: with 2000 pictures this saves three quarters of the work.
    rows = picture_features(pictures[pool]) if features is None else features[pool]
    rows = rows.double().cpu()
    chosen = [0]
    nearest = (rows - rows[0]).square().sum(1)
    while len(chosen) < keep:
        nearest[chosen] = -1.0  # never twice, even among identical pictures
        farthest = int(torch.argmax(nearest))  # the first of equals, that is the better-scored
        chosen.append(farthest)
        nearest = torch.minimum(nearest, (rows - rows[farthest]).square().sum(1))
    return [pool[i] for i in chosen]
