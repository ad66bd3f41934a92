"""How visible the grid of tiles is in a finished picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from upimagine.render.luma import luma
from upimagine.render.plan import TilePlan

_BLOCK_PX = 8
"""Side of the blocks within which contrast is measured."""
_TONE_PX = 32
"""Side of the blocks whose means are compared across a line."""


@dataclass(frozen=True)
class Seams:
    """Seam measures of one picture. Without a seam (one tile) the ideal values."""

    ratio: float
    """Mean |Y left − Y right| across seam lines over that across lines inside tiles. Ideal 1; above: visible cuts."""
    contrast_dip: float
    """Local deviation of luma on seam lines over that in tile centres. Ideal 1; .71 for averaged unrelated textures."""
    tone_step: float
    """How much the means either side of a seam differ beyond those either side of a tile centre, in 0…255. Ideal 0."""


def seam_lines(starts_px: Sequence[int], window_px: int, scale: int) -> list[int]:
    """Where neighbours hand over along one axis, in output pixels: line s lies between the pixels s - 1 and s."""
    return [(right * scale) + (left + window_px - right) * scale // 2 for left, right in pairwise(starts_px)]


def measure_seams(picture: Tensor, plan: TilePlan, scale: int) -> Seams:
    """Seam ratio, contrast dip and tone step of (3, H, W) in [-1, 1] that was made by a plan at a scale.

    Lines inside tiles, from the middle half between two seams, tell what the picture itself does there; both
    directions count. The picture may be a crop of the canvas, from its top left.
    """
    grey = (luma(picture.unsqueeze(0))[0] + 1.0) * 127.5  # (H, W) in 0…255
    at_seams, inside = _Lines(), _Lines()
    for oriented, starts_px in ((grey, plan.col_starts_px), (grey.T, plan.row_starts_px)):
        width = oriented.shape[1]
        seams = [line for line in seam_lines(starts_px, plan.window_px, scale) if line < width]
        if not seams:
            continue
        at_seams.add(oriented, jumps=seams, blocks=seams, steps=seams)
        for left, right in pairwise((0, *seams, width)):
            middle = range(left + (right - left) // 4 + 1, right - (right - left) // 4)
            centre = (left + right) // 2
            inside.add(oriented, jumps=middle, blocks=middle[:: _BLOCK_PX // 2], steps=[centre])
    return Seams(
        ratio=_over(_mean(at_seams.jumps), _mean(inside.jumps)),
        contrast_dip=_over(_mean(at_seams.deviations), _mean(inside.deviations)),
        tone_step=_mean(at_seams.steps) - _mean(inside.steps),
    )


class _Lines:
    """What was measured on vertical lines so far, one number a line."""

    def __init__(self) -> None:
        self.jumps: list[float] = []
        self.deviations: list[float] = []
        self.steps: list[float] = []

    def add(self, grey: Tensor, *, jumps: Sequence[int], blocks: Sequence[int], steps: Sequence[int]) -> None:
        """Measure (H, W): jumps across lines, deviations in blocks round lines, mean differences either side."""
        width = grey.shape[1]
        self.jumps += [float((grey[:, line] - grey[:, line - 1]).abs().mean()) for line in jumps]
        half = _BLOCK_PX // 2
        for line in blocks:
            if half <= line <= width - half:
                block = _stack(grey[:, line - half : line + half], _BLOCK_PX)
                self.deviations.append(float(block.std(dim=1, correction=0).mean()))
        for line in steps:
            if _TONE_PX <= line <= width - _TONE_PX:
                before = _stack(grey[:, line - _TONE_PX : line], _TONE_PX).mean(dim=1)
                after = _stack(grey[:, line : line + _TONE_PX], _TONE_PX).mean(dim=1)
                self.steps.append(float((before - after).abs().mean()))


def _stack(strip: Tensor, block_px: int) -> Tensor:
    """A strip (H, W) cut across into blocks, (blocks, values); what is left over at the bottom is dropped."""
    height = min(block_px, strip.shape[0])
    return strip[: strip.shape[0] // height * height].reshape(-1, height * strip.shape[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _over(seam: float, inside: float) -> float:
    """A ratio that calls nothing over nothing even."""
    if inside == 0.0:
        return 1.0 if seam == 0.0 else math.inf
    return seam / inside
