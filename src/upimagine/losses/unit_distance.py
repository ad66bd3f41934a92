"""Squared distance of feature maps as unit vectors: LPIPS (Zhang et al. 2018, 1801.03924) without its learned heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_FLOOR = 1e-2  # upon squared lengths; far below any activation that counts, it bounds gradients


def unit_distance(output: Tensor, target: Tensor) -> Tensor:
    """Mean over places of |a - b|^2, a and b being the channels of two (N, C, h, w) maps scaled to length 1; 0 to 4.

    Sums are taken in float32 at least; a scalar of that type comes back. The gradient flows into `output` only, and
    only once: there is no second derivative.
    """
    with torch.autocast(output.device.type, enabled=False):
        distance: Tensor = _UnitDistance.apply(output, target)  # type: ignore[no-untyped-call]  # torch has no type for it
        return distance


class _UnitDistance(torch.autograd.Function):
    """|a|^2 + |b|^2 - 2 ab out of three sums over channels, with the gradient in closed form.

    Scaling the maps themselves, as the formula reads, moves several times the memory: the same took seven times as
    long on a CPU (64 channels, 224 px), a tenth of a training step.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor) -> Tensor:
        exact = torch.promote_types(output.dtype, torch.float32)

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return (a * b).sum(dim=1, keepdim=True, dtype=exact)

        own, cross, other = dot(output, output), dot(output, target), dot(target, target)
        length, other_length = own + _FLOOR, other + _FLOOR  # squared
        scale = 1 / (length * other_length).sqrt()
        ctx.save_for_backward(output, target, length, cross, scale)
        return (own / length + other / other_length - 2 * (cross * scale)).mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        output, target, length, cross, scale = ctx.saved_tensors
        share = 2 * gradients[0] / length.numel()
        along_output = share * (_FLOOR / length.square() + cross * scale / length)
        along_target = -share * scale
        return torch.addcmul(along_target.to(output.dtype) * target, along_output.to(output.dtype), output), None
