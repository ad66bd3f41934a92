"""Made pictures, taken together, should vary coarsely as real ones do; the discriminator sees to how each looks.

A discriminator judges pictures one by one, and so says little of what a generator leaves out. Here coarse pictures are
compared as distributions: shrunk, along their principal components, each scaled to variance 1 so that small differences
count as much as the light and the backdrop, by the energy distance along random lines.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.data.folder import to_float
from upimagine.losses.energy import sliced_energy_distance

_PX = 32  # how coarse
_MOST_SEEN = 2048  # pictures that stand for all
_MOST_COMPONENTS = 256
_PICTURES_A_COMPONENT = 4  # fewer would make components of single pictures
_LEAST_SPREAD = 0.01  # of the first component's; what varies less counts for less, as it may be but rounding
_LINES = 64  # drawn afresh in every step


class CoarseDistance(nn.Module):
    """The energy distance between made pictures and training pictures, both coarse.

    Args:
        pictures: (3, s, s) uint8 each, one size, s a multiple of 32; some of them, evenly taken, where there are many.
        remembered: made pictures of earlier steps that stand beside those of a step, which are too few to tell by
            themselves how made pictures vary. They are part of the state, so a checkpoint resumes them.
    """

    centre: Tensor
    components: Tensor
    seen: Tensor
    made_before: Tensor
    counted: Tensor

    def __init__(self, pictures: list[Tensor], remembered: int = 0) -> None:
        super().__init__()
        some = pictures[:: -(-len(pictures) // _MOST_SEEN)]
        coarse = torch.cat([_coarse(to_float(picture[None])) for picture in some])
        centre = coarse.mean(dim=0)
        count = max(1, min(_MOST_COMPONENTS, len(some) // _PICTURES_A_COMPONENT))
        _, spreads, basis = torch.linalg.svd(coarse - centre, full_matrices=False)
        scale = spreads[:count].clamp_min(float(spreads[0]) * _LEAST_SPREAD + 1e-6) / max(1, len(some) - 1) ** 0.5
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("components", (basis[:count] / scale[:, None]).T, persistent=False)
        self.register_buffer("seen", (coarse - centre) @ self.components, persistent=False)
        self._remembered = remembered
        if remembered:
            self.register_buffer("made_before", torch.zeros(remembered, count))
            self.register_buffer("counted", torch.zeros((), dtype=torch.int64))

    def forward(self, made: Tensor) -> Tensor:
        """(N, 3, s, s) in [-1, 1], N >= 2, to a scalar, about 0 for a batch of real pictures."""
        with torch.autocast(made.device.type, enabled=False):
            places = (_coarse(made.float()) - self.centre) @ self.components
            lines = F.normalize(torch.randn(places.shape[1], _LINES, device=made.device), dim=0)
            if not self._remembered:
                return sliced_energy_distance(places, self.seen, lines)
            before = self.made_before[: int(self.counted)].clone()  # the gradient needs it as it was
            self._remember(places.detach())
            if len(places) + len(before) < 2:
                return 0 * places.sum()  # the first of all, alone
            distance = sliced_energy_distance(torch.cat((places, before)), self.seen, lines)
            # Of many pictures each has a small part in the distance; those that can still change stand for all.
            share = len(places) / (len(places) + len(before))
            return distance.detach() + (distance - distance.detach()) / share

    @torch.no_grad()
    def _remember(self, places: Tensor) -> None:
        """Put the newest first, and forget the oldest."""
        self.made_before.copy_(torch.cat((places, self.made_before))[: self._remembered])
        self.counted.add_(len(places)).clamp_(max=self._remembered)


def _coarse(pictures: Tensor) -> Tensor:
    """(N, 3, s, s) to (N, 3 * 32 * 32) by means of squares."""
    return F.avg_pool2d(pictures, pictures.shape[3] // _PX).flatten(1)
