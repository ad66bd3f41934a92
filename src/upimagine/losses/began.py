"""BEGAN (Berthelot, Schumm, Metz 2017, 1703.10717): the discriminator is an autoencoder, kept in balance by k.

L(v) = E |v - D(v)| is how badly the autoencoder brings a picture back; a score here is -|v - D(v)|, so that more real
is larger, as everywhere.
"""

from __future__ import annotations

from torch import Tensor

K_RATE = 0.001  # lambda_k of the paper


def began_discriminator(real_scores: Tensor, fake_scores: Tensor, k: Tensor) -> Tensor:
    """L(x) - k L(G(z)): bring real pictures back well and, as far as k asks, made ones badly."""
    return k * fake_scores.float().mean() - real_scores.float().mean()


def began_generator(fake_scores: Tensor) -> Tensor:
    """L(G(z)): make what the autoencoder can bring back."""
    return -fake_scores.float().mean()


def next_k(k: Tensor, real_loss: Tensor, fake_loss: Tensor, diversity: float, rate: float = K_RATE) -> Tensor:
    """clip(k + rate (diversity L(x) - L(G(z))), 0, 1): all made badly, and the autoencoder may forget them.

    `diversity` is the paper's gamma, L(G(z)) / L(x) at balance: low for cleaner pictures, high for more different ones.
    """
    return (k + rate * (diversity * real_loss - fake_loss)).clamp(0, 1)


def convergence(real_loss: Tensor, fake_loss: Tensor, diversity: float) -> Tensor:
    """M = L(x) + |diversity L(x) - L(G(z))|, which falls as training goes well."""
    return real_loss + (diversity * real_loss - fake_loss).abs()
