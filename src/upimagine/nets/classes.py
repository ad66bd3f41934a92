"""Classes in latents and in a discriminator.

A generator that knows C classes takes latents with C more numbers; the largest of these says which one is meant. Drawn
from N(0, 1) like all others every class comes as often, and everything that handles latents need not know of classes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def told(latents: Tensor, classes: int) -> Tensor:
    """(N, L + C) to the same, the last C numbers replaced by sqrt(L) for the class that is meant and 0 for the others.

    A layer behind it embeds the class by the weights of that number, which says as much as the L others together, as
    in conditional GANs (Mirza & Osindero 2014, 1411.1784). Nothing changes with no class.
    """
    if classes == 0:
        return latents
    plain, said = latents[:, :-classes], latents[:, -classes:]
    chosen = F.one_hot(said.argmax(dim=1), classes).to(latents.dtype)
    return torch.cat((plain, chosen * math.sqrt(plain.shape[1])), dim=1)


class Projection(nn.Module):
    """What a picture's class adds to its logit: the class's vector times the sum of its map over all places (Miyato &
    Koyama 2018, 1802.05637, eq. 3).

    Args:
        classes: how many there are.
        channels: of the map.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(classes, channels)
        nn.init.normal_(self.vectors.weight, 0.0, 0.02)

    def forward(self, maps: Tensor, numbers: Tensor) -> Tensor:
        """(N, channels, h, w) and the classes' numbers (N,) int64 to (N, 1, 1, 1)."""
        added: Tensor = (maps.sum(dim=(2, 3)) * self.vectors(numbers)).sum(dim=1)
        return added[:, None, None, None]


def labelled(vector: Tensor, classes: int, number: int) -> Tensor:
    """(L + C,) with the class that is meant changed to this one: two numbers change places, so that it is still what a
    normal vector of that class can be."""
    said = vector[-classes:].clone()
    most = int(said.argmax())
    said[most], said[number] = said[number].clone(), said[most].clone()
    return torch.cat((vector[:-classes], said))
