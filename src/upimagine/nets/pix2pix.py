"""pix2pix (Isola, Zhu, Zhou, Efros 2016, 1611.07004): a U-Net that translates, a PatchGAN that judges."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.chance import draws_of, drop_half
from upimagine.nets.dcgan import init_weights
from upimagine.nets.shapes import assert_shape

SIZES_PX = (128, 256, 512)
#: Side of the square that one logit judges, and how many k4s2 layers see so far (phillipi/pix2pix, models.lua).
PATCHES_PX = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
Statistics = Literal["batch", "running", "instance"]


class UNet(nn.Module):
    """(N, 3, s, s) to (N, 3, s, s) in [-1, 1], through one pixel; s is `size_px`.

    Encoder: LeakyReLU before each convolution but the first; decoder: ReLU before each; all k4s2p1, the decoder sees
    the encoder's maps of equal extent. No norm in the first layer, at the 1x1 bottleneck (where, for a batch of one, it
    would leave nothing of the picture) and in the last. With `width` 64: 41,828,995 parameters at 128 px, 54,413,955
    at 256, 66,998,915 at 512.

    Args:
        size_px: side of the picture that comes out: 128, 256 or 512.
        width: channels at half that side; they double with each layer up to eight times as many.
        scale: above 1 the network up-imagines: it takes (N, 3, s / scale, s / scale) and shows itself each pixel as a
            square of scale x scale.
        dropout_px: extents of the decoder's maps of which half the values are dropped, the network's only noise:
            (2, 4, 8) as in the paper's code, (4, 8, 16) as in its PyTorch port.
        noise: whether they are dropped after training, too, as in the paper; see `forward`.
        statistics: what batch norm goes by. "batch": the batch while training, then each picture alone; with batches of
            one this is the paper's way and leaves no gap between the two. "running": the batch while training, then
            its running averages. "instance": each picture alone, always. After training no picture depends on its
            batch mates in any of them.
    """

    def __init__(
        self,
        size_px: int = 256,
        width: int = 64,
        scale: int = 1,
        dropout_px: Sequence[int] = (2, 4, 8),
        noise: bool = True,
        statistics: Statistics = "batch",
    ) -> None:
        super().__init__()
        if size_px not in SIZES_PX:
            raise ValueError(f"a U-Net of {size_px} px is not defined; choose one of {SIZES_PX}")
        if scale < 1 or size_px % scale:
            raise ValueError(f"a scale of {scale} does not divide {size_px} px")
        if statistics not in ("batch", "running", "instance"):
            raise ValueError(f"statistics {statistics!r} are unknown; choose batch, running or instance")
        self.size_px, self.scale, self.window_px = size_px, scale, size_px // scale
        self.guide_channels = 0
        self.dropout_px, self.noise = tuple(dropout_px), noise
        self.config = {
            "size_px": size_px,
            "width": width,
            "scale": scale,
            "dropout_px": list(dropout_px),
            "noise": noise,
            "statistics": statistics,
        }
        depth = size_px.bit_length() - 1  # 256 -> 8
        widths = [min(width << level, 8 * width) for level in range(depth)]  # at s/2, s/4, ..., 1
        self.down, self.down_norm = nn.ModuleList(), nn.ModuleList()
        for level, (before, after) in enumerate(itertools.pairwise([3, *widths])):
            self.down.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            self.down_norm.append(_Norm(after, statistics) if 0 < level < depth - 1 else nn.Identity())
        self.up, self.up_norm = nn.ModuleList(), nn.ModuleList()
        before = widths[-1]
        for after in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False))
            self.up_norm.append(_Norm(after, statistics))
            before = 2 * after  # with the encoder's maps beside them
        self.up.append(nn.ConvTranspose2d(before, 3, 4, 2, 1))
        self.up_norm.append(nn.Identity())
        self.apply(init_weights)

    def forward(self, pictures: Tensor, seeds: Tensor | None = None) -> Tensor:
        """(N, 3, window_px, window_px) to (N, 3, size_px, size_px), both in [-1, 1].

        While training, what is dropped comes from torch's global random numbers. Afterwards `seeds` (N,) int64 say it
        for each picture, the same on every device; without them nothing is dropped.
        """
        assert_shape(pictures, None, 3, self.window_px, self.window_px, name="pictures")
        x = enlarge_blocks(pictures.to(self.down[0].weight.dtype), self.scale)  # type: ignore[arg-type]
        skips: list[Tensor] = []  # extents s/2, s/4, ..., 1
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = norm(conv(F.leaky_relu(x, 0.2) if skips else x))
            skips.append(x)
        skips.pop()  # the bottleneck is where the decoder starts, not a skip
        draws = draws_of(seeds)
        for deconv, norm in zip(self.up, self.up_norm, strict=True):
            x = norm(deconv(F.relu(x)))
            if x.shape[2] in self.dropout_px:
                x = drop_half(x, self.training, draws)
            if skips:
                x = torch.cat((x, skips.pop()), dim=1)
        return torch.tanh(x.float())


class _Norm(nn.BatchNorm2d):
    """Batch norm that knows which statistics to go by; see `UNet`."""

    def __init__(self, channels: int, statistics: Statistics) -> None:
        super().__init__(channels)
        self.statistics = statistics

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        if self.statistics == "instance" or (self.statistics == "batch" and not self.training):
            return F.instance_norm(maps, weight=self.weight, bias=self.bias, eps=self.eps)
        return super().forward(maps)


class PatchDiscriminator(nn.Module):
    """PatchGAN: a logit for each overlapping square of a picture beside the one it was made from.

    k4 convolutions, as many with stride 2 as `PATCHES_PX` says, then two with stride 1; LeakyReLU 0.2; batch norm in
    all but the first and the last. A patch of 1 is judged by three 1x1 convolutions. With `width` 64 and a patch of
    70 px 2,768,705 parameters, and 30x30 logits for 256x256.
    """

    def __init__(self, patch_px: int = 70, width: int = 64) -> None:
        super().__init__()
        if patch_px not in PATCHES_PX:
            raise ValueError(f"a patch of {patch_px} px is not defined; choose one of {tuple(PATCHES_PX)}")
        self.config = {"patch_px": patch_px, "width": width}
        count = PATCHES_PX[patch_px]
        if count == 0:
            shapes = [(6, width, 1, 1, 0), (width, 2 * width, 1, 1, 0)]
        else:
            widths = [6, *(min(width << level, 8 * width) for level in range(count + 1))]
            strides = [2] * count + [1]
            shapes = [(a, b, 4, stride, 1) for (a, b), stride in zip(itertools.pairwise(widths), strides, strict=True)]
        layers: list[nn.Module] = []
        for level, (before, after, kernel, stride, padding) in enumerate(shapes):
            layers.append(nn.Conv2d(before, after, kernel, stride, padding, bias=level == 0))
            layers += [nn.BatchNorm2d(after)] if level else []
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(shapes[-1][1], 1, *shapes[-1][2:]))
        self.layers = nn.Sequential(*layers)
        self.apply(init_weights)

    def forward(self, pictures: Tensor, given: Tensor) -> Tensor:
        """Judge (N, 3, h, w) made from (N, 3, h / k, w / k), k a whole number: logits (N, 1, rows, columns)."""
        assert_shape(pictures, None, 3, None, None, name="pictures")
        times = max(1, pictures.shape[2] // given.shape[2])
        low_px = (pictures.shape[2] // times, pictures.shape[3] // times)
        assert_shape(given, len(pictures), 3, *low_px, name="given")
        both = torch.cat((enlarge_blocks(given, times).to(pictures), pictures), dim=1)
        return self.layers(both.to(self.layers[0].weight.dtype))  # type: ignore[no-any-return, arg-type]


def enlarge_blocks(pictures: Tensor, times: int) -> Tensor:
    """Each pixel becomes a square of times x times: (N, C, h, w) to (N, C, times h, times w)."""
    return pictures if times == 1 else F.interpolate(pictures, scale_factor=times, mode="nearest")
