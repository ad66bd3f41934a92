"""A tournament of pairs: which of two is better, asked until the best few are told from the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_PRIOR = 4.0  # deviation of strengths before anything is known: most pairs are clear to whoever looks
_SURE = 0.1  # chance that one outside is better than one inside, below which nobody asks any more
_STEPS = 50


@dataclass(frozen=True)
class Duel:
    """Two entrants by number, and what was said."""

    first: int
    second: int
    won: float
    """1: the first is better; 0: the second; 0.5: neither."""


@dataclass(frozen=True)
class Standing:
    """What the duels say of each entrant."""

    strength: Tensor  # (N,) float64, mean 0
    covariance: Tensor  # (N, N)

    def order(self) -> list[int]:
        """Best first; ties in the order of entry."""
        found: list[int] = torch.sort(self.strength, descending=True, stable=True).indices.tolist()
        return found

    def doubt(self, better: int, worse: int) -> float:
        """Chance that the second is the better one after all."""
        variance = self.covariance[better, better] + self.covariance[worse, worse] - 2 * self.covariance[better, worse]
        gap = self.strength[better] - self.strength[worse]
        return float(torch.special.ndtr(-gap / variance.sqrt()))


def standing(entrants: int, duels: Sequence[Duel]) -> Standing:
    """Strengths under which the first wins with probability 1 / (1 + exp(-gap)) (Bradley and Terry 1952).

    The most likely ones given a normal prior, by Newton's method, with the covariance of Laplace's approximation.
    """
    strength = torch.zeros(entrants, dtype=torch.float64)
    first = torch.tensor([duel.first for duel in duels], dtype=torch.long)
    second = torch.tensor([duel.second for duel in duels], dtype=torch.long)
    won = torch.tensor([duel.won for duel in duels], dtype=torch.float64)
    sides = torch.zeros(len(duels), entrants, dtype=torch.float64)
    sides[torch.arange(len(duels)), first] = 1
    sides[torch.arange(len(duels)), second] = -1
    prior = torch.eye(entrants, dtype=torch.float64) / _PRIOR**2
    for _ in range(_STEPS):
        chance = torch.sigmoid(sides @ strength)
        curvature = prior + sides.T @ (sides * (chance * (1 - chance))[:, None])
        step = torch.linalg.solve(curvature, sides.T @ (won - chance) - prior @ strength)
        strength = strength + step
        if float(step.abs().max()) < 1e-9:
            break
    return Standing(strength, torch.linalg.inv(curvature))


def next_duel(now: Standing, duels: Sequence[Duel], keep: int) -> tuple[int, int] | None:
    """The pair that most puts in doubt which `keep` are the best; None once that is plain, or all pairs were asked.

    One of those ahead against one of the others, as in LUCB (Kalyanakrishnan et al. 2012, "PAC subset selection").
    Equal doubt: those that have met fewest others, the later one of those ahead first. No pair is asked twice.
    """
    order, met = now.order(), {frozenset((duel.first, duel.second)) for duel in duels}
    played = Counter(entrant for pair in met for entrant in pair)
    pairs = [
        (round(now.doubt(ahead, behind), 6), -played[ahead] - played[behind], place, -other)
        for place, ahead in enumerate(order[:keep])
        for other, behind in enumerate(order[keep:], start=keep)
        if frozenset((ahead, behind)) not in met
    ]
    if not pairs:
        return None
    doubt, _, place, other = max(pairs)
    return (order[place], order[-other]) if doubt >= _SURE else None
