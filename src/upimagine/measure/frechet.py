"""Distances between two sets of pictures: Fréchet (Heusel et al. 2017) and kernel (Bińkowski et al. 2018, 1801.01401).

Both are taken on VGG16 relu4_3 means, not on Inception features: compare them among themselves, at equal counts and
picture sizes, never with figures from the literature.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.nets.vgg import Vgg16Features

FEATURE_UNIT = 32.0
"""What features are divided by: the root mean square of VGG16's relu4_3 means on portraits. The cubic kernel adds 1 to
x.y / F, so it tells sets apart well only where that is of the order of 1. Fixed, so that figures stay comparable."""


def set_features(features: Vgg16Features, pictures: Tensor | Iterable[Tensor], batch: int = 16) -> Tensor:
    """Spatial means of relu4_3 / `FEATURE_UNIT`: (N, 3, H, W) in [-1, 1], or batches of them, to (N, 512) float64, CPU.

    Memory is that of `batch` pictures. Raises UpimagineError when there are no pictures.
    """
    batches = [pictures] if isinstance(pictures, Tensor) else pictures
    device = features.mean.device
    rows = []
    with torch.inference_mode():
        for group in batches:
            for part in torch.split(group, batch):
                maps = features(part.float().to(device), ("relu4_3",))["relu4_3"]  # (n, 512, H/8, W/8)
                rows.append(maps.mean((2, 3)).double().cpu() / FEATURE_UNIT)
    if not rows:
        raise UpimagineError("no pictures to take features of; give a folder that holds some")
    return torch.cat(rows)


def gaussian_frechet(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """|m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between two Gaussians, in float64.

    Tr (C_a C_b)^(1/2) is taken from the eigenvalues of C_a^(1/2) C_b C_a^(1/2), which is symmetric and has the same
    ones: no general matrix root, no complex numbers, and singular covariances do no harm.
    """
    mean_a, cov_a, mean_b, cov_b = (t.double() for t in (mean_a, cov_a, mean_b, cov_b))
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = root_a @ cov_b @ root_a
    cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return float(distance.clamp_min(0))  # rounding may leave equal Gaussians a hair below 0


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two feature sets (N, F) and (M, F).

    Biased upwards by about 1/N, so compare at equal counts only; `kernel_distance` is not. Raises UpimagineError
    under two rows.
    """
    _check(a, b)
    return gaussian_frechet(a.double().mean(0), torch.cov(a.double().T), b.double().mean(0), torch.cov(b.double().T))


@dataclass(frozen=True)
class KernelDistance:
    """Unbiased squared MMD with the cubic kernel, and its standard error."""

    value: float
    """Near 0, of either sign, for two samples of one distribution."""
    error: float
    """Spread over random halves of both sets (delete-half jackknife): the standard error, on the safe side near 0."""


def kernel_distance(a: Tensor, b: Tensor, *, subsets: int = 50, seed: int = 0, rows: int = 512) -> KernelDistance:
    """KID between feature sets (N, F) and (M, F): unbiased MMD^2 with k(x, y) = (x.y / F + 1)^3, Eq. 4 of 1801.01401.

    The value uses every pair; `subsets` random halves give the error. Kernels are made `rows` lines at a time, so
    memory grows with N, not N^2. Raises UpimagineError when a set has fewer than four rows.
    """
    _check(a, b, least=4)
    a, b = a.double(), b.double()
    generator = torch.Generator().manual_seed(seed)
    chosen_a = _memberships(len(a), subsets, generator)
    chosen_b = _memberships(len(b), subsets, generator)
    within_a = _paired_sums(a, a, chosen_a, chosen_a, rows) - chosen_a.T @ _kernel_diagonal(a)
    within_b = _paired_sums(b, b, chosen_b, chosen_b, rows) - chosen_b.T @ _kernel_diagonal(b)
    between = _paired_sums(a, b, chosen_a, chosen_b, rows)
    n, m = chosen_a.sum(0), chosen_b.sum(0)
    estimates = within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * between / (n * m)  # whole sets first
    return KernelDistance(float(estimates[0]), float(estimates[1:].std()))


def _memberships(count: int, subsets: int, generator: torch.Generator) -> Tensor:
    """(count, 1 + subsets) of 0 and 1: the first column takes all, each other one a random half."""
    columns = torch.zeros(count, 1 + subsets, dtype=torch.float64)
    columns[:, 0] = 1
    for column in range(1, 1 + subsets):
        columns[torch.randperm(count, generator=generator)[: count // 2], column] = 1
    return columns


def _paired_sums(a: Tensor, b: Tensor, chosen_a: Tensor, chosen_b: Tensor, rows: int) -> Tensor:
    """For each subset, the sum of k(x, y) over its members x of `a` and y of `b`: (1 + subsets,)."""
    total = torch.zeros(chosen_a.shape[1], dtype=torch.float64)
    for start in range(0, len(a), rows):
        kernel = (a[start : start + rows] @ b.T / a.shape[1] + 1) ** 3
        total += (chosen_a[start : start + rows] * (kernel @ chosen_b)).sum(0)
    return total


def _kernel_diagonal(a: Tensor) -> Tensor:
    """k(x, x) of every row: (N,)."""
    return (a.square().sum(1) / a.shape[1] + 1) ** 3


def _check(a: Tensor, b: Tensor, least: int = 2) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"feature sets must be (N, F) and (M, F), got {tuple(a.shape)} and {tuple(b.shape)}")
    if min(len(a), len(b)) < least:
        raise UpimagineError(f"{len(a)} and {len(b)} pictures are too few for a distance; give at least {least} each")
