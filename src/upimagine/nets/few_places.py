"""Convolutions between maps of a few places and many channels, trained as the equal matrix products.

oneDNN's gradient kernels for bfloat16 are made for many places: at 4x4 places and 1024 channels the products are 1.7 to
1.8 times as fast, forward and backward together; from 8x8 places on they are slower. Parameters, and pictures at
inference and in float32, are those of PyTorch's layers to the bit; in bfloat16 training differs by rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _worthwhile(x: Tensor) -> bool:
    """Training in bfloat16 on a processor."""
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


class FewPlacesConv2d(nn.Conv2d):
    """A convolution with zeros around, equal sides and no dilation or groups, whose output has few places."""

    def forward(self, input: Tensor) -> Tensor:  # PyTorch's name
        """(N, C, H, W) to (N, outputs, h, w)."""
        if not _worthwhile(input):
            return super().forward(input)
        pad, kernel, stride = int(self.padding[0]), self.kernel_size[0], self.stride[0]
        places = F.pad(input, (pad, pad, pad, pad)).permute(0, 2, 3, 1)  # (N, H, W, C), as it lies in memory
        windows = places.unfold(1, kernel, stride).unfold(2, kernel, stride).permute(0, 1, 2, 4, 5, 3)
        count, height, width = windows.shape[:3]
        weights = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)
        maps = F.linear(windows.reshape(count * height * width, -1), weights, self.bias)
        return maps.view(count, height, width, -1).permute(0, 3, 1, 2)


class FewPlacesConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution with equal sides, no dilation, groups or output padding, for an input of few places."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # PyTorch's name
        """(N, C, h, w) to (N, outputs, H, W)."""
        if not _worthwhile(input) or output_size is not None:
            return super().forward(input, output_size)
        pad, kernel, stride = int(self.padding[0]), self.kernel_size[0], self.stride[0]
        count, channels, height, width = input.shape
        flat = input.permute(0, 2, 3, 1).reshape(-1, channels)
        columns = (flat @ self.weight.reshape(channels, -1)).view(count, height * width, -1).transpose(1, 2)
        size = tuple((side - 1) * stride - 2 * pad + kernel for side in (height, width))
        maps = F.fold(columns, size, kernel, padding=pad, stride=stride)
        maps = maps if self.bias is None else maps + self.bias[:, None, None]
        return maps.contiguous(memory_format=torch.channels_last)
