"""When a progressive GAN grows: sizes, fading, batches and learning rates by place in the stream of pictures.

Karras et al. 2017 (1710.10196), appendix A, and train.py of their code: each size is first faded in and then trained
on, for so many pictures each; the first size has nothing to fade in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """What is trained at a place in the stream."""

    size_px: int
    faded: float  # how far this size has faded in, 0 to 1


class Growth:
    """The schedule, a function of the pictures shown and of nothing else, so that a resumed run falls into it.

    Args:
        base_px: first size.
        size_px: last size.
        stable: pictures for which a size is trained.
        fade: pictures, before that, over which it is faded in.
        batch_at: pictures a step at a size.
    """

    def __init__(self, base_px: int, size_px: int, stable: int, fade: int, batch_at: Callable[[int], int]) -> None:
        self._base_px, self._size_px, self._stable, self._fade = base_px, size_px, stable, fade
        # Where each size begins: steps, pictures, and how many pictures a step shows from there on.
        self._begins: list[tuple[int, int, int]] = []
        step = shown = 0
        for number, extent in enumerate(self.sizes()):
            self._begins.append((step, shown, batch_at(extent)))
            steps = max(0, -(-(stable + number * (stable + fade) - shown) // batch_at(extent)))
            step, shown = step + steps, shown + steps * batch_at(extent)

    def sizes(self) -> list[int]:
        """All sizes, smallest first."""
        return [self._base_px << i for i in range((self._size_px // self._base_px).bit_length())]

    @property
    def grown_at(self) -> int:
        """Pictures shown until the last size has faded in."""
        return (len(self.sizes()) - 1) * (self._stable + self._fade)

    def at(self, shown: int) -> Stage:
        """The stage once so many pictures have been shown."""
        round_, place = divmod(shown, self._stable + self._fade)
        if self._base_px << min(round_, 16) >= self._size_px:
            return Stage(self._size_px, 1.0)
        size = self._base_px << round_
        return (
            Stage(size, 1.0) if place < self._stable else Stage(2 * size, (place - self._stable) / max(self._fade, 1))
        )

    def shown_after(self, step: int) -> int:
        """Pictures shown in so many steps."""
        began, shown, batch = self._begins[bisect_right(self._begins, step, key=lambda begin: begin[0]) - 1]
        return shown + (step - began) * batch

    def changes_at(self, step: int) -> bool:
        """Whether what is trained is not what the step before trained: a size begins or has faded in."""
        if step == 0:
            return False
        now, before = self.at(self.shown_after(step)), self.at(self.shown_after(step - 1))
        return now.size_px != before.size_px or (now.faded == 1) != (before.faded == 1)


def at_sizes(listed: tuple[str, ...]) -> Mapping[int, float]:
    """ "256=14" to {256: 14.0}, for several. Raises ValueError for what cannot be read so."""
    found: dict[int, float] = {}
    for item in listed:
        size, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is not SIZE=NUMBER")
        found[int(size)] = float(value)
    return found
