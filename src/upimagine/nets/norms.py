"""The normalisations that a discriminator, and a generator, may have, by name."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["batch", "batch-own", "layer", "per-sample", "spectral", "none"]
GeneratorNorm = Literal["batch", "batch-own", "per-sample", "none"]


class BatchNormOwn(nn.BatchNorm2d):
    """Batch norm with batch statistics at inference too, in batches of one, so that batch mates never count there.

    Batch statistics of one picture are its own: instance norm with the gains and biases that batch norm has learned, as
    pix2pix runs its generator (1611.07004).
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        if self.training:
            return super().forward(maps)
        return F.instance_norm(maps, weight=self.weight, bias=self.bias, eps=self.eps)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """What stands between a convolution and its nonlinearity; spectral norm lies in the weights (`limit_spectra`)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "batch-own":
        return BatchNormOwn(channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels)  # over C, h, w of each picture; a gain and a bias a channel
    if norm == "per-sample":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm in ("spectral", "none"):
        return nn.Identity()
    raise ValueError(f"the normalisation {norm!r} is unknown")


def limit_spectra(net: nn.Module) -> None:
    """Divide weights of convolutions and embeddings by their largest singular value, from now on (Miyato et al.,
    1802.05957).

    One power iteration a forward pass while training; its vectors are buffers, and so part of the state.
    """
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d | nn.Embedding):
            spectral_norm(module)
