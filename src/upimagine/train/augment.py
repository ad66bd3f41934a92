"""DiffAugment (Zhao et al. 2020, 2006.10738): the same kinds of change for real and made pictures, differentiable.

Order and ranges follow mit-han-lab/data-efficient-gans, DiffAugment_pytorch.py. With a few hundred pictures use all
three; it runs in the discriminator's step and in the generator's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

POLICIES = ("color", "translation", "cutout")


def diff_augment(pictures: Tensor, policy: tuple[str, ...] = POLICIES) -> Tensor:
    """(N, 3, H, W) in [-1, 1] to the same shape, every row changed by its own random numbers (torch's global ones)."""
    unknown = set(policy) - set(POLICIES)
    if unknown:
        raise ValueError(f"unknown augmentation {sorted(unknown)}; choose among {POLICIES}")
    for name in POLICIES:
        if name in policy:
            pictures = _CHANGES[name](pictures)
    return pictures


def _uniform(pictures: Tensor, low: float, high: float) -> Tensor:
    """(N, 1, 1, 1) random numbers."""
    return torch.empty(pictures.shape[0], 1, 1, 1, device=pictures.device, dtype=torch.float32).uniform_(low, high)


def _color(x: Tensor) -> Tensor:
    """Brightness +-0.5, chroma x0..2 about each pixel's mean, contrast x0.5..1.5 about the picture's mean."""
    x = x + _uniform(x, -0.5, 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * _uniform(x, 0.0, 2.0)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * _uniform(x, 0.5, 1.5)


def _translation(x: Tensor) -> Tensor:
    """Whole-pixel shifts up to an eighth of each side, zeros coming in."""
    count, _, height, width = x.shape
    far_y, far_x = int(height / 8 + 0.5), int(width / 8 + 0.5)
    down = torch.randint(-far_y, far_y + 1, (count,)).tolist()
    right = torch.randint(-far_x, far_x + 1, (count,)).tolist()
    padded = F.pad(x, (far_x, far_x, far_y, far_y))
    rows = [
        padded[i, :, far_y - dy : far_y - dy + height, far_x - dx : far_x - dx + width]
        for i, (dy, dx) in enumerate(zip(down, right, strict=True))
    ]
    return torch.stack(rows)


def _cutout(x: Tensor) -> Tensor:
    """One rectangle of half of each side is set to zero, its centre anywhere."""
    count, _, height, width = x.shape
    tall, wide = int(height / 2 + 0.5), int(width / 2 + 0.5)
    centre_y = torch.randint(0, height + 1 - tall % 2, (count,)).tolist()
    centre_x = torch.randint(0, width + 1 - wide % 2, (count,)).tolist()
    keep = torch.ones(count, 1, height, width, dtype=x.dtype)
    for i, (y, x_) in enumerate(zip(centre_y, centre_x, strict=True)):
        top, left = max(y - tall // 2, 0), max(x_ - wide // 2, 0)
        keep[i, :, top : y - tall // 2 + tall, left : x_ - wide // 2 + wide] = 0
    return x * keep.to(x.device)


_CHANGES = {"color": _color, "translation": _translation, "cutout": _cutout}
