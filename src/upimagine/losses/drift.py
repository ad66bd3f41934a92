"""What keeps a Wasserstein critic's scores from wandering off."""

from __future__ import annotations

from torch import Tensor


def drift(real_scores: Tensor) -> Tensor:
    """E D(x)^2 over real pictures (Karras et al. 2017, 1710.10196, appendix A.1), to be weighted by 0.001."""
    return real_scores.float().square().mean()
