"""The J-net of Tyka's staged portraits: a U-Net whose decoder reaches x8 beyond its encoder, so that it looks like a J.

The encoder takes a 32x32 low-res tile (with a guide raster behind the colours) down to one pixel, the decoder comes
back up through skips between equal extents and goes on, without skips, to 256x256. Encoder layers are a quarter as wide
as the decoder's; two plain convolutions follow every up-step; there is no normalisation in the generator.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.shapes import assert_shape

WINDOW_PX = 32
SCALE = 8
Consistency = Literal["none", "residual", "project"]


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
    """

    def __init__(self, guide_channels: int = 3, width: float = 1.0, consistency: Consistency = "none") -> None:
        super().__init__()
        if consistency not in ("none", "residual", "project"):
            raise ValueError(f"consistency {consistency!r} is unknown; choose none, residual or project")
        self.scale, self.window_px, self.guide_channels = SCALE, WINDOW_PX, guide_channels
        self.config = {"guide_channels": guide_channels, "width": width, "consistency": consistency}
        self.consistency = consistency

        def decoder_width(extent: int) -> int:
            return max(8, round(_pix2pix_width(extent) * width))

        def encoder_width(extent: int) -> int:
            return max(8, round(_pix2pix_width(extent) * width / 4))

        self.stem = nn.Conv2d(3 + guide_channels, encoder_width(32), 3, 1, 1)
        self.down = nn.ModuleList(
            nn.Conv2d(encoder_width(2 * extent), encoder_width(extent), 4, 2, 1) for extent in (16, 8, 4, 2, 1)
        )
        self.up, self.fuse, self.refine = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = encoder_width(1)
        for extent in (2, 4, 8, 16, 32, 64, 128, 256):
            here = decoder_width(extent)
            skip = encoder_width(extent) if extent <= WINDOW_PX else 0
            self.up.append(nn.ConvTranspose2d(before, here, 4, 2, 1))
            self.fuse.append(nn.Conv2d(here + skip, here, 3, 1, 1))
            self.refine.append(nn.Conv2d(here, here, 3, 1, 1))
            before = here
        self.out = nn.Conv2d(before, 3, 3, 1, 1)
        self._init_weights()

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

    def forward(self, tiles: Tensor) -> Tensor:
        """(N, 3 + guide_channels, h, w) to (N, 3, 8h, 8w), both in [-1, 1]; h and w multiples of 32."""
        assert_shape(tiles, None, 3 + self.guide_channels, None, None, name="tiles")
        if tiles.shape[2] % WINDOW_PX or tiles.shape[3] % WINDOW_PX:
            raise ValueError(f"tile sides {tuple(tiles.shape[2:])} are not multiples of {WINDOW_PX}")
        x = F.leaky_relu(self.stem(tiles.to(self.stem.weight.dtype)), 0.2)
        skips = [x]  # extents 32, 16, 8, 4, 2
        for conv in self.down:
            x = F.leaky_relu(conv(x), 0.2)
            skips.append(x)
        skips.pop()  # the bottleneck is where the decoder starts, not a skip
        for up, fuse, refine in zip(self.up, self.fuse, self.refine, strict=True):
            x = F.relu(up(x))
            if skips:
                x = torch.cat((x, skips.pop()), dim=1)
            x = F.relu(refine(F.relu(fuse(x))))
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


def enlarge_smoothly(low: Tensor) -> Tensor:
    """Bicubic x8 without clamping: (N, 3, h, w) to (N, 3, 8h, 8w)."""
    return F.interpolate(low, scale_factor=SCALE, mode="bicubic", align_corners=False)


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
