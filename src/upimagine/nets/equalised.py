"""Layers whose weights are drawn from N(0, 1) and scaled when used (equalised learning rate, Karras et al. 2017,
1710.10196, section 4.1), so that Adam serves all layers alike; and up- and downsampling fused into them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.convolution import conv2d

SLOPE = 0.2
"""Of leaky ReLU, throughout."""
GAIN = math.sqrt(2)


class Weighted(nn.Module):
    """Weights (shape) and biases as Adam sees them; `scaled` gives them as they are used.

    Args:
        shape: of the weights.
        fan_in: inputs of one output.
        bias: number of biases.
        gain: what He's initialisation multiplies by, sqrt(2) for layers that a leaky ReLU follows.
    """

    def __init__(self, shape: tuple[int, ...], fan_in: int, bias: int, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(bias))
        self.scale = gain / math.sqrt(fan_in)
        self._kept: tuple[tuple[object, ...], tuple[Tensor, Tensor]] | None = None

    def scaled(self) -> tuple[Tensor, Tensor]:
        """Weights and biases, times their scale. In evaluation mode, without gradients, they are kept between calls."""
        # Not in training mode: PyTorch's fused Adam changes weights without counting up their version.
        if self.training or torch.is_grad_enabled():
            return self._shaped(self.weight * self.scale), self.bias
        here = (self.weight.data_ptr(), self.weight._version, self.bias.data_ptr(), self.bias._version)
        if self._kept is None or self._kept[0] != here:
            self._kept = here, (self._shaped(self.weight * self.scale), self.bias)
        return self._kept[1]

    def __getstate__(self) -> dict[str, object]:
        """What is kept can be had again."""
        return self.__dict__ | {"_kept": None}

    @staticmethod
    def _shaped(weight: Tensor) -> Tensor:
        return weight


class Dense(Weighted):
    """(..., inputs) to (..., outputs)."""

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN) -> None:
        super().__init__((outputs, inputs), inputs, outputs, gain)

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        return F.linear(x, *self.scaled())


class Conv(Weighted):
    """Stride 1, same size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = GAIN) -> None:
        super().__init__((outputs, inputs, kernel, kernel), inputs * kernel**2, outputs, gain)
        self._padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h, w)."""
        return conv2d(x, *self.scaled(), padding=self._padding)


class UpConv(Weighted):
    """Nearest-neighbour x2 and a 3x3 convolution, fused into one transposed k4 s2 (1710.10196, upscale2d_conv2d)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((inputs, outputs, 3, 3), inputs * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, 2h, 2w)."""
        return F.conv_transpose2d(x, *self.scaled(), stride=2, padding=1)

    @staticmethod
    def _shaped(weight: Tensor) -> Tensor:
        return widened(weight)


class DownConv(Weighted):
    """A 3x3 convolution and average pooling by 2, fused into one k4 s2 (1710.10196, conv2d_downscale2d)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((outputs, inputs, 3, 3), inputs * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, 2h, 2w) to (N, outputs, h, w)."""
        return conv2d(x, *self.scaled(), stride=2, padding=1)

    @staticmethod
    def _shaped(weight: Tensor) -> Tensor:
        return widened(weight) / 4


def widened(weight: Tensor) -> Tensor:
    """(a, b, 3, 3) to (a, b, 4, 4): each tap lies on the 2x2 places that nearest neighbours share."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[:, :, 1:, 1:] + padded[:, :, 1:, :-1] + padded[:, :, :-1, 1:] + padded[:, :, :-1, :-1]


def inverse_length(x: Tensor) -> Tensor:
    """One over the root mean square of the channels, for pixel norm: (N, 1, ...) for (N, C, ...)."""
    if torch.is_grad_enabled():
        return x.square().mean(dim=1, keepdim=True, dtype=torch.float32).add(1e-8).rsqrt().to(x.dtype)
    # Half the time of the above in bfloat16: squares are summed in float32 without being stored.
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True).float()
    inverse: Tensor = (length.square() / x.shape[1] + 1e-8).rsqrt().to(x.dtype)
    return inverse
