"""A small generator and discriminator that grow from a few pixels to 128 or 256 without a seam in training.

Progressive growing (Karras et al. 2017, 1710.10196) in the form that its authors' later work suggests: every
resolution adds its own colours to the enlarged picture of the one before (output skips of StyleGAN2, Karras et al.
2019, 1912.04958, section 4.1), and the discriminator adds what it sees at every resolution to what comes from the finer
one. A new resolution begins with exactly nothing to add, so that a grown network makes the very picture that it made
before, enlarged: no fade-in has to be scheduled. From the same works: pixel norm, equalised learning rate and minibatch
deviation (1710.10196), a mapped latent that scales and shifts every layer (1812.04948). One strided k4 convolution a
resolution, as in DCGAN, keeps it cheap enough for one processor core.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.dcgan import MinibatchSpread
from upimagine.nets.shapes import assert_shape

SIZES_PX = (16, 32, 64, 128, 256)
_SLOPE = 0.2
_GAIN = math.sqrt(2)


class _Weighted(nn.Module):
    """Weights drawn from N(0, 1) and scaled when used (equalised learning rate), so that Adam serves all layers
    alike."""

    def __init__(self, shape: tuple[int, ...], fan_in: int, bias: int, gain: float = _GAIN, pace: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape) / pace)
        self.bias = nn.Parameter(torch.zeros(bias))
        self._scale, self._pace = gain / math.sqrt(fan_in) * pace, pace

    def scaled(self) -> tuple[Tensor, Tensor]:
        return self.weight * self._scale, self.bias * self._pace


class _Dense(_Weighted):
    def __init__(self, inputs: int, outputs: int, gain: float = _GAIN, pace: float = 1.0) -> None:
        super().__init__((outputs, inputs), inputs, outputs, gain, pace)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self.scaled())


class _Conv(_Weighted):
    """Stride 1, same size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = _GAIN) -> None:
        super().__init__((outputs, inputs, kernel, kernel), inputs * kernel**2, outputs, gain)
        self._padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.scaled(), padding=self._padding)


class _Up(_Weighted):
    """Nearest-neighbour x2 and a 3x3 convolution, fused into one transposed k4 s2 (1710.10196, upscale2d_conv2d)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((inputs, outputs, 3, 3), inputs * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.scaled()
        return F.conv_transpose2d(x, widened(weight), bias, stride=2, padding=1)


class _Down(_Weighted):
    """A 3x3 convolution and average pooling by 2, fused into one k4 s2 (1710.10196, conv2d_downscale2d)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((outputs, inputs, 3, 3), inputs * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.scaled()
        return F.conv2d(x, widened(weight) / 4, bias, stride=2, padding=1)


def widened(weight: Tensor) -> Tensor:
    """(a, b, 3, 3) to (a, b, 4, 4): each tap lies on the 2x2 places that nearest neighbours share."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[:, :, 1:, 1:] + padded[:, :, 1:, :-1] + padded[:, :, :-1, 1:] + padded[:, :, :-1, :-1]


class _Style(nn.Module):
    """Activation, pixel norm, then scale and shift of every channel by the mapped latent."""

    def __init__(self, channels: int, latent_dim: int) -> None:
        super().__init__()
        self.affine = _Dense(latent_dim, 2 * channels, gain=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = F.leaky_relu(x, _SLOPE)
        x = x * _inverse_length(x)
        scale: Tensor
        shift: Tensor
        scale, shift = self.affine(w)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return x * (1 + scale) + shift


def _inverse_length(x: Tensor) -> Tensor:
    """One over the root mean square of the channels: (N, 1, ...) for (N, C, ...)."""
    return x.square().mean(dim=1, keepdim=True, dtype=torch.float32).add(1e-8).rsqrt().to(x.dtype)


def widths_at(size_px: int, width: int, max_width: int) -> dict[int, int]:
    """Channels at every extent: `width` at the full size, doubling downwards to `max_width`."""
    if size_px not in SIZES_PX:
        raise ValueError(f"a growing generator of {size_px} px is not defined; choose one of {SIZES_PX}")
    extents = [4 << i for i in range(size_px.bit_length() - 2)]
    return {extent: min(width * size_px // extent, max_width) for extent in extents}


class GrowingGenerator(nn.Module):
    """Latent vector to a picture; only the direction of the latent counts.

    `width` is the number of channels at the full size; it doubles towards 4x4 up to `max_width`. Extents up to
    `refine_px` get a second, 3x3 convolution. Training begins at `start_px`; larger extents begin with nothing to add.
    """

    def __init__(
        self,
        size_px: int = 128,
        latent_dim: int = 128,
        width: int = 24,
        max_width: int = 192,
        refine_px: int = 32,
        start_px: int = 32,
    ) -> None:
        super().__init__()
        channels = widths_at(size_px, width, max_width)
        self.size_px, self.latent_dim = size_px, latent_dim
        self.config = {
            "size_px": size_px,
            "latent_dim": latent_dim,
            "width": width,
            "max_width": max_width,
            "refine_px": refine_px,
            "start_px": start_px,
        }
        self.mapping = nn.ModuleList(_Dense(latent_dim, latent_dim, pace=0.1) for _ in range(2))
        self.first = _Dense(latent_dim, channels[4] * 16)
        self.first_style = _Style(channels[4], latent_dim)
        self.up, self.up_style = nn.ModuleDict(), nn.ModuleDict()
        self.refine, self.refine_style, self.colours = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        before = channels[4]
        for extent, here in channels.items():
            name = str(extent)
            if extent > 4:
                self.up[name], self.up_style[name] = _Up(before, here), _Style(here, latent_dim)
            if extent <= refine_px:
                self.refine[name], self.refine_style[name] = _Conv(here, here, 3), _Style(here, latent_dim)
            self.colours[name] = _Conv(here, 3, 1, gain=1.0)
            # Within the range of pictures from the start; sizes to come have nothing to add yet.
            self.colours[name].weight.data.mul_(0.3 * (extent <= start_px))  # type: ignore[operator]
            before = here

    def forward(self, latents: Tensor, until_px: int | None = None) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px) in [-1, 1]; with `until_px` a smaller picture, sooner."""
        assert_shape(latents, None, self.latent_dim, name="latents")
        z = latents.to(self.first.weight.dtype)
        w = z * _inverse_length(z)
        for layer in self.mapping:
            w = F.leaky_relu(layer(w), _SLOPE)
        x = self.first_style(self.first(z * _inverse_length(z)).unflatten(1, (-1, 4, 4)), w)
        picture = None
        for name, colours in self.colours.items():
            if name in self.up:
                x = self.up_style[name](self.up[name](x), w)
            if name in self.refine:
                x = self.refine_style[name](self.refine[name](x), w)
            added = colours(x).float()
            picture = added if picture is None else enlarge_twice(picture) + added
            if until_px is not None and int(name) >= until_px:
                break
        assert isinstance(picture, Tensor)
        return picture.clamp(-1, 1) if not self.training else picture


def enlarge_twice(picture: Tensor) -> Tensor:
    """Bilinear x2: (N, 3, h, w) to (N, 3, 2h, 2w)."""
    return F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)


class GrowingDiscriminator(nn.Module):
    """Picture of the full size, or of any smaller extent it grew through, to one logit; no normalisation.

    With more than one of `outputs` it is an encoder, which looks at every picture by itself.
    """

    def __init__(
        self, size_px: int = 128, width: int = 24, max_width: int = 192, start_px: int = 32, outputs: int = 1
    ) -> None:
        super().__init__()
        channels = widths_at(size_px, width, max_width)
        self.size_px = size_px
        self.config = {
            "size_px": size_px,
            "width": width,
            "max_width": max_width,
            "start_px": start_px,
            "outputs": outputs,
        }
        self.colours, self.down = nn.ModuleDict(), nn.ModuleDict()
        self.share = nn.ParameterDict()
        for extent, here in channels.items():
            name = str(extent)
            self.colours[name] = _Conv(3, here, 1)
            if extent > 4:
                self.down[name] = _Down(here, channels[extent // 2])
                # How much of the finer extent comes through; at first nothing of extents that come later.
                self.share[name] = nn.Parameter(torch.tensor(float(extent <= start_px)))
        self.spread = MinibatchSpread() if outputs == 1 else nn.Identity()
        self.last = _Conv(channels[4] + (outputs == 1), channels[4], 3)
        self.hidden = _Dense(channels[4] * 16, channels[4])
        self.head = _Dense(channels[4], outputs, gain=1.0)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, s, s) in [-1, 1], s at most size_px, to (N, outputs)."""
        assert_shape(pictures, None, 3, None, None, name="pictures")
        extent = pictures.shape[3]
        if str(extent) not in self.colours or pictures.shape[2] != extent:
            raise ValueError(f"pictures of {extent}x{pictures.shape[2]} px; give squares of 4 to {self.size_px} px")
        picture = pictures.to(self.head.weight.dtype)
        x = F.leaky_relu(self.colours[str(extent)](picture), _SLOPE)
        while extent > 4:
            finer = F.leaky_relu(self.down[str(extent)](x), _SLOPE)
            share = self.share[str(extent)]
            extent //= 2
            picture = F.avg_pool2d(picture, 2)
            x = F.leaky_relu(self.colours[str(extent)](picture), _SLOPE) + finer * share.to(finer.dtype)
        x = F.leaky_relu(self.last(self.spread(x)), _SLOPE)
        logits: Tensor = self.head(F.leaky_relu(self.hidden(x.flatten(1)), _SLOPE))
        return logits
