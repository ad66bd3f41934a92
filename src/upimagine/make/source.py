"""A picture file as the beginning of a walk: colours, transparency, and what it says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine import pixels
from upimagine.pixels.resizing import resize_antialiased


@dataclass(frozen=True)
class Source:
    """What a picture brings along besides its colours."""

    alpha: Tensor | None = None  # (1, 1, H, W) in [0, 1], kept beside the colours
    exif: bytes | None = None
    xmp: bytes | None = None
    flattened: bool = False  # transparent places were laid on white


def open_source(path: str | Path, keep_alpha: bool) -> tuple[Tensor, Source]:
    """Read a picture as (1, 3, H, W) in [-1, 1]. Transparent places are laid on white, as on paper, or are kept, and
    the colours around then go on beneath them, since what lies there is mostly no picture."""
    read = pixels.read(path)
    picture = read.pixels[None]
    if read.alpha is None or bool((read.alpha == 1).all()):
        return picture, Source(None, read.exif, read.xmp)
    alpha = read.alpha[None]
    if keep_alpha:
        return _filled(picture, alpha), Source(alpha, read.exif, read.xmp)
    return torch.lerp(torch.ones_like(picture), picture, alpha), Source(None, read.exif, read.xmp, flattened=True)


def _filled(picture: Tensor, alpha: Tensor) -> Tensor:
    """Colours where nothing can be seen replaced by those nearby: means of ever larger neighbourhoods, as far as they
    are opaque (the pull-push of Gortler et al. 1996)."""
    colour, weight = picture * alpha, alpha
    levels = [(colour, weight)]
    while min(weight.shape[2:]) > 1:
        size = ((weight.shape[2] + 1) // 2, (weight.shape[3] + 1) // 2)
        colour, weight = (F.adaptive_avg_pool2d(each, size) for each in (colour, weight))
        levels.append((colour, weight))
    filled = torch.where(weight > 0, colour / weight.clamp_min(1e-6), torch.ones_like(colour))
    for colour, weight in reversed(levels[:-1]):
        filled = F.interpolate(filled, weight.shape[2:], mode="bilinear", align_corners=False)
        sure = (weight * 4).clamp(0, 1)
        filled = torch.lerp(filled, colour / weight.clamp_min(1e-6), sure)
    return torch.where(alpha > 0.5, picture, filled).clamp(-1, 1)


class AlphaRows:
    """A sink that lays enlarged transparency beside the rows on their way into a canvas that takes it.

    Bicubic, row by row, in memory that grows with the picture's width and the source's height.
    """

    def __init__(self, canvas: pixels.Canvas, alpha: Tensor, trim_px: tuple[int, int], bleed_px: int = 0) -> None:
        """alpha: (1, 1, h, w) in [0, 1], of the whole picture of trim_px (height, width); beyond it, it is mirrored."""
        height, width = trim_px
        alpha = resize_antialiased(alpha * 2 - 1, (min(alpha.shape[2], height), width)) / 2 + 0.5
        self._rows = F.pad(alpha, (bleed_px, bleed_px, 0, 0), mode="reflect")[0, 0] if bleed_px else alpha[0, 0]
        self._canvas, self._height, self._bleed_px = canvas, height, bleed_px
        self._row = 0

    def write_rows(self, rows: Tensor) -> None:
        """Pass on the next (3, h, W) with their transparency."""
        places = torch.arange(self._row, self._row + rows.shape[1]) - self._bleed_px
        turn = max(2 * (self._height - 1), 1)
        places = places.abs().remainder(turn)
        places = torch.minimum(places, turn - places)
        self._row += rows.shape[1]
        self._canvas.write_rows(rows, self._at(places)[None])

    def state(self) -> dict[str, Tensor]:
        """How far it has come."""
        return {"row": torch.tensor(self._row)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self._row = int(state["row"])

    def _at(self, places: Tensor) -> Tensor:
        """Rows (n, W) of the enlarged transparency, by Keys' cubic convolution with a = -0.75 (as torch's bicubic)."""
        known = self._rows.shape[0]
        where = (places.double() + 0.5) * known / self._height - 0.5
        first = where.floor()
        away = (where - first).float()
        total = torch.zeros(len(places), self._rows.shape[1])
        for tap in range(-1, 3):
            row = (first.long() + tap).clamp(0, known - 1)
            total += _cubic(away - tap)[:, None] * self._rows[row]
        return total.clamp_(0, 1)


def _cubic(x: Tensor) -> Tensor:
    x, a = x.abs(), -0.75
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
