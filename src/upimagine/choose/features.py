"""What a picture looks like in a few hundred numbers, with no network: coarse colour and the lie of its edges."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.losses.luma import luma

_THUMBNAIL = 16
_CELLS = 4
_DIRECTIONS = 8

# sRGB primaries to cone response and on to Oklab (B. Ottosson, "A perceptual color space for image processing", 2020).
_TO_CONES = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
             (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
_TO_OKLAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
             (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip


def oklab(pictures: Tensor) -> Tensor:
    """sRGB-encoded (N, 3, H, W) in [-1, 1] to Oklab (N, 3, H, W): L in [0, 1], a and b within about +-0.4."""
    encoded = ((pictures.float() + 1) / 2).clamp(0, 1)
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, _power((encoded + 0.055) / 1.055, 2.4))
    cones = torch.einsum("oc,nchw->nohw", pictures.new_tensor(_TO_CONES, dtype=torch.float32), linear)
    return torch.einsum("oc,nchw->nohw", pictures.new_tensor(_TO_OKLAB, dtype=torch.float32), _power(cones, 1 / 3))


def _power(x: Tensor, exponent: float) -> Tensor:
    """x ** exponent of what is not negative, four times as fast on a processor as PyTorch's own."""
    return x.clamp_min(1e-30).log_().mul_(exponent).exp_()


def picture_features(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1], at least 16 px a side, to (N, 896) on the CPU; near rows are pictures that look alike.

    Two halves of about equal weight: a 16x16 Oklab thumbnail, scaled so that a distance is the mean colour difference
    (colour counted double), and histograms of gradient direction in 4x4 cells (after Dalal & Triggs 2005), scaled to
    length 1 a picture and halved. A row does not depend on its neighbours.
    """
    if min(pictures.shape[-2:]) < _THUMBNAIL:
        raise ValueError(f"picture features need at least {_THUMBNAIL} px a side, got {tuple(pictures.shape[-2:])}")
    # In parts, since the steps between take many times the memory of the pictures.
    return torch.cat([_features(part).cpu() for part in torch.split(pictures, 64)])


def _features(pictures: Tensor) -> Tensor:
    small = F.adaptive_avg_pool2d(oklab(pictures), _THUMBNAIL)  # (N, 3, 16, 16)
    weight = small.new_tensor([1.0, 2.0, 2.0]).view(1, 3, 1, 1)
    colour = (small * weight).flatten(1) / _THUMBNAIL
    edges = F.normalize(_gradient_histograms(luma(pictures.float())), dim=1) / 2
    return torch.cat([colour, edges], dim=1)


def _gradient_histograms(y: Tensor) -> Tensor:
    """Gradient magnitude by direction and cell: (N, H, W) to (N, 8 * 4 * 4), direction modulo half a turn."""
    dy = y[:, 2:, 1:-1] - y[:, :-2, 1:-1]
    dx = y[:, 1:-1, 2:] - y[:, 1:-1, :-2]
    angle = torch.atan2(dy, dx) / math.pi % 1 * _DIRECTIONS  # [0, 8)
    strength = torch.hypot(dy, dx)
    lower = angle.floor()
    share = (angle - lower) * strength  # split between neighbours, so that a slight turn is a slight change
    bin_ = lower.long()[:, None] % _DIRECTIONS
    bins = y.new_zeros(len(y), _DIRECTIONS, *dy.shape[1:])
    bins.scatter_(1, bin_, (strength - share)[:, None])
    bins.scatter_(1, (bin_ + 1) % _DIRECTIONS, share[:, None])
    return F.adaptive_avg_pool2d(bins, _CELLS).flatten(1)
