"""Many opinions into one: raw scores of any unit, made comparable and added up."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.guide.points import MIRROR
from upimagine.losses.sharpness import laplacian_variance

_CLIP = 3.0
_MAD_TO_SIGMA = 1.4826


def combine(scores: Mapping[str, Tensor], weights: Mapping[str, float] | None = None) -> Tensor:
    """Weighted sum of robust z-scores: a mapping of (N,) scores, larger is better, to (N,) float64.

    Each score becomes (x - median) / (1.4826 MAD) over the finite ones, clipped to +-3 so that no single opinion, and
    no freak that fools one, outvotes the rest. A score that is not finite is a veto: the result is NaN there. A score
    that is equal for most pictures (MAD 0) falls back to the standard deviation, and says nothing where it is the same
    for all. `weights` names the scores to use (default: all, equally); a negative weight turns a score round.

    Raises UpimagineError on a weight for a score that is not there, or when there is nothing to add up.
    """
    if weights is None:
        weights = dict.fromkeys(scores, 1.0)
    missing = sorted(set(weights) - set(scores))
    if missing or not weights:
        raise UpimagineError(
            f"no such score: {', '.join(missing) or '(none named)'}; there are {', '.join(sorted(scores))}"
        )
    if len({tuple(scores[name].shape) for name in weights}) != 1:
        raise ValueError("scores must all be (N,) of one length")
    return torch.stack([weight * _robust_z(scores[name]) for name, weight in weights.items()]).sum(0)


def best_first(combined: Tensor) -> list[int]:
    """Indices of (N,) scores from best to worst; NaN (vetoed) ones left out, ties in order of index."""
    order = torch.sort(combined.nan_to_num(nan=-torch.inf), descending=True, stable=True).indices
    return [index for index in order.tolist() if not torch.isnan(combined[index])]


def sharpness_score(pictures: Tensor) -> Tensor:
    """Log of the variance of the Laplacian: (N, 3, H, W) in [-1, 1] to (N,); the log keeps noise from running away."""
    # In parts, since thousands of pictures at once would triple the memory they take.
    return torch.cat([laplacian_variance(part).log1p().cpu() for part in torch.split(pictures, 64)])


def face_symmetry_score(points: Tensor) -> Tensor:
    """How symmetric, and how frontal, a face is: landmarks (N, 68, 2) as (y, x) in iBUG order to (N,), at best 0.

    The mirrored face is laid over the face by the best rotation, scale and shift; the score is minus the root mean
    square of what is left, in distances between the eyes. NaN points (no face) give NaN, a veto to `combine`.
    """
    if points.ndim != 3 or points.shape[1:] != (68, 2):
        raise ValueError(f"landmarks must be (N, 68, 2), got {tuple(points.shape)}")
    y, x = points.double().unbind(-1)
    face = torch.complex(x, y)  # (N, 68); as complex numbers a similarity is one factor
    face = face - face.mean(1, keepdim=True)
    mirrored = -face[:, list(MIRROR)].conj()
    factor = (mirrored.conj() * face).sum(1, keepdim=True) / mirrored.abs().square().sum(1, keepdim=True)
    rest = (face - factor * mirrored).abs().square().mean(1).sqrt()
    eyes = (face[:, 36:42].mean(1) - face[:, 42:48].mean(1)).abs()
    return -rest / eyes


def _robust_z(score: Tensor) -> Tensor:
    """(N,) to clipped z-scores in float64; NaN where the score is not finite."""
    score = score.double().cpu()
    finite = score[score.isfinite()]
    if len(finite) == 0:
        return torch.full_like(score, torch.nan)
    middle = finite.quantile(0.5)
    spread = (finite - middle).abs().quantile(0.5) * _MAD_TO_SIGMA
    if spread == 0:
        spread = finite.std(correction=0)
    z = (score - middle) / spread if spread > 0 else torch.zeros_like(score)
    return torch.where(score.isfinite(), z.clamp(-_CLIP, _CLIP), torch.nan)
