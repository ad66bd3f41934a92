"""How far the discriminator knows its training pictures by heart, measured on pictures kept from it."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from upimagine.errors import UpimagineError
from upimagine.train.ada import Ada

T = TypeVar("T")
EVERY = 4
"""Steps from one look at held-out pictures to the next."""
_MOMENTUM = 0.05  # of the running means: those of about the last twenty looks


def hold_out_problem(share: float) -> str | None:
    """What is wrong with this share, in words, or None."""
    return None if 0 <= share <= 0.5 else f"--hold-out {share} cannot work; use a share from 0 to 0.5"


def hold_out(pictures: list[T], share: float) -> tuple[list[T], list[T]]:
    """Pictures to train on, and a `share` of them to hold out: the same ones for every seed, taken at random.

    Raises UpimagineError when nothing would be left to train on.
    """
    if share == 0:
        return pictures, []
    count = max(1, round(share * len(pictures)))
    if count >= len(pictures):
        raise UpimagineError(
            f"--hold-out {share} of {len(pictures)} picture{'s' * (len(pictures) != 1)} leaves none to train on; "
            "give more pictures or --hold-out 0"
        )
    held = set(np.random.default_rng(len(pictures)).permutation(len(pictures))[:count].tolist())
    kept = [picture for index, picture in enumerate(pictures) if index not in held]
    return kept, [picture for index, picture in enumerate(pictures) if index in held]


class OverfittingGauge(nn.Module):
    """r_v = (E D(train) - E D(held out)) / (E D(train) - E D(made)) of Karras et al. 2020 (2006.06676, section 3).

    0: held-out pictures are as good as training pictures; 1: they are as bad as made ones, the discriminator has
    learned its training pictures by heart. Running means, in a buffer that a checkpoint resumes.
    """

    means: Tensor
    looks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(3))
        self.register_buffer("looks", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def heed(self, train: Tensor, held_out: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Logits of one batch of each, augmented alike; gives what to plot. Where training pictures are no better than
        made ones there is nothing to measure, and the gauge is 0; it is kept within -1 and 2."""
        now = torch.stack([logits.float().mean() for logits in (train, held_out, made)])
        self.looks += 1
        self.means.lerp_(now, max(_MOMENTUM, 1 / int(self.looks)))  # at first plain means
        trained, held, fake = self.means.unbind()
        apart = trained - fake
        gauge = torch.where(apart > 0, (trained - held) / apart, torch.zeros_like(apart)).clamp(-1, 2)
        return {"held_out": now[1], "overfitting": gauge}


def watched(
    nets: dict[str, nn.Module], held_out: tuple[Tensor, ...] | None, real: Tensor, fake: Tensor
) -> dict[str, Tensor]:
    """What a discriminator's logits (N, ...) say of overfitting, for ADA and to plot, where these are among `nets`.

    `held_out` is what the discriminator takes of augmented pictures that are not trained on, in steps that have some.
    """
    numbers: dict[str, Tensor] = {}
    ada, gauge = nets.get("ada"), nets.get("gauge")
    if isinstance(gauge, OverfittingGauge) and held_out is not None:
        numbers |= gauge.heed(real, judged_aside(nets["discriminator"], *held_out), fake)
    if isinstance(ada, Ada):
        numbers |= ada.heed(real.float().flatten(1).mean(dim=1))
    return numbers


@torch.no_grad()
def judged_aside(discriminator: nn.Module, *seen: Tensor) -> Tensor:
    """Logits as in training, by batch statistics, but without leaving a trace in running ones."""
    traces = {name: buffer.clone() for name, buffer in discriminator.named_buffers()}
    logits: Tensor = functional_call(discriminator, traces, seen)
    return logits
