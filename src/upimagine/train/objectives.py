"""The adversarial objectives by name: how each is trained unless told otherwise, and what it cannot go with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from upimagine.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    least_squares_discriminator,
    least_squares_generator,
    minimax_generator,
    non_saturating_discriminator,
    non_saturating_generator,
    wasserstein_critic,
    wasserstein_generator,
)
from upimagine.losses.began import began_discriminator, began_generator
from upimagine.losses.cramer import CramerObjective
from upimagine.losses.objective import Objective, ScoreObjective
from upimagine.nets.began import BeganAutoencoder
from upimagine.nets.norms import Norm

ObjectiveName = Literal[
    "minimax", "non-saturating", "least-squares", "hinge", "wgan", "wgan-gp", "cramer", "began"
]  # fmt: skip
OptimizerName = Literal["adam", "rmsprop"]

#: Those whose scores are above 0 for what is real, below it for what is made, as ADA reads them.
DIVIDING: tuple[ObjectiveName, ...] = ("minimax", "non-saturating", "hinge")
#: Numbers that a Cramer critic gives for a picture; at least 256 are advised (1705.10743 after 1801.01401).
CRAMER_OUTPUTS = 256
_OPENING = 25  # generator steps before which the critic is trained longer (martinarjovsky/WassersteinGAN, main.py)
_AGAIN_EVERY = 500  # and generator steps from one such long training to the next


@dataclass(frozen=True)
class Training:
    """How an objective is trained. None: what it has no use for."""

    optimizer: OptimizerName = "adam"
    learning_rate: float = 2e-4
    beta1: float = 0.5  # Adam's
    beta2: float = 0.999
    critic_steps: int = 1  # of the discriminator, for each of the generator
    opening_steps: int = 1  # the same for the first 25 steps of the generator and for every 500th
    norm: Norm = "batch"  # of the discriminator
    clip: float | None = None  # bound on each of the critic's weights
    penalty_weight: float | None = None  # lambda of the gradient penalty
    diversity: float | None = None  # BEGAN's gamma


@dataclass(frozen=True)
class Kind:
    """What is true of an objective however it is trained."""

    training: Training = field(default_factory=Training)
    norms: tuple[Norm, ...] = ("batch", "batch-own", "layer", "per-sample", "spectral", "none")
    why: str = ""  # other norms cannot be
    r1: str = ""  # why R1 cannot be added; empty: it can
    spread: str = ""  # why the discriminator cannot see a batch's spread; empty: it can


_APART: tuple[Norm, ...] = ("layer", "per-sample", "spectral", "none")
_COUPLES = "its gradient penalty is for each picture alone, and batch norm couples them"
#: Optimisers and steps: the papers' or their authors' code; where they name none, DCGAN's (1511.06434).
KINDS: dict[ObjectiveName, Kind] = {
    "minimax": Kind(),
    "non-saturating": Kind(),
    "least-squares": Kind(),
    "hinge": Kind(Training(norm="spectral")),  # 1802.05957
    "wgan": Kind(
        Training("rmsprop", 5e-5, critic_steps=5, opening_steps=100, clip=0.01),
        norms=("batch", "batch-own", "layer", "per-sample", "none"),
        why="spectral norm scales weights anew and so undoes their clipping",
    ),
    "wgan-gp": Kind(
        Training("adam", 1e-4, 0.0, 0.9, 5, 5, "layer", penalty_weight=10.0),
        norms=_APART,
        why=_COUPLES,
        r1="it wants gradients of length 1, R1 wants none",
    ),
    "cramer": Kind(
        Training("adam", 1e-4, 0.5, 0.9, 5, 5, "layer", penalty_weight=10.0),  # jiamings/cramer-gan
        norms=_APART,
        why=_COUPLES,
        r1="it wants gradients of length 1, R1 wants none",
        spread="it compares pictures one by one, by vectors that must be their own",
    ),
    "began": Kind(
        Training("adam", 1e-4, norm="none", diversity=0.5),
        norms=("none",),
        why="its autoencoder has no normalisation",
        r1="its discriminator is an autoencoder, not a judge whose slope could be calmed",
        spread="its discriminator is an autoencoder, which sees pictures one by one",
    ),
}  # fmt: skip


def training_of(name: ObjectiveName, given: dict[str, Any]) -> Training:
    """How this objective is trained, with what the user gave (fields of `Training`) in place of what is usual."""
    usual = KINDS[name].training
    opening = {"opening_steps": given["critic_steps"]} if "critic_steps" in given else {}
    return replace(usual, **given, **opening)


def training_problem(name: ObjectiveName, given: dict[str, Any], r1: bool, spread: bool) -> str | None:
    """Why this objective cannot be trained so, in words, or None.

    Args:
        name: the objective.
        given: what the user gave, fields of `Training`.
        r1: whether R1 is to be added.
        spread: whether the discriminator is to see a batch's spread.
    """
    kind, objective = KINDS[name], f"--objective {name}"
    training = training_of(name, given)
    unused = [field.name for field in fields(Training) if getattr(kind.training, field.name) is None]
    unused += ["beta1", "beta2"] if training.optimizer == "rmsprop" else []
    idle = [f"--{field.replace('_', '-')}" for field in unused if field in given]
    checks = {
        f"{', '.join(idle)} would change nothing with {objective} and {training.optimizer}; leave it away": bool(idle),
        f"{objective} cannot go with --norm {training.norm}: {kind.why}; choose among {', '.join(kind.norms)}": (
            training.norm not in kind.norms
        ),
        f"{objective} cannot go with --gamma: {kind.r1}; leave --gamma away": bool(r1 and kind.r1),
        f"{objective} cannot go with --minibatch-spread: {kind.spread}; leave it away": bool(spread and kind.spread),
        "--beta1 and --beta2 must be at least 0 and below 1": not (0 <= training.beta1 < 1 and 0 <= training.beta2 < 1),
        f"--learning-rate between 0 and 1, not {training.learning_rate}": not 0 < training.learning_rate < 1,
        f"--critic-steps {training.critic_steps} cannot work; use at least 1": training.critic_steps < 1,
        f"--clip {training.clip} cannot work; use a small number above 0": (
            not 0 < (1 if training.clip is None else training.clip) < math.inf
        ),
        f"--penalty-weight {training.penalty_weight} cannot work; use a number above 0": (
            not 0 < (1 if training.penalty_weight is None else training.penalty_weight) < math.inf
        ),
        f"--diversity {training.diversity} cannot work; use something above 0 and up to 1": (
            not 0 < (1 if training.diversity is None else training.diversity) <= 1
        ),
    }
    return next((message for message, wrong in checks.items() if wrong), None)


def make_objective(name: ObjectiveName, training: Training, discriminator: nn.Module) -> Objective:
    """The losses of this step; BEGAN's hold the balance k that its autoencoder has now."""
    if name == "cramer":
        assert training.penalty_weight is not None
        return CramerObjective(training.penalty_weight)
    if name == "began":
        assert isinstance(discriminator, BeganAutoencoder)
        # A copy, for k moves on before the gradients are taken.
        return ScoreObjective(partial(began_discriminator, k=discriminator.k.clone()), began_generator)
    return ScoreObjective(*_SCORES[name], penalty_weight=training.penalty_weight)


_Scores = tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]
_SCORES: dict[ObjectiveName, _Scores] = {
    "minimax": (non_saturating_discriminator, minimax_generator),
    "non-saturating": (non_saturating_discriminator, non_saturating_generator),
    "least-squares": (least_squares_discriminator, least_squares_generator),
    "hinge": (hinge_discriminator, hinge_generator),
    "wgan": (wasserstein_critic, wasserstein_generator),
    "wgan-gp": (wasserstein_critic, wasserstein_generator),
}


def make_optimizer(training: Training, groups: list[dict[str, object]]) -> Optimizer:
    """PyTorch's form of the optimiser over groups that bring their own learning rates."""
    if training.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=training.learning_rate)
    return torch.optim.Adam(groups, lr=training.learning_rate, betas=(training.beta1, training.beta2), fused=True)


def generator_due(step: int, critic_steps: int, opening_steps: int) -> bool:
    """Whether the generator moves in this step, too; the discriminator does in every one.

    A function of the step alone, so that a resumed run falls into the same rhythm. The generator's first 25 steps, and
    every 500th, wait for `opening_steps` of the discriminator, the others for `critic_steps`
    (martinarjovsky/WassersteinGAN, main.py).
    """
    if step < _OPENING * opening_steps:
        return (step + 1) % opening_steps == 0
    # From here on, rounds of one long wait and then 499 short ones; the first round has lost its first 25 steps.
    round_steps = opening_steps + (_AGAIN_EVERY - 1) * critic_steps
    lost = opening_steps + (_OPENING - 1) * critic_steps
    place = (step - _OPENING * opening_steps + lost) % round_steps
    return place == opening_steps - 1 or (place >= opening_steps and (place - opening_steps + 1) % critic_steps == 0)


@torch.no_grad()
def clip_weights(net: nn.Module, limit: float) -> None:
    """Every parameter into [-limit, limit], in place (1701.07875, algorithm 1; gains and biases too, as its code)."""
    for parameter in net.parameters():
        parameter.clamp_(-limit, limit)
