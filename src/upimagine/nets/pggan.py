"""Progressive GAN (Karras, Aila, Laine & Lehtinen 2017, 1710.10196), layer by layer as published.

Layers, gains and channels follow the authors' code (tkarras/progressive_growing_of_gans, networks.py): pixel norm in
the generator, none in the discriminator, equalised learning rate, minibatch standard deviation, colours read and
written by 1x1 convolutions at every size, the new size faded in. Where this differs: pictures that are judged one by
one are given the deviation that was usual in training.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.dcgan import MinibatchSpread
from upimagine.nets.equalised import GAIN, SLOPE, Conv, Dense, DownConv, UpConv, Weighted, inverse_length
from upimagine.nets.shapes import assert_shape

SIZES_PX = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def widths_at(size_px: int, base_px: int, fmap_base: int, fmap_max: int) -> dict[int, int]:
    """Channels at every extent from `base_px` on: 2 fmap_base / extent, `fmap_max` at most; 16 at 1024 px of 8192."""
    if size_px not in SIZES_PX:
        raise ValueError(f"a Progressive GAN of {size_px} px is not defined; choose one of {SIZES_PX}")
    if base_px not in (2, 4):
        raise ValueError(f"a Progressive GAN begins at 2 or 4 px, not at {base_px}")
    if size_px < base_px:
        raise ValueError(f"a Progressive GAN that begins at {base_px} px cannot end at {size_px} px")
    extents = [base_px << i for i in range((size_px // base_px).bit_length())]
    return {extent: max(min(2 * fmap_base // extent, fmap_max), 1) for extent in extents}


_NARROW, _ROWS = 32, 64
"""Over fewer channels PyTorch multiplies by one number a place without vector instructions: with 16 channels at 1024 px
that takes 27 ms, 7 ms where the numbers are first written out for all channels, some rows at a time (one thread)."""


def _normed(x: Tensor) -> Tensor:
    """Leaky ReLU, then pixel norm."""
    if torch.is_grad_enabled():
        x = F.leaky_relu(x, SLOPE)
        return x * inverse_length(x)
    x = F.leaky_relu_(x, SLOPE)
    inverse = inverse_length(x)
    if x.device.type != "cpu" or x.shape[1] >= _NARROW:
        return x.mul_(inverse)
    for rows, factors in zip(torch.split(x, _ROWS, dim=2), torch.split(inverse, _ROWS, dim=2), strict=True):
        rows.mul_(factors.expand_as(rows).contiguous(memory_format=torch.channels_last))
    return x


class PgganGenerator(nn.Module):
    """Latent vector to a picture; at 1024 px, grown up, 23,071,507 parameters.

    Only the direction of the latent counts, as pixel norm is its first layer.

    Args:
        size_px: side of the largest picture.
        latent_dim: length of the latent vector.
        fmap_base: twice this, over the extent, are the channels of a map.
        fmap_max: cap on channels.
        base_px: side of the first map, 4 or 2.
        growing: whether every size can write colours, to be trained; else the last one, and the one before it while
            that fades out.
        faded: how far the last size has faded in, unless `forward` is told.
    """

    def __init__(
        self,
        size_px: int = 1024,
        latent_dim: int = 512,
        fmap_base: int = 8192,
        fmap_max: int = 512,
        base_px: int = 4,
        growing: bool = False,
        faded: float = 1.0,
    ) -> None:
        super().__init__()
        channels = widths_at(size_px, base_px, fmap_base, fmap_max)
        self.size_px, self.latent_dim, self.base_px, self.faded = size_px, latent_dim, base_px, faded
        self.config = {
            "size_px": size_px,
            "latent_dim": latent_dim,
            "fmap_base": fmap_base,
            "fmap_max": fmap_max,
            "base_px": base_px,
            "growing": growing,
            "faded": faded,
        }
        writing = _in_use(channels, growing, faded)
        self._mean: tuple[tuple[int, int], Tensor] | None = None
        first = channels[base_px]
        # As if it were a convolution over the first map (networks.py: "match the original Theano implementation").
        self.first = Weighted((first * base_px**2, latent_dim), latent_dim, first, gain=GAIN / base_px)
        self.up, self.again, self.colours = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        before = first
        for extent, here in channels.items():
            name = str(extent)
            if extent > base_px:
                self.up[name] = UpConv(before, here)
            self.again[name] = Conv(here, here, 3)
            if extent in writing:
                self.colours[name] = Conv(here, 3, 1, gain=1.0)
            before = here

    def forward(self, latents: Tensor, until_px: int | None = None, faded: float | None = None) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px), within [-1, 1] in evaluation mode.

        Args:
            latents: normal vectors.
            until_px: stop at this size, which is being trained.
            faded: from 0, where the last size does not count yet, to 1, where only it writes colours.
        """
        return self.finish(self.begin(latents), until_px, faded)

    def truncated(self, latents: Tensor, truncation: float) -> Tensor:
        """As `forward`, with what the first layer makes pulled to what it makes on average: 1 not at all, 0 wholly.

        The truncation trick of 1812.04948, in the first map: pixel norm makes latents themselves unscalable.
        """
        return self.finish(torch.lerp(self._typical(), self.begin(latents), truncation))

    def _typical(self) -> Tensor:
        """Mean (1, C, base_px, base_px) of what the first layer makes of ten thousand latents, always the same ones."""
        weight = self.first.weight
        here = (weight.data_ptr(), weight._version)
        if self._mean is None or self._mean[0] != here:
            random = torch.Generator().manual_seed(0)
            parts = [torch.randn(500, self.latent_dim, generator=random).to(weight.device) for _ in range(20)]
            mean = torch.stack([self.begin(part).float().mean(0, keepdim=True) for part in parts]).mean(0)
            self._mean = here, mean.to(weight.dtype)
        return self._mean[1]

    def begin(self, latents: Tensor) -> Tensor:
        """(N, latent_dim) to what the first layer makes of it: (N, C, base_px, base_px)."""
        assert_shape(latents, None, self.latent_dim, name="latents")
        z = latents.to(self.first.weight.dtype)
        weight, bias = self.first.scaled()
        x = F.linear(z * inverse_length(z), weight).view(len(z), -1, self.base_px, self.base_px)
        return _normed((x + bias[:, None, None]).contiguous(memory_format=torch.channels_last))

    def finish(self, x: Tensor, until_px: int | None = None, faded: float | None = None) -> Tensor:
        """From `begin`'s (N, C, base_px, base_px) to the picture; see `forward`."""
        until_px, faded = until_px or self.size_px, self.faded if faded is None else faded
        x = _normed(self.again[str(self.base_px)](x))
        extent = self.base_px
        coarse: Tensor | None = None
        while extent < until_px:
            if faded < 1 and 2 * extent == until_px:
                coarse = self.colours[str(extent)](x).float()
            extent *= 2
            x = _normed(self.up[str(extent)](x))
            x = _normed(self.again[str(extent)](x))
        picture: Tensor = self.colours[str(extent)](x).float()
        if coarse is not None:
            picture = torch.lerp(_enlarged(coarse), picture, faded)
        return picture if self.training else picture.clamp(-1, 1)

    def grown(self, until_px: int, faded: float) -> PgganGenerator:
        """A copy of its own as it is at this size: without what comes later, and without colours of past sizes."""
        config: dict[str, Any] = self.config | {"size_px": until_px, "growing": False, "faded": faded}
        copy = PgganGenerator(**config)
        mine = self.state_dict()
        copy.load_state_dict({name: mine[name] for name in copy.state_dict()})
        return copy.eval()


def _in_use(channels: dict[int, int], growing: bool, faded: float) -> list[int]:
    """Extents that read or write colours."""
    return list(channels) if growing else list(channels)[-1 if faded == 1 else -2 :]


def _enlarged(picture: Tensor) -> Tensor:
    return F.interpolate(picture, scale_factor=2, mode="nearest")


def faded_pictures(pictures: Tensor, faded: float) -> Tensor:
    """What a discriminator is shown of real pictures (N, 3, s, s) while a size fades in: they sharpen with it."""
    return torch.lerp(_enlarged(F.avg_pool2d(pictures, 2)), pictures, faded) if faded < 1 else pictures


class PgganDiscriminator(nn.Module):
    """Picture of the full size, or while growing of any smaller one, to one score; at 1024 px, grown up, 23,077,137
    parameters. Arguments as in `PgganGenerator`; `deviation_group`: pictures whose deviation is taken together."""

    def __init__(
        self,
        size_px: int = 1024,
        fmap_base: int = 8192,
        fmap_max: int = 512,
        base_px: int = 4,
        growing: bool = False,
        faded: float = 1.0,
        deviation_group: int = 4,
    ) -> None:
        super().__init__()
        channels = widths_at(size_px, base_px, fmap_base, fmap_max)
        self.size_px, self.base_px, self.faded = size_px, base_px, faded
        self.config = {
            "size_px": size_px,
            "fmap_base": fmap_base,
            "fmap_max": fmap_max,
            "base_px": base_px,
            "growing": growing,
            "faded": faded,
            "deviation_group": deviation_group,
        }
        self.colours, self.again, self.down = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        reading = _in_use(channels, growing, faded)
        for extent, here in channels.items():
            if extent in reading:
                self.colours[str(extent)] = Conv(3, here, 1)
            if extent > base_px:
                self.again[str(extent)] = Conv(here, here, 3)
                self.down[str(extent)] = DownConv(here, channels[extent // 2])
        last = channels[base_px]
        self.spread = MinibatchSpread(deviation_group)
        self.last = Conv(last + 1, last, 3)
        self.hidden = Dense(last * base_px**2, last)
        self.head = Dense(last, 1, gain=1.0)

    def forward(self, pictures: Tensor, faded: float | None = None) -> Tensor:
        """(N, 3, s, s) to (N, 1); `faded` as in the generator, of size s."""
        faded = self.faded if faded is None else faded
        assert_shape(pictures, None, 3, None, None, name="pictures")
        extent = pictures.shape[3]
        if str(extent) not in self.colours or pictures.shape[2] != extent:
            raise ValueError(f"pictures of {extent}x{pictures.shape[2]} px; give squares this network grew through")
        picture = pictures.to(self.head.weight.dtype)
        x = F.leaky_relu(self.colours[str(extent)](picture), SLOPE)
        whole = extent
        while extent > self.base_px:
            x = F.leaky_relu(self.again[str(extent)](x), SLOPE)
            x = F.leaky_relu(self.down[str(extent)](x), SLOPE)
            if extent == whole and faded < 1:
                coarse = self.colours[str(extent // 2)](F.avg_pool2d(picture, 2))
                x = torch.lerp(F.leaky_relu(coarse, SLOPE), x, faded)
            extent //= 2
        x = F.leaky_relu(self.last(self.spread(x)), SLOPE)
        scores: Tensor = self.head(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE))
        return scores

    def grown(self, until_px: int, faded: float) -> PgganDiscriminator:
        """As the generator's."""
        config: dict[str, Any] = self.config | {"size_px": until_px, "growing": False, "faded": faded}
        copy = PgganDiscriminator(**config)
        mine = self.state_dict()
        copy.load_state_dict({name: mine[name] for name in copy.state_dict()})
        return copy.eval()
