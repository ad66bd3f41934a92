"""Two pictures of one place that disagree, joined along the line where they disagree least."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_FEATHER_PX = 4
"""Half width of the transition round a cut."""
_TAPER_PX = 8
"""Within this of its ends a join must have become the one picture, or the other."""


def minimum_cuts(costs: Floats) -> npt.NDArray[np.intp]:
    """The cheapest path through each of costs (n, steps, places), one place a step, neighbours at most one place apart:
    (n, steps).

    The minimum error boundary cut of Efros and Freeman 2001, by dynamic programming. Ties go to the lower place.
    """
    count, steps, places = costs.shape
    # Steps first: each is one run of memory, for all cuts at once.
    total = costs.transpose(1, 0, 2).copy()
    padded = np.full((count, places + 2), np.inf, dtype=costs.dtype)
    cheapest = np.empty((count, places), dtype=costs.dtype)
    for step in range(1, steps):
        padded[:, 1:-1] = total[step - 1]
        np.minimum(padded[:, :-2], padded[:, 1:-1], out=cheapest)
        np.minimum(cheapest, padded[:, 2:], out=cheapest)
        total[step] += cheapest
    path = np.empty((count, steps), dtype=np.intp)
    path[:, -1] = np.argmin(total[-1], axis=1)
    every, near = np.arange(count)[:, None], np.arange(-1, 2)
    for step in range(steps - 2, -1, -1):
        around = path[:, step + 1, None] + near  # (n, 3)
        beside = total[step][every, around.clip(0, places - 1)]
        beside[(around < 0) | (around >= places)] = np.inf
        path[:, step] = path[:, step + 1] - 1 + np.argmin(beside, axis=1)
    return path


def cuts(first: Floats, second: Floats, avoid: Floats | None = None, rim_px: int = 0) -> npt.NDArray[np.intp]:
    """Where to go over from first to second, (n, length, width, 3) each: for every row the first place that is of the
    second, (n, length).

    Through the middle half of the width, where the pictures differ least and, if it can, round the pixels that `avoid`
    (n, length, width) makes dear. Where the width allows it, what lies within `rim_px` of either end comes from one
    picture alone: the one for which it is not the rim.
    """
    count, length, width = first.shape[:3]
    margin = max(width // 4, rim_px + _FEATHER_PX if rim_px else 0)
    if width < max(4, 2 * margin + 1):
        return np.full((count, length), width // 2)
    middle = slice(margin, width - margin)
    costs: Floats = np.square(second[:, :, middle] - first[:, :, middle]).sum(axis=3)
    if avoid is not None:
        costs += avoid[:, :, middle]
    where: npt.NDArray[np.intp] = minimum_cuts(costs) + margin
    return where


def join(first: Floats, second: Floats, where: npt.NDArray[np.intp], *, multiband: bool) -> Floats:
    """Go over from first to second, both (length, width, 3) of the same place, at `where` (length) as `cuts` says.

    Round the cut either a narrow ramp, or (`multiband`, after Burt and Adelson 1983) each band of frequencies goes over
    as wide as its waves are: detail abruptly, tone softly. Towards either end the join becomes the one picture or the
    other. Equal pictures come back exactly.
    """
    width = first.shape[1]
    difference = second - first
    side = (np.arange(width) >= where[:, None]).astype(np.float32)  # 0: first, 1: second
    changed = _bands(difference, side) if multiband else difference * _soft(side, _FEATHER_PX)[..., None]
    taper_px = min(_TAPER_PX, width // 4)
    rising = ((np.arange(taper_px) + 0.5) / max(taper_px, 1)).astype(np.float32)[None, :, None]
    changed[:, :taper_px] *= rising
    joined: Floats = first + changed
    last = slice(width - taper_px, width)
    joined[:, last] = second[:, last] + (joined[:, last] - second[:, last]) * rising[:, ::-1]
    return joined


def _soft(side: Floats, half_px: int) -> Floats:
    """A step made into a ramp across it."""
    size = 2 * half_px + 1
    soft: Any = cv2.blur(side, (size, 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32)


def _bands(difference: Floats, side: Floats) -> Floats:
    """What of the difference is added, band by band: Σ g_k(side) · L_k(difference), collapsed."""
    levels = max(1, int(np.log2(max(min(difference.shape[:2]), 2))) - 1)
    weights: Any = _soft(side, 1)
    rest: Any = difference
    kept: list[tuple[Any, tuple[int, int]]] = []
    for _ in range(levels):
        smaller = cv2.pyrDown(rest, borderType=cv2.BORDER_REFLECT)
        size = (rest.shape[1], rest.shape[0])
        kept.append(((rest - cv2.pyrUp(smaller, dstsize=size)) * weights[..., None], size))
        rest, weights = smaller, cv2.pyrDown(weights, borderType=cv2.BORDER_REPLICATE)
    result: Any = rest * weights[..., None]
    for band, size in reversed(kept):
        result = cv2.pyrUp(result, dstsize=size) + band
    collapsed: Floats = result
    return collapsed
