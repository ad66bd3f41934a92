"""Energy distance: how far two sets of vectors are apart as distributions.

Its gradient is unbiased however few vectors there are (Bellemare et al. 2017, 1705.10743, "Cramer"), unlike that of the
Wasserstein distance, which teaches small batches to vary too little.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sliced_energy_distance(made: Tensor, real: Tensor, directions: Tensor) -> Tensor:
    """Mean over directions of 2 E|a - b| - E|a - a'| - E|b - b'| of the vectors' shadows on them.

    Args:
        made: (N, d) with N >= 2.
        real: (M, d) with M >= 2.
        directions: (d, k), the lines on which both sets are seen.

    Returns:
        A scalar: 0 on average where both sets are drawn from one distribution, and then sometimes just below it, for
        pairs of equals are left out of the means. The gradient flows into `made`.
    """
    a, b = (made @ directions).T, (real @ directions).T  # (k, N), (k, M)
    within_a, within_b = _gaps(a), _gaps(b)
    # Pairs across are those of both sets together less those within: sorting costs far less than N M differences.
    across = _gaps(torch.cat((a, b), dim=1)) - within_a - within_b
    n, m = a.shape[1], b.shape[1]
    distance = across / (n * m) - within_a / (n * (n - 1)) - within_b / (m * (m - 1))
    return 2 * distance.mean()


def _gaps(values: Tensor) -> Tensor:
    """The sum of |a - a'| over pairs of different places along rows of (k, N), by order: (k, N) to (k,)."""
    count = values.shape[1]
    order = torch.arange(1 - count, count, 2, device=values.device, dtype=values.dtype)
    return (values.sort(dim=1).values * order).sum(dim=1)
