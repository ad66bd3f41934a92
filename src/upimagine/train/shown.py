"""The pictures that a generator's training shows: an endless stream, and some that are held out of it."""

from __future__ import annotations

import torch

from upimagine.data.folder import Decoded
from upimagine.train.overfitting import EVERY, hold_out
from upimagine.train.squares import drawn_squares
from upimagine.train.task import Batch


class Shown:
    """Training pictures in an endless shuffled stream, and held-out ones beside it, now and then.

    Args:
        decoded: all pictures, of one size.
        classes: how many classes they have, their labels the classes' numbers; 0: none.
        share: how many of them to hold out.
        flip: show mirror images too.
        seed: of order and flips.
    """

    def __init__(self, decoded: Decoded, share: float, flip: bool, seed: int, classes: int = 0) -> None:
        kept, aside = hold_out(list(range(len(decoded.pictures))), share)
        self.pictures = [decoded.pictures[index] for index in kept]
        self._held_out = [decoded.pictures[index] for index in aside]
        self._flip, self._seed = flip, seed
        labels = torch.tensor(decoded.labels) if classes else None
        self._class = None if labels is None else labels[kept]
        self._held_class = None if labels is None else labels[aside]
        #: How many there are, for the checkpoint.
        self.counts = {"pictures": len(kept), "held_out": len(aside)}

    @property
    def holds_out(self) -> bool:
        """Whether there are held-out pictures."""
        return bool(self._held_out)

    def batch(self, position: int, count: int) -> Batch:
        """{"real": (count, 3, S, S)}, mirrored by chance, "which" (count,) they are, "class" (count,) if they have
        any; and now and then "held_out", and "held_out_class"."""
        real, which = drawn_squares(self.pictures, position, count, self._seed, self._flip)
        batch = {"real": real, "which": torch.tensor(which)}
        if self._class is not None:
            batch["class"] = self._class[batch["which"]]
        if self._held_out and position // count % EVERY == 0:
            aside, which = drawn_squares(self._held_out, position // EVERY, count, self._seed, self._flip)
            batch["held_out"] = aside
            if self._held_class is not None:
                batch["held_out_class"] = self._held_class[which]
        return batch
