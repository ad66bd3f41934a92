"""What an outsider's network must be to take part: the whole contract of each role.

Tensors are NCHW float32 in [-1, 1], RGB, sRGB-encoded, unless a line says otherwise. Any object with these members
takes part; nothing has to be inherited or registered. Objects are called under ``torch.inference_mode`` and must not
depend on batch mates: the same row gives the same picture in any batch. On a processor several threads may call at
once: one that keeps anything between calls, such as memory that it hands out again, must guard it (torch modules need
not).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Generator(Protocol):
    """Latent vectors to pictures."""

    latent_dim: int
    """Length of a latent vector; latents are drawn from N(0, I)."""
    size_px: int
    """Side of the square picture that comes out."""

    def generate(self, latents: Tensor) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px) in [-1, 1]."""
        ...


@runtime_checkable
class Upscaler(Protocol):
    """Small tiles to large ones, with invented detail."""

    scale: int
    """Output pixels for an input pixel, along a side: 1 to 32."""
    window_px: int
    """Side of the square input tile in low-res pixels."""
    guide_channels: int
    """Channels of guide raster expected behind the three of the picture: 0 when the network takes no guide."""
    radius_px: int | None
    """One-sided receptive radius in low-res pixels, or None for a network that sees its whole tile (U-Net, J-net).

    With a radius, tiles equal the whole picture and may be of any size; `render.radius.find_radius` tells it."""
    align_px: int
    """Low-res pixels that sides and places of tiles must be multiples of: the network's total stride, mostly 1."""

    def upscale(self, tiles: Tensor) -> Tensor:
        """(N, 3 + guide_channels, window_px, window_px) to (N, 3, window_px * scale, window_px * scale).

        With a radius, (N, 3 + guide_channels, h, w) of any h and w that are multiples of align_px.
        """
        ...


@runtime_checkable
class Translator(Protocol):
    """A picture to another picture of the same size (pix2pix)."""

    window_px: int
    """Side of the square tile."""

    def translate(self, tiles: Tensor, seed: int = 0) -> Tensor:
        """(N, 3, window_px, window_px) to the same shape. `seed` varies what is left to chance, if anything is."""
        ...


@runtime_checkable
class Critic(Protocol):
    """How real a picture looks; larger is more real."""

    def score(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
        """Judge (N, 3, H, W), given the low-res tiles with guide (N, C, h, w) for a conditional critic, as (N,)."""
        ...


@runtime_checkable
class Guide(Protocol):
    """A picture to the raster that tells an upscaler what stands where."""

    channels: int
    """Channels of the raster."""

    def draw(self, picture: Tensor, size_px: tuple[int, int]) -> Tensor | None:
        """(1, 3, H, W) to (1, channels, height, width) in [-1, 1], or None where there is nothing to guide by."""
        ...
