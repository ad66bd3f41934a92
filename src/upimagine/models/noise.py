"""Noise that belongs to a picture: the same picture is always translated alike, in any batch and on any machine."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def seeds_of(pictures: Tensor, seed: int = 0) -> Tensor:
    """A seed for each of (N, C, H, W) float32, from its values and `seed`, 0 or more: (N,) int64 below 2^32.

    A difference in the last bit of one value is another seed.
    """
    rows = pictures.detach().to("cpu", torch.float32, memory_format=torch.contiguous_format).numpy()
    salt = str(seed).encode()
    digests = [hashlib.blake2b(salt + b"\0" + row.tobytes(), digest_size=4).digest() for row in rows]
    return torch.tensor([int.from_bytes(digest, "little") for digest in digests], dtype=torch.int64)
