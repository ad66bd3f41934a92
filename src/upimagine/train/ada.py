"""ADA: augmentation that grows as the discriminator becomes too sure of its training pictures.

Karras et al. 2020 (2006.06676). The heuristic is r_t = E[sign D(real)]: 0 where the discriminator cannot tell, 1 where
it knows every training picture. Constants follow stylegan2-ada, train.py and training/training_loop.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from upimagine.train.ada_pipe import ada_augment
from upimagine.train.augment import diff_augment

EVERY = 4
"""Batches from one step of the controller to the next."""
_KIMG, _KIMG_TRAINED_ON = 500, 100  # thousands of pictures from no change to all, at most


def ada_problem(target: float, kimg: float | None) -> str | None:
    """What is wrong with these settings, in words, or None."""
    if -1 < target < 1 and (kimg is None or 0.001 <= kimg < math.inf):
        return None
    return "--ada-target must lie between -1 and 1, --ada-kimg be above 0"


def make_ada(target: float, kimg: float | None, trained_on: bool) -> Ada:
    """As long from none to all as is usual from scratch, or when a model is trained on, unless `kimg` says it."""
    return Ada(target, round((kimg or (_KIMG_TRAINED_ON if trained_on else _KIMG)) * 1000))


def augmented(nets: dict[str, nn.Module], pictures: Tensor, policy: tuple[str, ...]) -> Tensor:
    """What a discriminator is shown of (N, 3, H, W), real or made: by ADA if it is among the networks, else by
    DiffAugment."""
    ada = nets.get("ada")
    return diff_augment(pictures, policy) if ada is None else ada(pictures)


class Ada(nn.Module):
    """The augmentation and the controller of its chance. All of its state is in buffers, so a checkpoint resumes it.

    Args:
        target: the r_t that is held; above it the chance of each change rises, below it falls.
        speed: pictures in which the chance goes from 0 to 1 at most, 500,000 from scratch and 100,000 when a trained
            model is trained on.
    """

    raised: Tensor
    signs: Tensor
    seen: Tensor
    batches: Tensor

    def __init__(self, target: float = 0.6, speed: int = 500_000) -> None:
        super().__init__()
        self.target, self.speed = target, speed
        # Whole numbers of pictures, which no rounding can wear away.
        for name in ("raised", "signs", "seen", "batches"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))

    @property
    def chance(self) -> float:
        """p, the chance of each change, from 0 to 1."""
        return int(self.raised) / self.speed

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], real or made, changed by chance."""
        return ada_augment(pictures, self.chance)

    @torch.no_grad()
    def heed(self, real_logits: Tensor) -> dict[str, Tensor]:
        """Count one batch of the discriminator's logits of (augmented) training pictures; every fourth batch the chance
        takes a step. Gives r_t of this batch and the chance, to plot."""
        signs = real_logits.float().nan_to_num(0.0).sign()
        self.signs += signs.sum().to(torch.int64)
        self.seen += len(signs)
        self.batches += 1
        if int(self.batches) % EVERY == 0:
            direction = (self.signs.double() / self.seen - self.target).sign().to(torch.int64)
            self.raised.copy_((self.raised + direction * self.seen).clamp(0, self.speed))
            self.signs.zero_()
            self.seen.zero_()
        return {"sureness": signs.mean(), "augment_chance": self.raised / self.speed}
