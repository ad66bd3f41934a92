"""Output sharpening: what ink spreading into paper takes away, put back beforehand.

An unsharp mask (Schreiber, "Wirephoto quality improvement by unsharp masking", Pattern Recognition 2, 1970) on luma
alone, so that no coloured fringes arise, and in sRGB's own encoding rather than in linear light: its steps are nearly
even to the eye, so that the light and the dark side of an edge gain alike, where linear light would make light halos
faint and dark ones heavy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from upimagine.errors import UpimagineError

_RADIUS_DPI = 200.0
_WEIGHTS = (np.float32(0.299), np.float32(0.587), np.float32(0.114))  # BT.601 luma of encoded RGB, as in `render`
_BLOCK_PIXELS = 1 << 18  # planes of this size stay in a processor's cache from step to step

Plane = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Sharpening:
    """The knobs of output sharpening. Raises UpimagineError on values that cannot work."""

    radius_px: float = 1.5
    """Standard deviation of the blur that is subtracted, 0.1 to 50 pixels; `for_print` takes it from the dpi."""
    amount: float = 1.0
    """How much of the difference to the blur is added; 0 is off."""
    threshold: float = 0.008
    """Differences are made smaller by this share of black to white (2 of 255 steps), those below it vanish: paper
    grain and noise stay as they are, and there is no step where sharpening sets in."""
    halo: float | None = 0.1
    """How far, as a share of black to white, luma may go beyond the darkest and lightest pixel within the radius;
    0 makes edges steeper without any halo, None does not limit it."""

    def __post_init__(self) -> None:
        def need(fine: bool, name: str, mend: str) -> None:
            if not fine:
                raise UpimagineError(f"{name} of {getattr(self, name)!r} cannot work: choose {mend}")

        need(0.1 <= self.radius_px <= 50, "radius_px", "0.1 to 50")
        need(0 <= self.amount <= 20, "amount", "0 to 20, 1 is usual")
        need(0 <= self.threshold <= 1, "threshold", "0 to 1, 0.008 is usual")
        need(self.halo is None or 0 <= self.halo <= 1, "halo", "0 to 1, or leave it out")

    @classmethod
    def for_print(
        cls, dpi: float, amount: float = 1.0, threshold: float = 0.008, halo: float | None = 0.1
    ) -> Sharpening:
        """Choose the radius for a print at `dpi`, dpi / 200 pixels.

        The rule of thumb is common (wiki.nikonians.org, "Output sharpening"). It makes each side of an edge's halo,
        about twice the radius, 1/100 inch wide: the width below which Fraser ("Real World Image Sharpening", 2006)
        finds that halos are not seen as such at reading distance.
        """
        return cls(min(max(dpi / _RADIUS_DPI, 0.1), 50.0), amount, threshold, halo)

    @property
    def reach_px(self) -> int:
        """Rows and columns around a pixel that have a say in it."""
        return math.ceil(3 * self.radius_px)


def sharpen(picture: Tensor, sharpening: Sharpening) -> Tensor:
    """Sharpen a whole picture (3, H, W) in [-1, 1], sRGB-encoded, to the same shape and range, float32 on the CPU.

    Beyond its edges the picture counts as mirrored. `SharpenedRows` gives the same, bit for bit, strip by strip.

    Raises:
        ValueError: another shape.
    """
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise ValueError(f"a picture is (3, H, W), not {tuple(picture.shape)}")
    reach = sharpening.reach_px
    rows = picture.detach().to("cpu", torch.float32).numpy()
    return torch.from_numpy(sharpen_rows(np.pad(rows, ((0, 0), (reach, reach), (0, 0)), mode="reflect"), sharpening))


def sharpen_rows(rows: Plane, sharpening: Sharpening) -> Plane:
    """Sharpen (3, h + 2 reach, W) rows, of which the outer `reach_px` above and below only look on, to (3, h, W)."""
    reach = sharpening.reach_px
    height, width = rows.shape[1] - 2 * reach, rows.shape[2]
    block = max(1, _BLOCK_PIXELS // width)
    done = np.empty((3, height, width), np.float32)
    for top in range(0, height, block):
        bottom = min(top + block, height)
        done[:, top:bottom] = _sharpen_block(rows[:, top : bottom + 2 * reach], sharpening)
    return done


def _sharpen_block(rows: Plane, sharpening: Sharpening) -> Plane:
    """`sharpen_rows` for rows that fit into the cache.

    Sums are written out in single steps: a pixel then has the same last bit whatever strip it comes in, which a
    library's blur, free to fuse and to split as it likes, does not promise.
    """
    reach = sharpening.reach_px
    own = rows[:, reach : rows.shape[1] - reach]
    luma: Plane = rows[0] * _WEIGHTS[0] + rows[1] * _WEIGHTS[1] + rows[2] * _WEIGHTS[2]  # (h + 2 reach, W)
    middle = luma[reach : luma.shape[0] - reach]  # (h, W)
    kernel = _half_gaussian(sharpening.radius_px, reach)
    blurred = _blur_down(luma, kernel)  # (h, W)
    blurred = _blur_down(np.pad(blurred, ((0, 0), (reach, reach)), mode="reflect").T, kernel).T
    difference = middle - blurred
    # Luma in [-1, 1] has a range of 2; the knobs are shares of it.
    shrunk = np.maximum(np.abs(difference) - np.float32(2 * sharpening.threshold), 0)
    gain: Plane = np.copysign(shrunk, difference) * np.float32(sharpening.amount)
    if sharpening.halo is not None:
        low, high = _extremes(luma, sharpening)
        room = np.float32(2 * sharpening.halo)
        gain = np.clip(gain, low - room - middle, high + room - middle)
    sharpened: Plane = np.clip(own + gain, -1, 1)
    return sharpened


def _extremes(luma: Plane, sharpening: Sharpening) -> tuple[Plane, Plane]:
    """Darkest and lightest luma within the radius (a square) of each inner pixel: two (h, W)."""
    near, reach = math.ceil(sharpening.radius_px), sharpening.reach_px
    window = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    inner = slice(reach, luma.shape[0] - reach)
    # Pixels beyond the edge do not count, which is the same as mirroring.
    low, high = cv2.erode(luma, window), cv2.dilate(luma, window)
    return low[inner].astype(np.float32, copy=False), high[inner].astype(np.float32, copy=False)


def _blur_down(plane: Plane, kernel: Plane) -> Plane:
    """Weighted mean over columns: (h + 2 reach, W) to (h, W) with the half kernel (reach + 1,)."""
    reach = len(kernel) - 1
    height = plane.shape[0] - 2 * reach
    total: Plane = plane[reach : reach + height] * kernel[0]
    for step in range(1, reach + 1):
        above, below = plane[reach - step :][:height], plane[reach + step :][:height]
        total += (above + below) * kernel[step]
    return total


def _half_gaussian(sigma: float, reach: int) -> Plane:
    """Weights from the middle outwards (reach + 1,), which sum to 1 when all but the first count twice."""
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    return weights.astype(np.float32)
