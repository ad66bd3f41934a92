"""Adversarial objectives as pure functions of discriminator logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def non_saturating_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(-s_real) + E softplus(s_fake): the discriminator's loss of Goodfellow et al. 2014 (1406.2661)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def non_saturating_generator(fake_logits: Tensor) -> Tensor:
    """E softplus(-s_fake): the generator's loss that does not saturate (1406.2661, section 3)."""
    return F.softplus(-fake_logits.float()).mean()


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E relu(1 - s_real) + E relu(1 + s_fake) (1705.02894, 1802.05957): what is judged clearly enough costs nothing."""
    return F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean()


def hinge_generator(fake_logits: Tensor) -> Tensor:
    """-E s_fake, the generator's side of the hinge loss (1705.02894, 1802.05957)."""
    return -fake_logits.float().mean()


def r1_penalty(real_logits: Tensor, pictures: Tensor) -> Tensor:
    """E ||grad_x D(x)||^2 over real pictures (Mescheder et al. 2018, 1801.04406), to be weighted by gamma / 2.

    `pictures` (N, 3, H, W) must require gradients and be what `real_logits` were computed from.
    """
    (gradient,) = torch.autograd.grad(real_logits.float().sum(), pictures, create_graph=True)
    return gradient.float().square().flatten(1).sum(dim=1).mean()
