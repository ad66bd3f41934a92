"""Penalties on the gradient of a discriminator with respect to pictures.

A score must depend on its own picture alone for "the gradient of each picture's score" to mean what it says; batch norm
couples the pictures of a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_TINY = 1e-12  # under the root, whose slope at 0 would be infinite


def r1_penalty(real_logits: Tensor, pictures: Tensor) -> Tensor:
    """E ||grad_x D(x)||^2 over real pictures (Mescheder et al. 2018, 1801.04406), to be weighted by gamma / 2.

    `pictures` (N, 3, H, W) must require gradients and be what `real_logits` were computed from.
    """
    (gradient,) = torch.autograd.grad(real_logits.float().sum(), pictures, create_graph=True)
    return gradient.float().square().flatten(1).sum(dim=1).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E (||grad_x D(x)|| - 1)^2 at x = e real + (1 - e) fake, e ~ U(0, 1) for each picture.

    Gulrajani et al. 2017 (1704.00028, eq. 3), to be weighted by lambda. Lengths are of float32; networks compute in
    bfloat16 where autocast says so, but never in float16, in which gradients to single pixels would vanish.

    Args:
        critic: (N, 3, H, W) to one score a picture, of any shape with N values; no batch norm.
        real: (N, 3, H, W).
        fake: (N, 3, H, W); no gradient flows into either of them.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    mixed = torch.lerp(fake.detach().float(), real.detach().float(), share).requires_grad_()
    kind = mixed.device.type
    bf16 = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16
    with torch.autocast(kind, torch.bfloat16, enabled=bf16):
        (gradient,) = torch.autograd.grad(critic(mixed).float().sum(), mixed, create_graph=True)
        norms = (gradient.float().square().flatten(1).sum(dim=1) + _TINY).sqrt()  # (N,)
        return (norms - 1).square().mean()
