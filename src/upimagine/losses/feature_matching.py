"""Feature matching: what the discriminator sees of made and of true pictures shall be alike (pix2pixHD, 1711.11585)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def feature_matching(made: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """Mean over maps of mean |f(made) - f(true)|, eq. 3 of Wang et al. 2018; the gradient flows into `made` only."""
    return torch.stack([(a.float() - b.detach().float()).abs().mean() for a, b in zip(made, true, strict=True)]).mean()
