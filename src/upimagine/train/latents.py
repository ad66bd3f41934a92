"""Latents that belong to a place in the endless stream of training pictures, as the pictures there do."""

from __future__ import annotations

import torch
from torch import Tensor


def latents_at(position: int, count: int, length: int, seed: int) -> Tensor:
    """(count, length) from N(0, 1) for these positions: the same however a batch is divided into parts or processes."""
    # A seed each: the generator mixes seeds well enough that neighbours have nothing in common (tested).
    random = torch.Generator()
    rows = [
        torch.randn(length, generator=random.manual_seed((seed * 1_000_003 + place) % (1 << 63)))
        for place in range(position, position + count)
    ]
    return torch.stack(rows)
