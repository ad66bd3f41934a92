"""FastGAN (Liu, Zhu, Song & Elgammal 2021, 2101.04775): a light generator and a discriminator that must remember.

For some dozens to some thousands of pictures. Small maps gate the channels of maps sixteen times as large (skip-layer
excitation), which gives the deep generator short ways for its gradients. The discriminator is kept from looking at a
few telling spots only: two small decoders must be able to paint the picture from its maps.

Widths and layers follow the authors' code (odegeasslbc/FastGAN-pytorch, models.py, read in the copy
hugobb/FastGAN-pytorch at 9fb891f), the slope in the gates that of lucidrains/lightweight-gan (01c9a0c). Where this
network differs: one discriminator and two decoders, as in the paper, where that code adds a second discriminator of
small pictures, a third decoder and gates in the discriminator; any power of two from 64 to 512 px; no spectral norm in
the generator and the decoders, where batch norm undoes a layer's scale; noise that is one fixed pattern once trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from upimagine.nets.classes import Projection, told
from upimagine.nets.dcgan import init_weights
from upimagine.nets.equalised import widened
from upimagine.nets.recall import Recall
from upimagine.nets.shapes import assert_shape

SIZES_PX = (64, 128, 256, 512)
#: Channels of the map of each extent, in widths.
_GENERATOR = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25}
_DISCRIMINATOR = {4: 16, 8: 8, 16: 4, 32: 2, 64: 1, 128: 0.5, 256: 0.25}
_DECODER = {16: 2, 32: 1, 64: 1, 128: 0.5}
_TWICE = (8, 32, 128, 512)  # extents that get a second convolution, and noise
_REACH = 16  # a gate acts upon the map this many times as large as the one it comes from
_REBUILT_PX = 128  # decoders paint pictures of at most this side
#: Extents of the discriminator's maps from which the decoders work: a window of the first, the whole of the second.
PART_MAP, WHOLE_MAP = 16, 8


def _channels(table: dict[int, float], width: int, max_width: int | None) -> dict[int, int]:
    """Extent of a map to its channels."""
    return {extent: max(min(int(share * width), max_width or 1 << 30), 1) for extent, share in table.items()}


def _check_size(size_px: int) -> None:
    if size_px not in SIZES_PX:
        raise ValueError(f"a FastGAN of {size_px} px is not defined; choose one of {SIZES_PX}")


class _Gated(nn.Module):
    """Gated linear unit: (N, 2C, h, w) to (N, C, h, w), the first half times the sigmoid of the second.

    The same as torch's own, whose way back takes three times as long with channels last on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        kept, gate = x.chunk(2, dim=1)
        return kept * gate.sigmoid()


class UpConv(nn.Module):
    """Nearest-neighbour x2 and a 3x3 convolution without bias, fused into one transposed k4 s2: 2.25 times fewer
    products."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 3, 3))
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, 2h, 2w)."""
        return F.conv_transpose2d(x, widened(self.weight), stride=2, padding=1)


class _Noise(nn.Module):
    """Noise of a learned strength upon all channels alike: fresh in training, in evaluation mode always the same.

    One pattern for all pictures, not one a latent: on a path through the latent space it stands still.
    """

    pattern: Tensor

    def __init__(self, extent_px: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(1))
        self.register_buffer("pattern", torch.randn(1, 1, extent_px, extent_px))

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        noise = torch.randn(count, 1, height, width, device=x.device) if self.training else self.pattern
        return x + (self.strength * noise).to(x.dtype)


def _up_block(inputs: int, outputs: int, extent_px: int) -> nn.Sequential:
    """To twice the extent, which is then `extent_px`; some extents get a second convolution, and noise."""
    steps: list[nn.Module] = [UpConv(inputs, 2 * outputs)]
    if extent_px in _TWICE:
        again = nn.Conv2d(outputs, 2 * outputs, 3, padding=1, bias=False)
        steps += [_Noise(extent_px), nn.BatchNorm2d(2 * outputs), _Gated(), again, _Noise(extent_px)]
    return nn.Sequential(*steps, nn.BatchNorm2d(2 * outputs), _Gated())


class SkipExcitation(nn.Module):
    """Skip-layer excitation: y = F(small, W) * large, a weight for each channel of the large map.

    F: average to 4x4, convolution k4 to one place, LeakyReLU 0.1, convolution k1, sigmoid.
    """

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(small, large, 4, bias=False),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(large, large, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """(N, small, h, w) and (N, large, H, W) to (N, large, H, W)."""
        gate: Tensor = self.gate(small)
        return large * gate


class FastganGenerator(nn.Module):
    """Latent vector to a picture. With `width` 64 (the authors') 256 px take 29,127,654 parameters.

    `width` is the number of channels at 128 px, whatever the size of the picture; they double towards 4x4, and
    `max_width` caps them there, where most of the parameters are. In evaluation mode a picture depends on its latent
    alone; in training mode on torch's global random numbers and, by batch norm, on its batch mates. With `recalls`,
    latents are first drawn towards that many stored codes (`nets.recall`). `classes` are names; its `latent_dim` is
    then as much longer as there are (`nets.classes`).
    """

    def __init__(
        self,
        size_px: int = 128,
        latent_dim: int = 256,
        width: int = 64,
        max_width: int | None = None,
        recalls: int = 0,
        recall_noise: float = 0.5,
        recall_stretch: float = 1.0,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        _check_size(size_px)
        if classes and recalls:
            raise ValueError("codes are recalled without classes")
        self.classes = tuple(classes)
        self.size_px, self.latent_dim = size_px, latent_dim + len(classes)
        self.config: dict[str, Any] = {"size_px": size_px, "latent_dim": latent_dim, "width": width}
        self.config["max_width"] = max_width
        if classes:
            self.config["classes"] = list(classes)
        self.recall: Recall | None = None
        if recalls:
            self.config |= {"recalls": recalls, "recall_noise": recall_noise, "recall_stretch": recall_stretch}
            self.recall = Recall(recalls, latent_dim, recall_noise, recall_stretch)
        channels = _channels(_GENERATOR, width, max_width)
        self.first = nn.Sequential(
            nn.ConvTranspose2d(self.latent_dim, 2 * channels[4], 4, bias=False),
            nn.BatchNorm2d(2 * channels[4]),
            _Gated(),
        )
        self.up, self.excite = nn.ModuleDict(), nn.ModuleDict()
        for before, here in pairwise(extent for extent in channels if extent <= size_px):
            self.up[str(here)] = _up_block(channels[before], channels[here], here)
            if here // _REACH >= 4:
                self.excite[str(here)] = SkipExcitation(channels[here // _REACH], channels[here])
        self.colours = nn.Conv2d(channels[size_px], 3, 3, padding=1, bias=False)
        self.apply(init_weights)

    def forward(self, latents: Tensor, codes: Tensor | None = None) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px) in [-1, 1]; `codes` (M, latent_dim) that need no recalling follow
        them."""
        assert_shape(latents, None, self.latent_dim, name="latents")
        latents = told(latents, len(self.classes))
        if self.recall is not None:
            latents = self.recall(latents)
        if codes is not None:
            latents = torch.cat((latents, codes))
        x: Tensor = self.first(latents[:, :, None, None].to(self.colours.weight.dtype))
        maps = {4: x}
        for name, up in self.up.items():
            x = up(x)
            if name in self.excite:
                x = self.excite[name](maps[int(name) // _REACH], x)
            maps[int(name)] = x
        return torch.tanh(self.colours(x)).float()


def _spectral(conv: nn.Conv2d) -> nn.Module:
    """Weights from N(0, 0.02), divided by their largest singular value when used (Miyato et al. 2018, 1802.05957)."""
    init_weights(conv)
    return spectral_norm(conv)


def spectral_project(classes: int, channels: int) -> Projection:
    """A projection whose vectors are divided by their largest singular value, as all weights here are."""
    project = Projection(classes, channels)
    spectral_norm(project.vectors)
    return project


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the extent or halves it, spectral norm, batch norm, LeakyReLU 0.2."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
    norm = nn.BatchNorm2d(outputs)
    init_weights(norm)
    return [_spectral(conv), norm, nn.LeakyReLU(0.2, inplace=True)]


class _Down(nn.Module):
    """To half the extent on two ways, which are averaged: two convolutions, and plain shrinking."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*_layer(inputs, outputs, 4, 2), *_layer(outputs, outputs, 3))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *_layer(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        halves: Tensor = self.main(x) + self.direct(x)
        return halves / 2


def _decoder(inputs: int, width: int, until_px: int) -> nn.Sequential:
    """(N, inputs, 8, 8) to a picture (N, 3, until_px, until_px) in [-1, 1]."""
    channels = {WHOLE_MAP: inputs} | _channels(_DECODER, width, None)
    steps: list[nn.Module] = []
    for before, here in pairwise(extent for extent in channels if extent <= until_px):
        outputs = channels[here]
        steps += [UpConv(channels[before], 2 * outputs), nn.BatchNorm2d(2 * outputs), _Gated()]
    decoder = nn.Sequential(*steps, nn.Conv2d(channels[until_px], 3, 3, padding=1, bias=False), nn.Tanh())
    return decoder.apply(init_weights)


def crop_each(maps: Tensor, corners: list[tuple[int, int]], side: int) -> Tensor:
    """(N, C, h, w) to (N, C, side, side): a window of each row, its upper left corner at (y, x)."""
    windows = [row[:, y : y + side, x : x + side] for row, (y, x) in zip(maps, corners, strict=True)]
    return torch.stack(windows).contiguous(memory_format=torch.channels_last)


class FastganDiscriminator(nn.Module):
    """Picture to 5x5 logits, each of which sees a part of it; with decoders that paint the picture from its maps.

    `width` is the number of channels of a 64 px map. `whole` paints the picture from the 8x8 map, `part` half its side
    from an 8x8 window of the 16x16 map; neither paints more than there is, nor more than 128 px.
    """

    def __init__(self, size_px: int = 128, width: int = 64, max_width: int | None = None, classes: int = 0) -> None:
        super().__init__()
        _check_size(size_px)
        self.size_px = size_px
        self.config: dict[str, Any] = {"size_px": size_px, "width": width, "max_width": max_width}
        if classes:
            self.config["classes"] = classes
        channels = _channels(_DISCRIMINATOR, width, max_width)
        stem_px = min(size_px, 256)
        kernel, stride = (4, 2) if size_px > stem_px else (3, 1)
        stem = nn.Conv2d(3, channels[stem_px], kernel, stride, 1, bias=False)
        self.stem = nn.Sequential(_spectral(stem), nn.LeakyReLU(0.2, inplace=True))
        self.down = nn.ModuleDict()
        extents = [extent for extent in channels if WHOLE_MAP <= extent <= stem_px]
        for before, here in pairwise(reversed(extents)):
            self.down[str(here)] = _Down(channels[before], channels[here])
        self.head = nn.Sequential(
            *_layer(channels[WHOLE_MAP], channels[4], 1), _spectral(nn.Conv2d(channels[4], 1, 4, bias=False))
        )
        self.project = spectral_project(classes, channels[WHOLE_MAP]) if classes else None
        self.whole = _decoder(channels[WHOLE_MAP], width, min(size_px, _REBUILT_PX))
        self.part = _decoder(channels[PART_MAP], width, min(size_px // 2, _REBUILT_PX))

    def forward(self, pictures: Tensor, numbers: Tensor | None = None) -> Tensor:
        """(N, 3, size_px, size_px) in [-1, 1], and maybe the numbers of their classes (N,), to logits (N, 1, 5, 5)."""
        return self._judge(self._maps(pictures)[1], numbers)

    def _judge(self, small: Tensor, numbers: Tensor | None) -> Tensor:
        logits: Tensor = self.head(small)
        return logits if numbers is None or self.project is None else logits + self.project(small, numbers)

    def judge_and_rebuild(
        self, pictures: Tensor, corners: list[tuple[int, int]], numbers: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits as from `forward`, and the pictures (N, 3, s, s) in [-1, 1] painted from the maps: whole and part.

        `corners` are each row's (y, x) from 0 to 8 in the 16x16 map; the part is the window of half the picture's side
        whose upper left corner lies at size_px / 16 times that.
        """
        windowed, small = self._maps(pictures)
        return self._judge(small, numbers), self.whole(small), self.part(crop_each(windowed, corners, WHOLE_MAP))

    def _maps(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The 16x16 and the 8x8 map."""
        assert_shape(pictures, None, 3, self.size_px, self.size_px, name="pictures")
        # Not `.weight.dtype`: merely reading a spectral norm's weight in training moves its estimate on.
        x = self.stem(pictures.to(next(self.parameters()).dtype))
        before = x
        for down in self.down.values():
            before, x = x, down(x)
        return before, x
