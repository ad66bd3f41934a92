"""DCGAN (Radford, Metz, Chintala 2015, 1511.06434) in the k4s2p1 form of the PyTorch port (pytorch/examples dcgan)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from upimagine.nets.classes import Projection, told
from upimagine.nets.few_places import FewPlacesConv2d, FewPlacesConvTranspose2d
from upimagine.nets.norms import GeneratorNorm, Norm, limit_spectra, norm_layer
from upimagine.nets.shapes import assert_shape

SIZES_PX = (64, 128, 256)
#: Discriminators go further: they also judge what other generators make.
JUDGED_SIZES_PX = (*SIZES_PX, 512, 1024)


def _doublings(size_px: int, sizes: tuple[int, ...]) -> int:
    """Steps of x2 between the 4x4 map and the picture."""
    if size_px not in sizes:
        raise ValueError(f"a DCGAN of {size_px} px is not defined; choose one of {sizes}")
    return size_px.bit_length() - 3  # 64 -> 4, 128 -> 5, 256 -> 6


def init_weights(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions; batch-norm gain N(1, 0.02), bias 0 (pytorch/examples dcgan)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class DcganGenerator(nn.Module):
    """Latent vector to a picture through transposed convolutions, batch norm and ReLU; tanh at the end.

    With `width` 64 and `max_width` None the layer table is the paper port's: 64 px has 3,576,704 parameters, 128 px
    12,786,560. `max_width` caps the widest layers, where most parameters are. `norm` is the paper's "batch", whose
    running averages serve at inference; with "batch-own" each picture's own statistics do (`nets.norms`). `classes` are
    names; its `latent_dim` is then as much longer as there are (`nets.classes`).
    """

    def __init__(
        self,
        size_px: int = 128,
        latent_dim: int = 100,
        width: int = 64,
        max_width: int | None = None,
        norm: GeneratorNorm = "batch",
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        steps = _doublings(size_px, SIZES_PX)
        self.classes = tuple(classes)
        self.size_px, self.latent_dim = size_px, latent_dim + len(classes)
        self.config: dict[str, Any] = {
            "size_px": size_px,
            "latent_dim": latent_dim,
            "width": width,
            "max_width": max_width,
            "norm": norm,
        }
        if classes:
            self.config["classes"] = list(classes)
        widths = [min(width << (steps - 1 - i), max_width or width << steps) for i in range(steps)]  # at 4, 8, 16, ...
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(self.latent_dim, widths[0], 4, 1, 0, bias=False),
            norm_layer(norm, widths[0]),
            nn.ReLU(inplace=True),
        ]
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            conv = FewPlacesConvTranspose2d if index == 0 else nn.ConvTranspose2d
            layers += [
                conv(before, after, 4, 2, 1, bias=norm == "none"),
                norm_layer(norm, after),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(init_weights)
        if norm == "none":
            self.apply(_init_for_relu)

    def forward(self, latents: Tensor) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px) in [-1, 1]."""
        assert_shape(latents, None, self.latent_dim, name="latents")
        latents = told(latents, len(self.classes))
        return self.layers(latents[:, :, None, None].to(self.layers[0].weight.dtype)).float()  # type: ignore[no-any-return, arg-type]


class MinibatchSpread(nn.Module):
    """Append a channel that tells how much a batch's pictures differ: minibatch stddev (Karras et al., 1710.10196).

    The deviation over each group of pictures, meaned over channels and places; picture i belongs to group i mod (N /
    group), as in the authors' code. Batches that cannot be divided so are one group. A generator that makes all alike
    betrays itself by it. In evaluation mode the channel is the mean of training, so that no picture's score depends on
    its batch mates.
    """

    usual: Tensor

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self._group = group
        self.register_buffer("usual", torch.ones(1))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C + 1, h, w)."""
        count, _, height, width = maps.shape
        if self.training:
            group = self._group if count % self._group == 0 else count
            grouped = maps.float().reshape(group, count // group, -1)
            spread = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=1)  # (N / group,)
            with torch.no_grad():
                self.usual.lerp_(spread.detach().mean().view(1), 0.01)
            spread = spread.repeat(group)
        else:
            spread = self.usual.expand(count)
        channel = spread.to(maps.dtype).view(count, 1, 1, 1).expand(count, 1, height, width)
        return torch.cat((maps, channel), dim=1)


class DcganDiscriminator(nn.Module):
    """Picture to one logit: strided convolutions, LeakyReLU 0.2, a normalisation everywhere but in the first layer.

    Args:
        size_px: side of the pictures, one of `JUDGED_SIZES_PX`.
        width: channels of the first layer; they double from layer to layer.
        max_width: cap on channels.
        minibatch_spread: let it see how much the pictures of a batch differ (not in the paper).
        norm: "batch" is the paper's. "batch-own" differs from it only at inference (`nets.norms.BatchNormOwn`).
        outputs: more than 1 for critics that give a vector (Cramer).
        classes: how many classes of pictures it can be told (`nets.classes.Projection`).
    """

    def __init__(
        self,
        size_px: int = 128,
        width: int = 64,
        max_width: int | None = None,
        minibatch_spread: bool = False,
        norm: Norm = "batch",
        outputs: int = 1,
        classes: int = 0,
    ) -> None:
        super().__init__()
        steps = _doublings(size_px, JUDGED_SIZES_PX)
        self.size_px = size_px
        self.config: dict[str, Any] = {
            "size_px": size_px,
            "width": width,
            "max_width": max_width,
            "minibatch_spread": minibatch_spread,
            "norm": norm,
            "outputs": outputs,
        }
        if classes:
            self.config["classes"] = classes
        widths = [min(width << i, max_width or width << steps) for i in range(steps)]  # at size/2, size/4, ..., 4
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            conv = FewPlacesConv2d if index == steps - 2 else nn.Conv2d
            layers += [
                conv(before, after, 4, 2, 1, bias=norm in ("spectral", "none")),
                norm_layer(norm, after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        self.spread = MinibatchSpread() if minibatch_spread else nn.Identity()
        self.head = nn.Conv2d(widths[-1] + minibatch_spread, outputs, 4, 1, 0, bias=False)
        self.project = Projection(classes, widths[-1]) if classes else None
        self.apply(_init_for_leaky if norm == "none" else init_weights)
        if norm == "spectral":
            limit_spectra(self)

    def forward(self, pictures: Tensor, numbers: Tensor | None = None) -> Tensor:
        """(N, 3, size_px, size_px) in [-1, 1], and maybe the numbers of their classes (N,), to (N, outputs, 1, 1).

        Logits. Without numbers: how real a picture is, whatever its class.
        """
        assert_shape(pictures, None, 3, self.size_px, self.size_px, name="pictures")
        stored = next(self.parameters()).dtype  # of a weight; under spectral norm `.weight` itself is computed anew
        maps = self.features(pictures.to(stored))
        logits: Tensor = self.head(self.spread(maps))
        return logits if numbers is None or self.project is None else logits + self.project(maps, numbers)


def _init_for_leaky(module: nn.Module) -> None:
    """He et al. 2015 (1502.01852): without normalisation N(0, 0.02) would let the signal die out."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=0.2, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _init_for_relu(module: nn.Module) -> None:
    """He et al. 2015 for a generator without normalisation: an output pixel of k4 s2 sees 4 taps, of k4 s1 p0 one."""
    if isinstance(module, nn.ConvTranspose2d):
        taps = 4 if module.stride[0] == 2 else 1
        gain = 1.0 if module.out_channels == 3 else 2.0  # the last layer has a tanh behind it
        nn.init.normal_(module.weight, 0.0, (gain / (module.in_channels * taps)) ** 0.5)


@torch.no_grad()
def calibrate_batch_norm(generator: nn.Module, latents: Iterable[Tensor | tuple[Tensor, ...]]) -> None:
    """Set the running batch-norm statistics to the plain mean over the given batches of latents (or other inputs of
    the network, in a tuple if it takes several), in place.

    All but batch norm runs as in evaluation mode, for which the statistics are.

    Averaged (EMA) weights were never run while training, so their running statistics belong to other weights; this
    makes them right again.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    training = generator.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
    generator.eval()
    for norm in norms:
        norm.train()
    for batch in latents:
        generator(*(batch if isinstance(batch, tuple) else (batch,)))
    generator.train(training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
