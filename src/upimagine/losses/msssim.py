"""Multi-scale structural similarity (Wang, Simoncelli & Bovik 2003), and diversity as its mean over random pairs.

Mean MS-SSIM of pairs as a gauge of collapse is Odena et al. 2017 (1610.09585): higher means more alike. It sees large
collapse only; it is blind to quality and to lost colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.errors import UpimagineError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_PX = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K L)^2 with the range L = 1


def scales_for(height: int, width: int) -> int:
    """How many of the five scales fit an 11 px window: 5 from 176 px on, 4 for 88 to 175, and so on down to 1 for 11.

    Raises UpimagineError under 11 px.
    """
    side = min(height, width)
    if side < WINDOW_PX:
        raise UpimagineError(f"picture of {width}x{height} px is too small for SSIM; give at least 11x11")
    return min(len(WEIGHTS), int(math.log2(side // WINDOW_PX)) + 1)


def ssim(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Single-scale SSIM and its contrast-structure part, each (N,): mean over channels and fully covered places.

    (N, C, H, W) twice, in [-1, 1]; Gaussian window of 11 px, sigma 1.5, K = .01 and .03, biased covariance.
    """
    a, b = (a.float() + 1) / 2, (b.float() + 1) / 2  # the luminance term needs black at 0
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a.square()
    var_b = _blur(b * b) - mean_b.square()
    covariance = _blur(a * b) - mean_a * mean_b
    structure = (2 * covariance + _C2) / (var_a + var_b + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
    return (luminance * structure).mean((1, 2, 3)), structure.mean((1, 2, 3))


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """MS-SSIM of each pair: (N, C, H, W) twice, in [-1, 1], to (N,) in [0, 1]; 1 for equal pictures.

    Contrast-structure of every scale and luminance of the coarsest, weighted .0448 .2856 .3001 .2363 .1333, 2x2 box
    between scales, negative means clipped to 0. Pictures under 176 px hold fewer than five scales: the coarse ones that
    do not fit are left out and the other weights renormalised to sum to 1, so only values at one size compare.
    Raises UpimagineError on pictures under 11 px, ValueError on unequal shapes.
    """
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"pictures must be (N, C, H, W) twice, got {tuple(a.shape)} and {tuple(b.shape)}")
    scales = scales_for(*a.shape[-2:])
    weights = [w / sum(WEIGHTS[:scales]) for w in WEIGHTS[:scales]]
    result = torch.ones(len(a), device=a.device)
    for scale, weight in enumerate(weights):
        whole, structure = ssim(a, b)
        part = whole if scale == scales - 1 else structure
        result = result * part.clamp_min(0) ** weight
        if scale < scales - 1:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return result


@dataclass(frozen=True)
class PairSimilarity:
    """Mean MS-SSIM of random pairs; lower is more diverse."""

    mean: float
    error: float
    """Standard error of the mean over the pairs drawn."""
    pairs: int
    scales: int


def pair_similarity(pictures: Tensor, *, pairs: int = 1000, seed: int = 0, batch: int = 32) -> PairSimilarity:
    """Mean MS-SSIM over random pairs of different pictures of (N, 3, H, W) in [-1, 1].

    Compare two sets only at the same picture size. Where there are no more than `pairs` different pairs, each is taken
    once. Raises UpimagineError under two pictures.
    """
    count = len(pictures)
    if count < 2:
        raise UpimagineError(f"{count} picture makes no pair to compare; give at least 2")
    first, second = _draw_pairs(count, pairs, seed)
    values = []
    with torch.inference_mode():
        for i, j in zip(torch.split(first, batch), torch.split(second, batch), strict=True):
            values.append(ms_ssim(pictures[i], pictures[j]).double().cpu())
    every = torch.cat(values)
    error = float(every.std() / len(every) ** 0.5) if len(every) > 1 else math.nan
    return PairSimilarity(float(every.mean()), error, len(every), scales_for(*pictures.shape[-2:]))


def _draw_pairs(count: int, pairs: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices (P,) and (P,) of pairs i != j: all i < j where these are few, random ones otherwise."""
    if count * (count - 1) // 2 <= pairs:
        first, second = torch.triu_indices(count, count, offset=1)
        return first, second
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(count, (pairs,), generator=generator)
    step = torch.randint(1, count, (pairs,), generator=generator)
    return first, (first + step) % count  # a step of 1 to count - 1 never comes back to itself


def _blur(pictures: Tensor) -> Tensor:
    """Gaussian mean over 11 px, valid places only: (N, C, H, W) to (N, C, H - 10, W - 10)."""
    channels = pictures.shape[1]
    offsets = torch.arange(WINDOW_PX, dtype=torch.float64) - WINDOW_PX // 2
    bell = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    line = (bell / bell.sum()).to(pictures).view(1, 1, -1).expand(channels, 1, -1)
    rows = F.conv2d(pictures, line.unsqueeze(2), groups=channels)
    return F.conv2d(rows, line.unsqueeze(3), groups=channels)
