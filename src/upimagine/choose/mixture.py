"""How much of each of some people a face has, and which faces have something of all of them."""

from __future__ import annotations

import torch
from torch import Tensor

_RIDGES = tuple(10.0**power for power in range(-4, 2))  # of the largest squared singular value


class Likeness:
    """Shares of people in a picture, by ridge regression of who it is on what it looks like.

    The ridge is the one with the least leave-one-out error, which for a linear smoother is known without
    leaving any out (Allen 1974, PRESS). Of a picture like none of those learned from, all have about the same share.
    """

    def __init__(self, features: Tensor, people: Tensor) -> None:
        """features: (N, F), near rows for faces alike; people: (N,) numbers from 0. Raises ValueError for one."""
        count = int(people.max()) + 1
        if len(features) != len(people) or count < 2:
            raise ValueError("features and people must be equally many, of at least two people")
        x, y = features.double(), torch.eye(count, dtype=torch.float64)[people]
        # Each person weighs alike, however many pictures there are.
        weight = (len(people) / (count * torch.bincount(people, minlength=count).double()))[people]
        self._mean = (weight[:, None] * x).sum(0) / weight.sum()
        root = weight.sqrt()[:, None]
        left, values, right = torch.linalg.svd(root * (x - self._mean), full_matrices=False)
        target = root * (y - 1 / count)
        best = torch.inf
        for ridge in (float(values[0]) ** 2 * share for share in _RIDGES):
            shrunk = values.square() / (values.square() + ridge)
            fitted = (left * shrunk) @ (left.T @ target)
            hat = (left.square() * shrunk).sum(1, keepdim=True) + weight[:, None] / weight.sum()
            left_out = target - (target - fitted) / (1 - hat).clamp_min(1e-12)  # what it would be, were it not known
            error = float((target - left_out).square().sum())
            if error < best:
                best = error
                self._slope = (right.T * (values / (values.square() + ridge))) @ (left.T @ target)
                self.told_apart = float((left_out.argmax(1) == people).double().mean())
        self._count = count

    told_apart: float
    """Share of the pictures that, were they left out, would be taken for the right person; 0 to 1."""

    def shares(self, features: Tensor) -> Tensor:
        """(M, F) to (M, P): about 1 for the person in the picture, about 1/P for all in a face between them."""
        shares: Tensor = (features.double() - self._mean) @ self._slope + 1 / self._count
        return shares

    def mixture(self, features: Tensor) -> Tensor:
        """(M, F) to (M,): 0 where all have the same share, less the more one outweighs the others."""
        shares = self.shares(features)
        outweighing: Tensor = (shares - shares.mean(1, keepdim=True)).square().sum(1).sqrt()
        return -outweighing
