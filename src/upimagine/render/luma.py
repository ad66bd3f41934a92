"""Brightness as the eye weighs it: BT.601 luma of sRGB-encoded RGB."""

from __future__ import annotations

import torch
from torch import Tensor

RED, GREEN, BLUE = 0.299, 0.587, 0.114


def luma(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, H, W), in the range of the pictures."""
    weights = pictures.new_tensor((RED, GREEN, BLUE))
    count, channels, height, width = pictures.shape
    # A matrix product reads the three planes once; the same sum written out reads and writes them three times.
    return torch.matmul(weights, pictures.reshape(count, channels, height * width)).view(count, height, width)
