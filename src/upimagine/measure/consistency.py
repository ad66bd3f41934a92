"""Down-consistency: does the large picture, averaged back down, give the small one it was made from?"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.losses.sharpness import laplacian_variance


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two tensors of one shape in [-1, 1] (peak 2); inf when they are equal."""
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    error = float((a.double() - b.double()).square().mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)


def down_consistency(output: Tensor, low_res: Tensor) -> float:
    """PSNR in dB between `output` (N, 3, H, W), average-pooled, and `low_res` (N, 3, h, w), both in [-1, 1].

    Raises UpimagineError when H, W are not the same whole multiple of h, w.
    """
    (height, width), (low_h, low_w) = output.shape[-2:], low_res.shape[-2:]
    scale = height // low_h
    if (height, width) != (low_h * scale, low_w * scale):
        raise UpimagineError(
            f"output of {width}x{height} px is no whole multiple of its {low_w}x{low_h} px input; crop one to fit"
        )
    return psnr(F.avg_pool2d(output.double(), scale), low_res)


def sharpness_ratio(output: Tensor, truth: Tensor) -> float:
    """Variance of the Laplacian of (1, 3, H, W) over that of the truth: under 1 is softer than it.

    inf where only the truth is flat, 1 where both are. Noise and checkerboard count as sharpness too: read it beside a
    feature distance.
    """
    wanted = float(laplacian_variance(truth).mean())
    found = float(laplacian_variance(output).mean())
    if wanted == 0:
        return 1.0 if found == 0 else math.inf
    return found / wanted
