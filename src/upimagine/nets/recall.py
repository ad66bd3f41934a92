"""Latents drawn towards what is stored: every picture that is made has some stored codes as its neighbours.

One update of a modern Hopfield network (Ramsauer et al. 2020, 2008.02217, equation 3), X softmax(beta X^T z): a normal
vector z becomes a mix of the few codes that lie nearest to its direction. Where these are codes of training pictures,
no latent lies far from all of them, and each is recalled about equally often.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SHARPNESS = 4.0  # beta: a few of a thousand codes have most of the weight; 6 recalled four times as many copies


class Recall(nn.Module):
    """Mixes stored codes by the vectors that it is given.

    Args:
        count: codes that are stored; they begin as normal vectors.
        dim: d.
        noise: how much of the vector itself is added, as a share of the mix's length.
        stretch: how many times as long vectors are in evaluation mode as in training; the reverse of truncation.
    """

    codes: Tensor

    def __init__(self, count: int, dim: int, noise: float, stretch: float = 1.0) -> None:
        super().__init__()
        self.noise, self.stretch = noise, stretch
        self.register_buffer("codes", torch.randn(count, dim))

    def forward(self, latents: Tensor) -> Tensor:
        """(N, d) normal vectors to mixes of stored codes, with some of the vectors upon them.

        All have the length sqrt(d), in evaluation mode `stretch` times that.
        """
        with torch.autocast(latents.device.type, enabled=False):
            latents, stored = latents.float(), F.normalize(self.codes.float(), dim=1)
            mixed = F.normalize((_SHARPNESS * latents @ stored.T).softmax(dim=1) @ stored, dim=1)
            length = math.sqrt(latents.shape[1]) * (1.0 if self.training else self.stretch)
            return length * F.normalize(mixed + self.noise * F.normalize(latents, dim=1), dim=1)

    @torch.no_grad()
    def store(self, places: Tensor, codes: Tensor) -> None:
        """Put codes (N, d) in the places (N,) int64."""
        self.codes[places] = codes.to(self.codes.dtype)
