"""What every adversarial objective looks like, so that any generator can be trained by any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from upimagine.losses.penalties import gradient_penalty

Critic = Callable[[Tensor], Tensor]
"""A discriminator: (N, 3, H, W) in [-1, 1] to scores, or for some objectives vectors, whose first extent is N."""


@dataclass(frozen=True)
class Judged:
    """What a discriminator said of a batch."""

    loss: Tensor  # scalar, for the discriminator to minimise
    real: Tensor  # scores of the real pictures, larger is more real; with their graph, for R1
    fake: Tensor  # scores of the made ones
    plotted: dict[str, Tensor]  # further numbers to plot


class Objective(Protocol):
    """A game between discriminator and generator. Pure: the same input and random numbers give the same losses.

    Pictures are what the discriminator is shown (augmented, where they are), real and made ones separately, for
    batch norm must not mix them. Random numbers are torch's global ones.
    """

    @property
    def fakes_each(self) -> int:
        """Made pictures wanted for each real one, independent of one another."""
        ...

    @property
    def compares(self) -> bool:
        """Whether `generator` needs the real pictures too."""
        ...

    def discriminator(self, critic: Critic, real: Tensor, fake: Tensor) -> Judged:
        """Judge real (N, 3, H, W) and made pictures (N * fakes_each, 3, H, W), which are detached."""
        ...

    def generator(self, critic: Critic, fake: Tensor, real: Tensor | None) -> Tensor:
        """The scalar for the generator to minimise; `real` is only looked at by objectives that compare."""
        ...


@dataclass(frozen=True)
class ScoreObjective:
    """An objective that is a function of scores, one a picture, with or without a gradient penalty."""

    of_scores: Callable[[Tensor, Tensor], Tensor]  # scores of real and of made pictures to the discriminator's loss
    of_fakes: Callable[[Tensor], Tensor]  # scores of made pictures to the generator's loss
    penalty_weight: float | None = None  # of `gradient_penalty`; None: without
    fakes_each: int = 1
    compares: bool = False

    def discriminator(self, critic: Critic, real: Tensor, fake: Tensor) -> Judged:
        """`of_scores`, and the penalty at mixtures of both."""
        true, made = critic(real), critic(fake)
        loss, plotted = self.of_scores(true, made), {}
        if self.penalty_weight is not None:
            plotted["penalty"] = gradient_penalty(critic, real, fake)
            loss = loss + self.penalty_weight * plotted["penalty"]
        return Judged(loss, true, made, plotted)

    def generator(self, critic: Critic, fake: Tensor, real: Tensor | None) -> Tensor:
        """`of_fakes`."""
        return self.of_fakes(critic(fake))
