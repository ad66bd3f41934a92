"""The J-net's fidelity term: only the pooled picture is compared, so that detail is free (Tyka's seed post)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def low_res_l1(output: Tensor, truth: Tensor, factor: int = 8) -> Tensor:
    """mean |avgpool(output) - avgpool(truth)| over (N, 3, H, W) pictures; 64 output pixels share one constraint."""
    return (F.avg_pool2d(output.float(), factor) - F.avg_pool2d(truth.float(), factor)).abs().mean()
