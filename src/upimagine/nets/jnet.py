"""The J-net of Tyka's staged portraits: a U-Net whose decoder reaches x8 beyond its encoder, so that it looks like a J.

The encoder takes a 32x32 low-res tile (with a guide raster behind the colours) down to one pixel, the decoder comes
back up through skips between equal extents and goes on, without skips, to 256x256. Encoder layers are a quarter as wide
as the decoder's; two plain convolutions follow every up-step; there is no normalisation in the generator.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.chance import draws_of, drop_half, noise_like
from upimagine.nets.shapes import assert_shape

WINDOW_PX = 32
SCALE = 8
EXTENTS = (2, 4, 8, 16, 32, 64, 128, 256)
"""Sides of the decoder's maps, for a tile of 32 px."""
Consistency = Literal["none", "residual", "project"]
UpStep = Literal["deconv", "resize"]
Norm = Literal["none", "batch"]

_RESIDUAL_PX = (16, 32, 64, 128)  # each costs about the same; finer maps have too few channels, coarser too few places


def _pix2pix_width(extent: int) -> int:
    """Channels of the pix2pix U-Net-256 at this extent: 32 at 256, doubling down to 512 at 16 and below."""
    return min(8192 // extent, 512)


class JNet(nn.Module):
    """(N, 3 + guide_channels, 32, 32) to (N, 3, 256, 256); 40,556,867 parameters at `width` 1 with an RGB guide.

    `width` scales every layer. `consistency` is how the output is tied to the low-res input:

    - "none": the decoder's tanh is the picture (the seed's form);
    - "residual": the bicubically enlarged input is added and the sum clamped, so that the net invents only what is
      missing;
    - "project": as "residual", then the low-res error of the result is taken out again, enlarged smoothly (iterated
      back-projection, Irani & Peleg 1991), so that the pooled output equals the input but for clamping.

    Any side that is a multiple of 32 is accepted, but a bottleneck larger than one pixel was never trained.

    Args:
        up: "deconv" (the seed's) or "resize", nearest x2 and a 3x3 convolution (Odena et al. 2016), which leaves no
            checkerboard to unlearn.
        norm: "none" (the seed's) or "batch", running averages after training: behind every convolution but the first,
            the bottleneck's and the last.
        dropout_px: extents of the decoder's maps of which half the values are dropped; (2, 4, 8) is pix2pix's.
        noise_channels: maps of normal noise behind the guide, at the extent of the tile.
        low_px: extents among 64, 128 and 256 at which the decoder sees the whole input again, pixels as squares.
        residual_blocks: this many blocks of two more convolutions (EDSR's form, 1707.02921) at extents 16 to 128. Each
            begins as nothing, so that a trained J-net may be given some.
    """

    def __init__(
        self,
        guide_channels: int = 3,
        width: float = 1.0,
        consistency: Consistency = "none",
        up: UpStep = "deconv",
        norm: Norm = "none",
        dropout_px: Sequence[int] = (),
        noise_channels: int = 0,
        low_px: Sequence[int] = (),
        residual_blocks: int = 0,
    ) -> None:
        super().__init__()
        if consistency not in ("none", "residual", "project"):
            raise ValueError(f"consistency {consistency!r} is unknown; choose none, residual or project")
        if up not in ("deconv", "resize") or norm not in ("none", "batch"):
            raise ValueError(f"up {up!r} with norm {norm!r} is unknown; choose deconv or resize, none or batch")
        self.scale, self.window_px, self.guide_channels = SCALE, WINDOW_PX, guide_channels
        self.config = {
            "guide_channels": guide_channels,
            "width": width,
            "consistency": consistency,
            "up": up,
            "norm": norm,
            "dropout_px": list(dropout_px),
            "noise_channels": noise_channels,
            "low_px": list(low_px),
            "residual_blocks": residual_blocks,
        }
        self.consistency = consistency
        self.dropout_px, self.noise_channels, self.low_px = tuple(dropout_px), noise_channels, tuple(low_px)
        self.noise = bool(dropout_px) or noise_channels > 0

        def decoder_width(extent: int) -> int:
            return max(8, round(_pix2pix_width(extent) * width))

        def encoder_width(extent: int) -> int:
            return max(8, round(_pix2pix_width(extent) * width / 4))

        def norm_of(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()

        self.stem = nn.Conv2d(3 + guide_channels + noise_channels, encoder_width(32), 3, 1, 1)
        self.down = nn.ModuleList(
            nn.Conv2d(encoder_width(2 * extent), encoder_width(extent), 4, 2, 1) for extent in (16, 8, 4, 2, 1)
        )
        self.down_norm = nn.ModuleList(norm_of(encoder_width(extent)) for extent in (16, 8, 4, 2))
        self.down_norm.append(nn.Identity())  # of one pixel batch norm would leave nothing but the batch's order
        self.up, self.fuse, self.refine = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.up_norm, self.fuse_norm, self.refine_norm = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = encoder_width(1)
        for extent in EXTENTS:
            here = decoder_width(extent)
            beside = encoder_width(extent) if extent <= WINDOW_PX else 0
            beside += 3 + guide_channels if extent in self.low_px else 0
            self.up.append(_Doubled(before, here) if up == "resize" else nn.ConvTranspose2d(before, here, 4, 2, 1))
            self.fuse.append(nn.Conv2d(here + beside, here, 3, 1, 1))
            self.refine.append(nn.Conv2d(here, here, 3, 1, 1))
            for norms in (self.up_norm, self.fuse_norm, self.refine_norm):
                norms.append(norm_of(here))
            before = here
        self.out = nn.Conv2d(before, 3, 3, 1, 1)
        self._init_weights()
        # Last, so that the other layers begin with the same weights as without any.
        blocks = {str(px): [_Block(decoder_width(px)) for _ in range(residual_blocks)] for px in _RESIDUAL_PX}
        self.residual = nn.ModuleDict({px: nn.Sequential(*some) for px, some in blocks.items() if some})

    def _init_weights(self) -> None:
        """He initialisation: without normalisation N(0, 0.02) would let the signal die (output std 3.5e-7)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                taps = module.kernel_size[0] * module.kernel_size[1]
                if isinstance(module, nn.ConvTranspose2d):
                    taps //= 4  # with stride 2 an output pixel sees a quarter of the kernel
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (module.in_channels * taps)))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.consistency != "none":
            nn.init.normal_(self.out.weight, 0.0, 1e-3)  # begin as the enlarged input

    def forward(self, tiles: Tensor, seeds: Tensor | None = None) -> Tensor:
        """(N, 3 + guide_channels, h, w) to (N, 3, 8h, 8w), both in [-1, 1]; h and w multiples of 32.

        What is left to chance comes from torch's global random numbers while training. Afterwards `seeds` (N,) int64
        say it for each tile; without them nothing is dropped and the noise is zero.
        """
        assert_shape(tiles, None, 3 + self.guide_channels, None, None, name="tiles")
        if tiles.shape[2] % WINDOW_PX or tiles.shape[3] % WINDOW_PX:
            raise ValueError(f"tile sides {tuple(tiles.shape[2:])} are not multiples of {WINDOW_PX}")
        draws = draws_of(seeds)
        spare = not torch.is_grad_enabled()  # no map is needed again, so each may be overwritten
        given = tiles.to(self.stem.weight.dtype)
        x = given
        if self.noise_channels:
            x = torch.cat((x, noise_like(x, self.noise_channels, self.training, draws)), dim=1)
        x = F.leaky_relu(self.stem(x), 0.2)
        skips = [x]  # extents 32, 16, 8, 4, 2
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2, inplace=spare)
            skips.append(x)
        skips.pop()  # the bottleneck is where the decoder starts, not a skip
        for level, extent in enumerate(EXTENTS):
            x = F.relu(self.up_norm[level](self.up[level](x)), inplace=spare)
            beside = [skips.pop()] if skips else []
            if extent in self.low_px:
                beside.append(F.interpolate(given, scale_factor=extent // WINDOW_PX, mode="nearest"))
            if beside:
                x = torch.cat((x, *beside), dim=1)
            x = F.relu(self.fuse_norm[level](self.fuse[level](x)), inplace=spare)
            x = F.relu(self.refine_norm[level](self.refine[level](x)), inplace=spare)
            if str(extent) in self.residual:
                x = self.residual[str(extent)](x)
            if extent in self.dropout_px:
                x = drop_half(x, self.training, draws)
        x = self.out(x)
        if self.consistency == "none":
            return torch.tanh(x.float())
        with torch.autocast(tiles.device.type, enabled=False):
            return self._tie(x.float(), tiles[:, :3].float())

    def _tie(self, detail: Tensor, low: Tensor) -> Tensor:
        """Add the invented detail (N, 3, 8h, 8w) to the enlarged low-res picture (N, 3, h, w)."""
        picture = enlarge_smoothly(low) + detail
        if self.consistency == "project":
            for _ in range(2):
                picture = picture + enlarge_smoothly(low - F.avg_pool2d(picture, SCALE))
        return picture.clamp(-1, 1)


class _Doubled(nn.Module):
    """Nearest x2, then a 3x3 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, h, w) to (N, after, 2h, 2w)."""
        return self.conv(F.interpolate(maps, scale_factor=2, mode="nearest"))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Two convolutions around a ReLU, added to what went in; the second one begins as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.normal_(self.first.weight, 0.0, math.sqrt(2 / (9 * channels)))
        nn.init.zeros_(self.second.weight)
        for conv in (self.first, self.second):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        return maps + self.second(F.relu(self.first(maps)))  # type: ignore[no-any-return]


def enlarge_smoothly(low: Tensor) -> Tensor:
    """Bicubic x8 without clamping: (N, C, h, w) float32 to (N, C, 8h, 8w).

    As two matrix products, for it is linear along each side: a tile's takes 0.3 ms where interpolation takes 2.7.
    """
    down, across = (_bicubic(side).to(low) for side in low.shape[2:])
    return down @ low.contiguous() @ across.T


@functools.cache
def _bicubic(side: int) -> Tensor:
    """(8 side, side): what bicubic x8 takes of each of `side` pixels in a row."""
    with torch.inference_mode(False), torch.device("cpu"):
        units = torch.eye(side).view(1, side, side, 1)  # a picture of one column for each pixel
        enlarged = F.interpolate(units, size=(SCALE * side, 1), mode="bicubic", align_corners=False)
        return enlarged[0, :, :, 0].T.contiguous()


class JNetDiscriminator(nn.Module):
    """PatchGAN-70 on the hi-res picture that is shown the low-res tile and guide at the extent where they fit.

    The picture alone runs down to 32x32; there the low-res input is concatenated to the features, and two more
    convolutions give 30x30 logits for 256x256. With `width` 64 and six low-res channels 2,814,785 parameters.
    Batch norm stays here though the generator has none. `features` returns what feature matching compares.
    """

    def __init__(self, low_channels: int = 6, width: int = 64) -> None:
        super().__init__()
        self.low_channels = low_channels
        self.config = {"low_channels": low_channels, "width": width}
        self.first = nn.Conv2d(3, width, 4, 2, 1)
        self.second = nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(2 * width)
        self.third = nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False)
        self.third_norm = nn.BatchNorm2d(4 * width)
        self.joint = nn.Conv2d(4 * width + low_channels, 8 * width, 4, 1, 1, bias=False)
        self.joint_norm = nn.BatchNorm2d(8 * width)
        self.head = nn.Conv2d(8 * width, 1, 4, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def features(self, pictures: Tensor, low: Tensor) -> list[Tensor]:
        """Maps after each nonlinearity: extents 128, 64, 32, 31 for a 256 px picture."""
        assert_shape(pictures, None, 3, None, None, name="pictures")
        assert_shape(
            low,
            pictures.shape[0],
            self.low_channels,
            pictures.shape[2] // SCALE,
            pictures.shape[3] // SCALE,
            name="low",
        )
        one = F.leaky_relu(self.first(pictures.to(self.first.weight.dtype)), 0.2)
        two = F.leaky_relu(self.second_norm(self.second(one)), 0.2)
        three = F.leaky_relu(self.third_norm(self.third(two)), 0.2)
        joined = torch.cat((three, low.to(three.dtype)), dim=1)  # (N, 4 width + low_channels, h, w)
        return [one, two, three, F.leaky_relu(self.joint_norm(self.joint(joined)), 0.2)]

    def forward(self, pictures: Tensor, low: Tensor) -> Tensor:
        """(N, 3, 8h, 8w) with its (N, low_channels, h, w) to logits (N, 1, h - 2, w - 2)."""
        return self.head(self.features(pictures, low)[-1])  # type: ignore[no-any-return]
