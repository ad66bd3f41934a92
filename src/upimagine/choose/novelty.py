"""How far made pictures lie from those a network learned from: copies are found by their distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COPY = 0.5
"""A picture is called a copy when it lies nearer to a training picture than so much of what is usual among these."""


@dataclass(frozen=True)
class Nearest:
    """Of each picture, the training picture that is most like it."""

    index: Tensor  # (N,) int64
    distance: Tensor  # (N,) in units of the median distance from training pictures to the nearest other one

    @property
    def copies(self) -> Tensor:
        """(N,) bool: nearer than `COPY`."""
        return self.distance < COPY


def nearest_training(features: Tensor, training: Tensor) -> Nearest:
    """Compare (N, F) with (M, F) features, M at least 3.

    Distances are told in those among the training pictures themselves, as in Meehan et al. 2020 (2004.05675): what lies
    much nearer than two of them usually lie to each other has been copied, not made.
    """
    if len(training) < 3:
        raise ValueError(f"{len(training)} training pictures say nothing of what is usual; at least 3 are needed")
    among = torch.cdist(training.double(), training.double())
    usual = among.fill_diagonal_(torch.inf).amin(1).median().clamp_min(1e-9)
    parts = [torch.cdist(part.double(), training.double()).min(1) for part in torch.split(features, 1024)]
    distance = torch.cat([part.values for part in parts]) / usual
    return Nearest(torch.cat([part.indices for part in parts]), distance)
