"""The side that judges: a discriminator, the objective it plays by, what it is shown, and what keeps watch over it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from upimagine.losses.began import K_RATE, convergence, next_k
from upimagine.losses.objective import Critic, Judged, Objective
from upimagine.losses.penalties import r1_penalty
from upimagine.nets.began import BeganAutoencoder
from upimagine.nets.norms import Norm
from upimagine.train.ada import ada_problem, augmented, make_ada
from upimagine.train.augment import POLICIES
from upimagine.train.engine import Engine
from upimagine.train.objectives import (
    DIVIDING,
    ObjectiveName,
    OptimizerName,
    Training,
    clip_weights,
    generator_due,
    make_objective,
    make_optimizer,
    training_of,
    training_problem,
)
from upimagine.train.overfitting import OverfittingGauge, hold_out_problem, watched
from upimagine.train.task import Batch, Phase

Auto = Literal["auto"]


@dataclass(frozen=True)
class AdversarySettings:
    """What is particular to the judging side, whatever the generator."""

    objective: ObjectiveName = "non-saturating"  # what the two networks play; the options below fit it if left away
    norm: Norm | Auto = "auto"  # of the discriminator; auto: batch, spectral for hinge, layer for gradient penalties
    optimizer: OptimizerName | Auto = "auto"  # auto: adam, and rmsprop for wgan
    learning_rate: float | None = None  # of both networks; None: 2e-4, wgan 5e-5, wgan-gp, cramer and began 1e-4
    beta1: float | None = None  # Adam's; None: 0.5 (0.9 oscillates, Radford et al.), and 0 for wgan-gp
    beta2: float | None = None  # Adam's; None: 0.999, and 0.9 for wgan-gp and cramer
    critic_steps: int | None = None  # of the discriminator, for one of the generator; None: 1, wgan (-gp) and cramer 5
    clip: float | None = None  # bound on the weights of wgan's critic; None: 0.01
    penalty_weight: float | None = None  # of the gradient penalty of wgan-gp and cramer; None: 10
    diversity: float | None = None  # began: error of made pictures over that of real ones; None: 0.5; less is cleaner
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = POLICIES  # DiffAugment's policy; () for large sets
    ada: bool = False  # in place of it, augmentation that grows as the discriminator becomes too sure
    ada_target: float = 0.6  # how sure: the mean sign of its logits of training pictures
    ada_kimg: float | None = None  # thousands of pictures from none to all; None: 500, or 100 with --init-from
    hold_out: float = 0.0  # share of the pictures kept from training, to measure overfitting on
    minibatch_spread: bool = False  # the discriminator sees how much a batch's pictures differ; against sameness
    gamma: float = 0.0  # weight of R1, which calms a discriminator that is too sure
    gamma_every: int = 8  # steps from one R1 to the next, which weighs as much more

    def training(self) -> Training:
        """How the objective is trained, with everything filled in."""
        return training_of(self.objective, self._given())

    def _given(self) -> dict[str, Any]:
        names = {field.name for field in fields(Training)} & {field.name for field in fields(self)}
        return {name: getattr(self, name) for name in sorted(names) if getattr(self, name) not in (None, "auto")}

    def adversary_problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        unknown = set(self.augment) - set(POLICIES)
        checks = {
            f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}": bool(unknown),
            "--gamma-every must be at least 1": self.gamma_every < 1,
            "--gamma cannot work as given; use 0 or more": not 0 <= self.gamma < math.inf,
            f"--ada reads logits that divide at 0, which --objective {self.objective} has not": (
                self.ada and self.objective not in DIVIDING
            ),
            f"--hold-out compares scores, which --objective {self.objective} has not": (
                self.hold_out > 0 and self.objective in ("cramer", "began")
            ),
        }
        found = next((message for message, wrong in checks.items() if wrong), None)
        found = found or ada_problem(self.ada_target, self.ada_kimg) or hold_out_problem(self.hold_out)
        return found or training_problem(self.objective, self._given(), self.gamma > 0, self.minibatch_spread)


class Adversary:
    """Judges made pictures beside real ones by any objective.

    Args:
        settings: see there.
        nets: a task's networks; "discriminator" is among them, and "ada" and "gauge" are added where they are wanted,
            because what they have counted belongs into checkpoints.
        gauged: whether pictures are held out.
        trained_on: whether the generator goes on from a trained one, for ADA.
        engine: where.
    """

    def __init__(
        self, settings: AdversarySettings, nets: dict[str, nn.Module], gauged: bool, trained_on: bool, engine: Engine
    ) -> None:
        self._settings, self._nets, self._engine = settings, nets, engine
        self._training = settings.training()
        if settings.ada:
            nets["ada"] = make_ada(settings.ada_target, settings.ada_kimg, trained_on)
        if gauged:
            nets["gauge"] = OverfittingGauge()

    def phase(self, name: str, rates: dict[str, float | None]) -> Phase:
        """An optimiser step as the objective wants it, for networks with rates of their own (None: the objective's)."""
        usual = self._training.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": self._nets[net].parameters(), "lr": usual if rate is None else rate}
            for net, rate in rates.items()
        ]
        due = self.generator_due if name == "generator" else lambda step: True
        return Phase(name, tuple(rates), make_optimizer(self._training, groups), due=due)

    def generator_due(self, step: int) -> bool:
        """Whether the generator moves in this step, too."""
        return generator_due(step, self._training.critic_steps, self._training.opening_steps)

    def _objective(self) -> Objective:
        return make_objective(self._settings.objective, self._training, self._nets["discriminator"])

    @property
    def fakes_each(self) -> int:
        """Made pictures wanted for each real one."""
        return self._objective().fakes_each

    def _critic(self, batch: Batch) -> Critic:
        """The discriminator, which knows the class of each row, if the pictures have any."""
        discriminator = self._nets["discriminator"]
        return partial(discriminator, numbers=batch["class"]) if "class" in batch else discriminator

    def _augmented(self, pictures: Tensor) -> Tensor:
        return augmented(self._nets, pictures, self._settings.augment)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        """What the generator minimises: of made pictures (N * fakes_each, 3, S, S), with gradients."""
        objective = self._objective()
        shown = self._augmented(fake.float())
        real = self._augmented(batch["real"]) if objective.compares else None
        return objective.generator(self._critic(batch), shown, real)

    def loss(self, fake: Tensor, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """What the discriminator minimises, and numbers to plot.

        Real and made pictures go through it apart (batch statistics). `batch` holds "real" (N, 3, S, S) their "class"
        (N,) if they have any, and now and then "held_out" ones.
        """
        s, discriminator = self._settings, self._nets["discriminator"]
        if self._training.clip is not None:  # before the critic judges, not after its step, as the authors' code does
            clip_weights(discriminator, self._training.clip)
        calmed = s.gamma > 0 and step % s.gamma_every == 0  # lazily (Karras et al. 2020, 1912.04958)
        shown = batch["real"].detach().requires_grad_(calmed)
        real, made = self._augmented(shown), self._augmented(fake.detach().float())
        judged = self._objective().discriminator(self._critic(batch), real, made)
        loss = judged.loss
        plotted = {"loss": loss, "real": judged.real.float().mean(), "fake": judged.fake.float().mean()}
        aside = None
        if "held_out" in batch:
            classes = (batch["held_out_class"],) if "held_out_class" in batch else ()
            aside = (self._augmented(batch["held_out"]), *classes)
        plotted |= judged.plotted | watched(self._nets, aside, judged.real, judged.fake)
        # ADA's r_t, by which the watch knows overfitting; only where scores divide at 0.
        if s.objective in DIVIDING:
            plotted["real_sign"] = judged.real.detach().sign().float().mean()
        if calmed:
            plotted["r1"] = r1_penalty(judged.real, shown)
            loss = loss + s.gamma_every * s.gamma / 2 * plotted["r1"]
        if isinstance(discriminator, BeganAutoencoder):
            plotted |= self._move_balance(discriminator, judged)
        return loss, plotted

    @torch.no_grad()
    def _move_balance(self, autoencoder: BeganAutoencoder, judged: Judged) -> dict[str, Tensor]:
        """BEGAN's k for the next step. Both networks learn from the same made pictures, so it is known here already."""
        assert self._training.diversity is not None
        errors = -judged.real.mean(), -judged.fake.mean()
        autoencoder.k.copy_(next_k(autoencoder.k, *errors, self._training.diversity, K_RATE / self._engine.parts))
        return {"k": autoencoder.k.clone(), "convergence": convergence(*errors, self._training.diversity)}
