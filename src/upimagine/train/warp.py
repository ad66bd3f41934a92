"""Pictures turned, scaled and shifted by one matrix each: no aliasing, reflecting borders, twice differentiable.

After stylegan2-ada, training/augment.py: doubled in size by a sym6 filter, sampled bilinearly, halved by the same
filter reversed. Instead of padding far beyond the borders, places outside are folded back inside, which needs less
memory and has no end. Both filters are applied as matrices: on a processor faster than convolutions of one channel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.train.symlet import centre, symlet

_FILTER = symlet(6)
_LENGTH = len(_FILTER)
_CENTRE = centre(_FILTER)  # pixel q of a picture lies at 2 q + _CENTRE of one doubled by the filter
_AROUND_PX = 6  # reflected on every side before doubling, so that the filter sees pixels there
_SOUND_PX = 3.0  # that far out the doubled picture is whole, and what is not warped comes back as it was


def warp(pictures: Tensor, inverse: Tensor) -> Tensor:
    """Draw each picture anew, every place showing what `inverse` says lies there.

    Args:
        pictures: (N, C, H, W) float32, at least 7 pixels a side.
        inverse: (N, 3, 3), places (x, y, 1) of the result to places of the picture, in pixels from the centre, y down.

    Gives (N, C, H, W); gradients flow to the pictures, and through them once more (as R1 needs).
    """
    height, width = pictures.shape[2:]
    double_rows, double_columns = (_doubling(side).to(pictures) for side in (height, width))
    halve_rows, halve_columns = (_halving(side).to(pictures) for side in (height, width))
    fine = double_rows @ (pictures.contiguous() @ double_columns.T)  # (N, C, 2 H + 34, 2 W + 34)
    seen = cast(Tensor, _Sample.apply(fine, _places(inverse, height, width)))  # type: ignore[no-untyped-call]
    return halve_rows @ (seen @ halve_columns.T)  # (N, C, 2 H + 10, 2 W + 10) to (N, C, H, W)


@lru_cache(8)
def _doubling(side: int) -> Tensor:
    """(2 side + 34, side): reflect beyond both ends, put a zero after each pixel, filter."""
    padded = np.pad(np.eye(side), ((_AROUND_PX, _AROUND_PX), (0, 0)), mode="reflect")
    doubled = np.zeros((2 * len(padded) + _LENGTH - 2, side))
    for tap, weight in enumerate(_FILTER):
        doubled[tap : tap + 2 * len(padded) : 2] += weight * padded
    return torch.from_numpy(doubled.astype(np.float32))


@lru_cache(8)
def _halving(side: int) -> Tensor:
    """(side, 2 side + 10): the filter reversed, every second place. After doubling it gives back what was there."""
    halved = np.zeros((side, 2 * side + _LENGTH - 2))
    for row in range(side):
        halved[row, 2 * row : 2 * row + _LENGTH] = _FILTER
    return torch.from_numpy(halved.astype(np.float32))


def _places(inverse: Tensor, height: int, width: int) -> Tensor:
    """Where in the doubled picture to look: (N, 2 H + 10, 2 W + 10, 2) in the [-1, 1] of `grid_sample`."""
    x, y = (_from_centre(side, inverse) for side in (width, height))
    seen = []
    for row, side in enumerate((width, height)):
        by_x, by_y, shift = inverse[:, row, :, None].unbind(1)  # (N, 1) each
        looked_at = (by_x * x + shift + (side - 1) / 2)[:, None, :] + (by_y * y)[:, :, None]
        last = 2 * (side + 2 * _AROUND_PX) + _LENGTH - 3  # index of the last pixel of the doubled picture
        corner = (2 * _AROUND_PX + _CENTRE) * 2 / last - 1
        seen.append(_fold(looked_at, side - 1).mul_(4 / last).add_(corner))
    return torch.stack(seen, dim=-1)


def _from_centre(side: int, like: Tensor) -> Tensor:
    """The fine pixels of which the halving filter makes `side` pixels, as pixels from the centre."""
    fine = torch.arange(2 * side + _LENGTH - 2, dtype=like.dtype, device=like.device)
    return (fine - _CENTRE) / 2 - (side - 1) / 2


def _fold(places: Tensor, last: int) -> Tensor:
    """Reflect places far outside at pixel 0 and pixel `last` until they lie between."""
    rounds = (places / (2 * last)).floor_()  # several times faster than `remainder`
    folded = rounds.mul_(-2 * last).add_(places).sub_(last).abs_().neg_().add_(last)
    outside = (places < -_SOUND_PX) | (places > last + _SOUND_PX)
    return torch.where(outside, folded, places)


class _Sample(torch.autograd.Function):
    """Bilinear sampling at given places, linear in the picture; PyTorch's own cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, places: Tensor) -> Tensor:
        """(N, C, h, w) and (N, H, W, 2) to (N, C, H, W)."""
        ctx.save_for_backward(places)
        ctx.sides = pictures.shape[2:]
        return F.grid_sample(pictures, places, "bilinear", "zeros", align_corners=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The transpose."""
        (places,) = ctx.saved_tensors
        return cast(Tensor, _Spread.apply(gradients[0], places, ctx.sides)), None  # type: ignore[no-untyped-call]


class _Spread(torch.autograd.Function):
    """The transpose of `_Sample`: what lies at the places goes back to the pixels it was taken from."""

    @staticmethod
    def forward(ctx: Any, sampled: Tensor, places: Tensor, sides: torch.Size) -> Tensor:
        """(N, C, H, W) and (N, H, W, 2) to (N, C, *sides)."""
        ctx.save_for_backward(places)
        shape_alone = sampled.new_empty((*sampled.shape[:2], *sides))
        bilinear = zeros = 0
        back, _ = torch.ops.aten.grid_sampler_2d_backward(
            sampled.contiguous(), shape_alone, places, bilinear, zeros, True, (True, False)
        )
        return cast(Tensor, back)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The transpose of the transpose."""
        (places,) = ctx.saved_tensors
        return cast(Tensor, _Sample.apply(gradients[0], places)), None, None  # type: ignore[no-untyped-call]
