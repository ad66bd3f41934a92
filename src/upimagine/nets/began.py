"""BEGAN's networks (Berthelot, Schumm, Metz 2017, 1703.10717): a decoder that makes, an autoencoder that judges.

Layers as in the port carpedm20/BEGAN-tensorflow, models.py, with ELU alone after each convolution (the port lets a ReLU
through before it); h0's way past the layers is the paper's.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.shapes import assert_shape

SIZES_PX = (64, 128, 256)
_START_PX = 8


def _levels(size_px: int) -> int:
    """Extents from 8x8 to the picture: 64 -> 4, 128 -> 5, 256 -> 6."""
    if size_px not in SIZES_PX:
        raise ValueError(f"a BEGAN of {size_px} px is not defined; choose one of {SIZES_PX}")
    return size_px.bit_length() - 3


def _init(module: nn.Module) -> None:
    """Glorot and Bengio 2010, with which the port's library begins unless told otherwise."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _conv(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ELU(inplace=True)]


class _Decoder(nn.Module):
    """A short vector to a picture; the same number of channels at every extent."""

    def __init__(self, size_px: int, inputs: int, width: int, skip: bool) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width * _START_PX**2)
        self.skip = skip
        again = 2 * width if skip else width
        self.levels = nn.ModuleList(
            nn.Sequential(*_conv(width if level == 0 else again, width), *_conv(width, width))
            for level in range(_levels(size_px))
        )
        self.colours = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, inputs) to (N, 3, S, S), linear."""
        h0 = maps = self.first(vectors).unflatten(1, (-1, _START_PX, _START_PX))  # (N, width, 8, 8)
        for number, level in enumerate(self.levels):
            if number > 0:
                maps = F.interpolate(maps, scale_factor=2, mode="nearest")
                if self.skip:
                    maps = torch.cat((maps, F.interpolate(h0, scale_factor=2**number, mode="nearest")), dim=1)
            maps = level(maps)
        picture: Tensor = self.colours(maps)
        return picture


class BeganGenerator(nn.Module):
    """Latent vector to a picture: the decoder.

    Latents are normal as everywhere in this house; the decoder is fed with 2 Phi(z) - 1, which is uniform in (-1, 1)
    as the paper's are.

    Args:
        size_px: side of the picture: 64, 128 or 256.
        latent_dim: length of the latent vector.
        width: channels of every layer; 64 or 128 in the paper.
        skip: h0, the 8x8 map, is enlarged and joined to the maps of every other extent.
    """

    def __init__(self, size_px: int = 128, latent_dim: int = 64, width: int = 64, skip: bool = True) -> None:
        super().__init__()
        self.size_px, self.latent_dim = size_px, latent_dim
        self.config = {"size_px": size_px, "latent_dim": latent_dim, "width": width, "skip": skip}
        self.decoder = _Decoder(size_px, latent_dim, width, skip)
        self.apply(_init)

    def forward(self, latents: Tensor) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px), in [-1, 1] but while training, when nothing is cut off."""
        assert_shape(latents, None, self.latent_dim, name="latents")
        uniform = torch.erf(latents.float() / math.sqrt(2))
        pictures: Tensor = self.decoder(uniform.to(self.decoder.first.weight.dtype)).float()
        return pictures if self.training else pictures.clamp(-1, 1)


class BeganAutoencoder(nn.Module):
    """Picture to one score: minus the mean absolute error with which it comes back.

    `k` is the balance of the game (`losses.began`), kept here so that every checkpoint holds it.

    Args:
        size_px: side of the pictures.
        hidden: length of the code between encoder and decoder; the paper's is that of the latent vector.
        width: channels of the decoder, and of the encoder's first level; its level i has (i + 1) times as many.
        skip: as in `BeganGenerator`.
    """

    k: Tensor

    def __init__(self, size_px: int = 128, hidden: int = 64, width: int = 64, skip: bool = True) -> None:
        super().__init__()
        self.size_px = size_px
        self.config = {"size_px": size_px, "hidden": hidden, "width": width, "skip": skip}
        layers = _conv(3, width)
        channels = [width, *(width * (level + 1) for level in range(_levels(size_px)))]
        for level, (before, here) in enumerate(itertools.pairwise(channels)):
            if level > 0:
                layers += _conv(before, before, stride=2)
            layers += [*_conv(before, here), *_conv(here, here)]
        layers += [nn.Flatten(), nn.Linear(channels[-1] * _START_PX**2, hidden)]
        self.encoder = nn.Sequential(*layers)
        self.decoder = _Decoder(size_px, hidden, width, skip)
        self.register_buffer("k", torch.zeros(()))
        self.apply(_init)

    def reconstruct(self, pictures: Tensor) -> Tensor:
        """(N, 3, size_px, size_px) in [-1, 1] to the same shape, not cut off."""
        assert_shape(pictures, None, 3, self.size_px, self.size_px, name="pictures")
        back: Tensor = self.decoder(self.encoder(pictures.to(self.decoder.first.weight.dtype)))
        return back

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, size_px, size_px) in [-1, 1] to scores (N, 1), 0 at most."""
        back = self.reconstruct(pictures).float()
        return -(pictures.float() - back).abs().flatten(1).mean(dim=1, keepdim=True)
