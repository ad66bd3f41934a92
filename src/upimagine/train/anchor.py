"""Every training picture keeps a place among the latent vectors, so that no kind of picture can be forgotten.

A collapsing generator forgets: its discriminator cannot tell it what is missing. Here an encoder is trained beside the
generator. From a picture's code, even with much noise upon it, the generator must come back to that picture's coarse
colours; how they look close up is left to the discriminator. After VAE/GAN (Larsen et al. 2015, 1512.09300), with the
low-res L1 of the J-net in place of learned features, and with codes spread over a sphere (Wang and Isola 2020,
2005.10242) in place of a prior. Codes use some directions more than others; latents for new pictures are drawn with the
covariance of the codes (after GLO, Bojanowski et al. 2017, 1707.05776), which a finished generator has folded into its
first layer, so that it takes plain normal vectors again.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.encoder import PictureEncoder

_MOMENTUM = 0.01
_SPREAD_WEIGHT = 0.05  # against the way back, of the term that keeps codes apart, which lies between 0 and about -4


class Encoder(nn.Module):
    """Pictures to codes (N, latent_dim) of the length that a normal vector has on average, and how codes lie."""

    moments: Tensor

    def __init__(self, size_px: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.trunk = PictureEncoder(size_px, width, 12 * width, latent_dim)
        self.register_buffer("moments", torch.eye(latent_dim))  # running mean of c c^T

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, s, s) in [-1, 1] to (N, latent_dim)."""
        codes: Tensor = self.trunk(pictures).float()
        codes = F.normalize(codes, dim=1) * math.sqrt(codes.shape[1])
        if self.training:
            with torch.no_grad(), torch.autocast(codes.device.type, enabled=False):
                self.moments.lerp_(codes.T @ codes / len(codes), _MOMENTUM)
        return codes

    def spread_like_codes(self, latents: Tensor) -> Tensor:
        """Normal vectors (N, latent_dim) to vectors that lie as codes do."""
        with torch.autocast(latents.device.type, enabled=False):
            return latents @ self.spread().T

    def spread(self) -> Tensor:
        """L (latent_dim, latent_dim), with which L n of a normal vector n is spread as codes are."""
        some = torch.eye(len(self.moments), device=self.moments.device) * 1e-3  # keeps it positive definite
        spread: Tensor = torch.linalg.cholesky(self.moments + some)
        return spread


def noisy(codes: Tensor, noise: float) -> Tensor:
    """Codes with noise of `noise` times their length upon them, brought back to their length."""
    return F.normalize(codes + noise * torch.randn_like(codes), dim=1) * math.sqrt(codes.shape[1])


def way_back(made: Tensor, real: Tensor, until_px: int) -> Tensor:
    """Mean over sizes of the L1 between pictures (N, 3, s, s) shrunk to 4, 8, ... `until_px` pixels a side."""
    sizes = [size for size in (4 << i for i in range(8)) if size <= min(until_px, real.shape[3])]
    shrink = [real.shape[3] // size for size in sizes]
    losses = [F.l1_loss(F.avg_pool2d(made, times).float(), F.avg_pool2d(real, times).float()) for times in shrink]
    return torch.stack(losses).mean()


def crowding(codes: Tensor) -> Tensor:
    """log E exp(-2 d^2) over pairs of unit codes: 0 when all lie in one place, about -4 when spread evenly."""
    distances = torch.pdist(F.normalize(codes, dim=1)).square()
    return (-2 * distances).exp().mean().log()


def anchor_loss(made: Tensor, real: Tensor, codes: Tensor, until_px: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The way back and the crowding in one scalar, and both to plot."""
    back, crowded = way_back(made, real, until_px), crowding(codes)
    return back + _SPREAD_WEIGHT * crowded, {"back": back, "crowded": crowded}
