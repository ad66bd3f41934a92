"""Pictures to vectors, cheaply enough to be trained beside a generator on one processor core.

One strided convolution an extent, and what is seen of the picture at every extent added to what comes from the finer
one (input skips of Karras et al. 2019, 1912.04958, section 4.1); equalised learning rate (1710.10196); no
normalisation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.nets.equalised import SLOPE, Conv, Dense, DownConv
from upimagine.nets.shapes import assert_shape

SIZES_PX = (16, 32, 64, 128, 256)


def widths_at(size_px: int, width: int, max_width: int) -> dict[int, int]:
    """Channels at every extent: `width` at the full size, doubling downwards to `max_width`."""
    if size_px not in SIZES_PX:
        raise ValueError(f"an encoder of {size_px} px is not defined; choose one of {SIZES_PX}")
    extents = [4 << i for i in range(size_px.bit_length() - 2)]
    return {extent: min(width * size_px // extent, max_width) for extent in extents}


class PictureEncoder(nn.Module):
    """Picture of the full size, or of any smaller extent, to `outputs` numbers; each picture by itself."""

    def __init__(self, size_px: int, width: int, max_width: int, outputs: int) -> None:
        super().__init__()
        channels = widths_at(size_px, width, max_width)
        self.size_px = size_px
        self.colours, self.down = nn.ModuleDict(), nn.ModuleDict()
        self.share = nn.ParameterDict()
        for extent, here in channels.items():
            name = str(extent)
            self.colours[name] = Conv(3, here, 1)
            if extent > 4:
                self.down[name] = DownConv(here, channels[extent // 2])
                self.share[name] = nn.Parameter(torch.ones(()))  # how much of the finer extent comes through
        self.last = Conv(channels[4], channels[4], 3)
        self.hidden = Dense(channels[4] * 16, channels[4])
        self.head = Dense(channels[4], outputs, gain=1.0)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, s, s) in [-1, 1], s at most size_px, to (N, outputs)."""
        assert_shape(pictures, None, 3, None, None, name="pictures")
        extent = pictures.shape[3]
        if str(extent) not in self.colours or pictures.shape[2] != extent:
            raise ValueError(f"pictures of {extent}x{pictures.shape[2]} px; give squares of 4 to {self.size_px} px")
        picture = pictures.to(self.head.weight.dtype)
        x = F.leaky_relu(self.colours[str(extent)](picture), SLOPE)
        while extent > 4:
            finer = F.leaky_relu(self.down[str(extent)](x), SLOPE)
            share = self.share[str(extent)]
            extent //= 2
            picture = F.avg_pool2d(picture, 2)
            x = F.leaky_relu(self.colours[str(extent)](picture), SLOPE) + finer * share.to(finer.dtype)
        x = F.leaky_relu(self.last(x), SLOPE)
        codes: Tensor = self.head(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE))
        return codes
