"""What a network leaves to chance: dropped values and noise maps, in training from torch's global random numbers,
afterwards from a seed a picture, the same on every device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Draws = list[torch.Generator]
"""A source of random numbers for each picture of a batch."""


def draws_of(seeds: Tensor | None) -> Draws | None:
    """Seeds (N,) int64 as one generator each; None stays None."""
    return None if seeds is None else [torch.Generator().manual_seed(int(seed)) for seed in seeds.tolist()]


def drop_half(maps: Tensor, training: bool, draws: Draws | None) -> Tensor:
    """Half of the values (N, C, h, w) become 0, the others twice as large; after training nothing without draws."""
    if training:
        return F.dropout(maps, 0.5)
    if draws is None:
        return maps
    kept = torch.stack([torch.rand(maps.shape[1:], generator=draw) >= 0.5 for draw in draws])
    return maps * (2 * kept).to(maps)


def noise_like(maps: Tensor, channels: int, training: bool, draws: Draws | None) -> Tensor:
    """Normal noise (N, channels, h, w) for maps (N, C, h, w); after training zeros without draws."""
    count, _, height, width = maps.shape
    if training:
        return torch.randn(count, channels, height, width, device=maps.device).to(maps)
    if draws is None:
        return maps.new_zeros(count, channels, height, width)
    return torch.stack([torch.randn(channels, height, width, generator=draw) for draw in draws]).to(maps)
