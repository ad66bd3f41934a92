"""How visible the grid of tiles is: what is measured, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

BLOCK_PX = 8
"""Side of the blocks within which contrast is measured."""
TONE_PX = 32
"""Side of the blocks whose means are compared across a line; a multiple of the smaller blocks."""
_HARMONICS = 12
"""Of the tile period, that are looked for."""
_SURE = 3.0
"""Deviations beyond which a difference is no chance."""
_FEWEST = 4
"""Seams along an axis, below which a period means nothing."""
_UNSEEN = 0.25
"""Levels, of 255, that a line is darker or lighter by without being seen."""
_PERIODIC = 3.0
"""Period energy that is no chance: of 119 pictures without tiles (portraits, abstracts) one had more."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seams:
    """Seam measures of one picture. Without a seam (one tile) the ideal values."""

    ratio: float
    """Mean |Y left - Y right| across seam lines over that across lines inside tiles. Ideal 1; above: visible cuts."""
    contrast_dip: float
    """Local deviation of luma on seam lines over that in tile centres. Ideal 1; .71 for averaged unrelated textures."""
    tone_step: float
    """By how much means either side of a seam differ beyond those beside a tile's centre, in 0...255. Ideal 0."""
    period: float
    """Energy of the gradient's profile at the tile period and its harmonics over that beside them. 1 at the least."""

    ratio_sigmas: float = 0.0
    """How far the ratio is above 1 for more than chance, lines inside tiles telling how much lines differ by nature."""
    dip_sigmas: float = 0.0
    """The same for contrast below that in tile centres."""
    step_sigmas: float = 0.0
    """The same for the tone step."""

    @property
    def visible(self) -> bool:
        """Whether somebody who looks for the grid would see it: clearly beyond the promise, and beyond chance."""
        return (
            (self.ratio > 1.06 and self.ratio_sigmas > _SURE)
            or (self.contrast_dip < 0.9 and self.dip_sigmas > _SURE)
            or (self.tone_step > 2.0 and self.step_sigmas > _SURE)
            or self.period > _PERIODIC
        )

    def __str__(self) -> str:
        return (
            f"seam ratio {self.ratio:.3f}, contrast dip {self.contrast_dip:.3f}, tone step {self.tone_step:+.2f}, "
            f"period energy {self.period:.2f}"
        )


#: Of a picture in one piece.
NO_SEAMS = Seams(ratio=1.0, contrast_dip=1.0, tone_step=0.0, period=1.0)


def seam_lines(starts_px: Sequence[int], window_px: int, scale: int) -> list[int]:
    """Where neighbours hand over along one axis, in output pixels: line s lies between the pixels s - 1 and s."""
    return [(right * scale) + (left + window_px - right) * scale // 2 for left, right in pairwise(starts_px)]


@dataclass(frozen=True)
class Lines:
    """The lines along one axis at which something is measured; those of `seams` are seams, the others lie inside."""

    seams: list[int]
    inside: list[int]  # where gradients are compared
    blocks: list[int]  # seams and inside lines with room for a small block
    steps: list[int]  # seams and tile centres with room for a large block on either side

    @classmethod
    def of(cls, starts_px: Sequence[int], window_px: int, scale: int, length_px: int, origin_px: int) -> Lines:
        """Of an axis whose tiles begin at `starts_px`; the picture begins at `origin_px` of the canvas."""
        seams = [line - origin_px for line in seam_lines(starts_px, window_px, scale)]
        seams = [line for line in seams if 0 < line < length_px]
        inside: list[int] = []
        centres: list[int] = []
        blocks = list(seams)
        for left, right in pairwise((0, *seams, length_px)) if seams else ():
            middle = range(left + (right - left) // 4 + 1, right - (right - left) // 4)
            inside += middle
            blocks += middle[:: BLOCK_PX // 2]
            centres.append((left + right) // 2)
        half = BLOCK_PX // 2
        return cls(
            seams,
            inside,
            [line for line in blocks if half <= line <= length_px - half],
            [line for line in seams + centres if TONE_PX <= line <= length_px - TONE_PX],
        )

    def split(self, profile: Doubles) -> tuple[list[float], list[float]]:
        """Values of a profile at seams and inside."""
        return [float(profile[line]) for line in self.seams], [float(profile[line]) for line in self.inside]

    def parts(self, values: Sequence[float] | Doubles, lines: list[int]) -> tuple[list[float], list[float]]:
        """Values at `lines`, those at seams and the others."""
        at_seams = set(self.seams)
        pairs = list(zip(lines, (float(value) for value in values), strict=True))
        return [v for line, v in pairs if line in at_seams], [v for line, v in pairs if line not in at_seams]


def period_energy(profiles: Sequence[tuple[Doubles, list[int]]], pitch_px: int) -> float:
    """Power at harmonics of 1 / pitch over that three and four bins beside them, of the direction where it is larger.

    Each harmonic is compared with its own neighbours, and the ratios' geometric mean taken: pictures have far more
    power at low frequencies, so that in a plain mean one harmonic would be all. What a line of a quarter of a level at
    every seam would bring is added to both sides: flat pictures have a period in what nobody can see. At least 1, which
    it is also where seams are too few, or too close, to tell.

    Args:
        profiles: for each direction |gradient| in 0...255 at every line, and the seams.
        pitch_px: from tile to tile.
    """
    found = [1.0]
    harmonics = range(1, min(_HARMONICS, pitch_px // 4) + 1)
    if not harmonics:
        return 1.0
    for profile, seams in profiles:
        if len(seams) < _FEWEST:
            continue
        part = profile[1:]
        window = np.hanning(len(part))
        tapered = (part - part.mean()) * window
        places = np.arange(len(part), dtype=np.float64)
        unseen = (_UNSEEN * window.sum() / pitch_px) ** 2

        def power(frequency: float, tapered: Doubles = tapered, places: Doubles = places) -> float:
            return float(abs(np.sum(tapered * np.exp(-2j * np.pi * frequency * places))) ** 2)

        frequencies = [harmonic / pitch_px for harmonic in harmonics]
        beside = [power(frequency + bins / len(part)) for frequency in frequencies for bins in (-4, -3, 3, 4)]
        logs = (np.log([one + unseen for one in some]) for some in (map(power, frequencies), beside))
        at, near = (float(some.mean()) for some in logs)
        found.append(math.exp(at - near))
    return max(found)


def sigmas(seam: Sequence[float], inside: Sequence[float]) -> float:
    """By how many of its deviations the mean at seams is above that inside; 0 where there is nothing to compare."""
    if len(seam) == 0 or len(inside) < 2:
        return 0.0
    deviation = float(np.std(inside)) / math.sqrt(len(seam))
    difference = mean(seam) - mean(inside)
    return difference / deviation if deviation else math.copysign(math.inf, difference) if difference else 0.0


def mean(values: Sequence[float]) -> float:
    """0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def over(seam: float, inside: float) -> float:
    """A ratio that calls nothing over nothing even."""
    if inside == 0.0:
        return 1.0 if seam == 0.0 else math.inf
    return seam / inside
