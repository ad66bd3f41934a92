"""Cramer GAN: energy distance between critic's vectors (Bellemare et al. 2017, 1705.10743), in the paper's form.

h is the critic: pictures to vectors. Every real picture x meets two made pictures g and g' that are independent of each
other. Known defect: other distributions than the data's can have the critic's surrogate at zero (1801.01401, 2.3).
"""

from __future__ import annotations

from torch import Tensor

from upimagine.losses.objective import Critic, Judged
from upimagine.losses.penalties import gradient_penalty

_TINY = 1e-12  # under the root, whose slope at 0 would be infinite


def cramer_generator(real: Tensor, fake: Tensor, other: Tensor) -> Tensor:
    """E ||h(x) - h(g)|| + ||h(x) - h(g')|| - ||h(g) - h(g')||: the energy distance but for what only depends on data.

    (N, k) each: h of real pictures and of two independent sets of made ones.
    """
    return (_length(real - fake) + _length(real - other) - _length(fake - other)).mean()


def cramer_scores(vectors: Tensor, other: Tensor) -> Tensor:
    """f = ||h - h(g')|| - ||h||: (N, k) of pictures and of made ones apart from them, to scores (N,)."""
    return _length(vectors - other) - _length(vectors)


def cramer_surrogate(real: Tensor, fake: Tensor, other: Tensor) -> Tensor:
    """E f(x) - f(g), which the critic makes as large as it can: (N, k) each, as in `cramer_generator`."""
    return (cramer_scores(real, other) - cramer_scores(fake, other)).mean()


class CramerObjective:
    """`losses.objective.Objective` for a critic that gives vectors; `fake` holds g in its first half, g' in the other.

    Args:
        penalty_weight: lambda, 10 in the paper, of the penalty on the gradient of f with g' held fixed.
    """

    fakes_each = 2
    compares = True

    def __init__(self, penalty_weight: float = 10.0) -> None:
        self.penalty_weight = penalty_weight

    def discriminator(self, critic: Critic, real: Tensor, fake: Tensor) -> Judged:
        """-surrogate + lambda * penalty; the scores are f."""
        true, made, other = _vectors(critic, real), *_vectors(critic, fake).chunk(2)
        loss = -cramer_surrogate(true, made, other)
        penalty = gradient_penalty(lambda x: cramer_scores(_vectors(critic, x), other), real, fake.chunk(2)[0])
        scores = cramer_scores(true, other), cramer_scores(made, other)
        return Judged(loss + self.penalty_weight * penalty, *scores, {"penalty": penalty})

    def generator(self, critic: Critic, fake: Tensor, real: Tensor | None) -> Tensor:
        """The whole energy distance, not the surrogate."""
        if real is None:
            raise ValueError("the Cramer objective compares made pictures with real ones; give both")
        return cramer_generator(_vectors(critic, real), *_vectors(critic, fake).chunk(2))


def _vectors(critic: Critic, pictures: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, k) in float32."""
    return critic(pictures).flatten(1).float()


def _length(vectors: Tensor) -> Tensor:
    """(N, k) to (N,)."""
    return (vectors.square().sum(dim=1) + _TINY).sqrt()
