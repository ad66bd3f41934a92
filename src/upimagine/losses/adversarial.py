"""Adversarial objectives as pure functions of a discriminator's scores; larger scores are more real."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def non_saturating_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(-s_real) + E softplus(s_fake): the discriminator's loss of Goodfellow et al. 2014 (1406.2661)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def non_saturating_generator(fake_logits: Tensor) -> Tensor:
    """E softplus(-s_fake): the generator's loss that does not saturate (1406.2661, section 3)."""
    return F.softplus(-fake_logits.float()).mean()


def minimax_generator(fake_logits: Tensor) -> Tensor:
    """-E softplus(s_fake) = E log(1 - sigmoid(s_fake)): the game as it is defined (1406.2661, eq. 1).

    Its gradient vanishes where the discriminator is sure, as it soon is. The discriminator's side is
    `non_saturating_discriminator`.
    """
    return -F.softplus(fake_logits.float()).mean()


def least_squares_discriminator(
    real_scores: Tensor, fake_scores: Tensor, fake_target: float = 0.0, real_target: float = 1.0
) -> Tensor:
    """1/2 E (s_real - b)^2 + 1/2 E (s_fake - a)^2 with (a, b) = (0, 1) (LSGAN, Mao et al. 2016, 1611.04076)."""
    real, fake = real_scores.float() - real_target, fake_scores.float() - fake_target
    return (real.square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake_scores: Tensor, target: float = 1.0) -> Tensor:
    """1/2 E (s_fake - c)^2 with c = 1 (LSGAN, 1611.04076)."""
    return (fake_scores.float() - target).square().mean() / 2


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E relu(1 - s_real) + E relu(1 + s_fake) (1705.02894, 1802.05957): what is judged clearly enough costs nothing."""
    return F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean()


def hinge_generator(fake_logits: Tensor) -> Tensor:
    """-E s_fake, the generator's side of the hinge loss (1705.02894, 1802.05957)."""
    return -fake_logits.float().mean()


def wasserstein_critic(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """E s_fake - E s_real (WGAN, Arjovsky et al. 2017, 1701.07875).

    A distance only for a critic that is Lipschitz: clip its weights, or penalise its gradient
    (`losses.penalties.gradient_penalty`).
    """
    return fake_scores.float().mean() - real_scores.float().mean()


def wasserstein_generator(fake_scores: Tensor) -> Tensor:
    """-E s_fake (1701.07875)."""
    return -fake_scores.float().mean()
