"""Aligning a face: the square about it in which eyes are level and the mouth is at one place, as a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from upimagine.data.quality.arrays import Rgb8

Points = NDArray[np.float32]
"""(P, 2) points as (y, x) in pixels; the picture spans [0, H] x [0, W]."""

_EYES = (slice(36, 42), slice(42, 48))  # of the iBUG order; the one at the left of the picture first
_MOUTH_CORNERS = (48, 54)
_FADE = 0.3  # of the square's side: how far beyond the picture's border its colour has become the median
_SMEAR = 0.02  # of the square's side: sigma of the blur out there
_LEAST_STEP = 2.0  # picture pixels a result pixel; larger pictures are reduced first


def face_square(points68: Points) -> NDArray[np.float64]:
    """Corners of the square that CelebA-HQ cuts about a face (Karras et al. 2017, 1710.10196, appendix C).

    Its x axis is the mean of the line of the eyes and the normal to the line from eyes to mouth, its half side the
    larger of 2 eye distances and 1.8 distances from eyes to mouth, its centre a tenth of the way from eyes to mouth.

    Args:
        points68: (68, 2) as (y, x), iBUG order.

    Returns:
        (3, 2) as (y, x): upper left, upper right, lower left. The eyes, or what is called so, must not coincide with
        the mouth: then it is no square, and holds NaN.
    """
    points = points68.astype(np.float64)[:, ::-1]  # (x, y), as the formulas have it
    left, right = (points[part].mean(axis=0) for part in _EYES)
    eyes, mouth = (left + right) / 2, points[list(_MOUTH_CORNERS)].mean(axis=0)
    between, down = right - left, mouth - eyes
    across = between - _turned(down)
    with np.errstate(invalid="ignore"):
        across = across / np.hypot(*across) * max(2.0 * np.hypot(*between), 1.8 * np.hypot(*down))
    along, centre = _turned(across), eyes + 0.1 * down
    corners = np.stack([centre - across - along, centre + across - along, centre - across + along])
    return np.ascontiguousarray(corners[:, ::-1])


def side_px(square: NDArray[np.float64]) -> float:
    """Side of a square as `face_square` gives it."""
    return float(np.hypot(*(square[1] - square[0])))


def cut_square(picture: Rgb8, square: NDArray[np.float64], size_px: int) -> Rgb8:
    """Resample a square, which may be turned and reach beyond the picture, to (size_px, size_px, 3).

    Beyond the border stands the picture's mirror image, which blurs and fades to the median colour, as in CelebA-HQ.
    Reduced squares are means over areas; enlarged ones are cubic.
    """
    picture, square = _reduced(picture, square, size_px)
    picture, square = _with_surroundings(picture, square)
    fine = max(
        1, int(np.ceil(side_px(square) / size_px - 0.01))
    )  # samples a pixel and axis, so that none is passed over
    large = size_px * fine
    across, down = (square[1] - square[0]) / large, (square[2] - square[0]) / large
    start = square[0] + (across + down) / 2 - 0.5  # cv2 has pixel centres at whole numbers
    warp = np.stack([across[::-1], down[::-1], start[::-1]], axis=1)  # (2, 3), to (x, y)
    cubic = side_px(square) < large
    flags = (cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, warp, (large, large), flags=flags, borderMode=cv2.BORDER_REFLECT)
    if fine > 1:
        cut = cv2.resize(cut, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cut, np.uint8)


def in_square(points: Points, square: NDArray[np.float64], size_px: int) -> Points:
    """Where points (y, x) of the picture stand in the square cut to `size_px`."""
    across, down = square[1] - square[0], square[2] - square[0]
    offsets = points - square[0]
    scale = size_px / float(across @ across)
    return np.stack([offsets @ down * scale, offsets @ across * scale], axis=1).astype(np.float32)


def _turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """(x, y) by a quarter: from right to down."""
    return np.array([-vector[1], vector[0]])


def _reduced(picture: Rgb8, square: NDArray[np.float64], size_px: int) -> tuple[Rgb8, NDArray[np.float64]]:
    step = side_px(square) / size_px
    if step <= _LEAST_STEP:
        return picture, square
    height, width = picture.shape[:2]
    size = max(1, round(height * _LEAST_STEP / step)), max(1, round(width * _LEAST_STEP / step))
    small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), square * (np.array(size) / (height, width))


def _with_surroundings(picture: Rgb8, square: NDArray[np.float64]) -> tuple[Rgb8, NDArray[np.float64]]:
    """What the square covers, and a border where it reaches beyond the picture."""
    corners = np.concatenate([square, [square[1] + square[2] - square[0]]])
    size = np.array(picture.shape[:2])
    low, high = np.floor(corners.min(axis=0)).astype(int) - 2, np.ceil(corners.max(axis=0)).astype(int) + 2
    side = side_px(square)
    beyond = np.maximum(0, np.concatenate([-low, high - size]))  # above, left, below, right
    if (beyond <= 2).all():  # the margin alone
        low, high = np.maximum(low, 0), np.minimum(high, size)
        return picture[low[0] : high[0], low[1] : high[1]], square - low
    inner_low, inner_high = np.clip(low, 0, size - 1), np.clip(high, 1, size)
    # The border must know all of the picture that it mirrors.
    reach = int(beyond.max())
    from_, to = np.maximum(inner_low - reach, 0), np.minimum(inner_high + reach, size)
    above, left, below, right = (int(each) for each in beyond)
    part = picture[from_[0] : to[0], from_[1] : to[1]]
    padded = cv2.copyMakeBorder(part, above, below, left, right, cv2.BORDER_REFLECT).astype(np.float32)
    ways = np.zeros(padded.shape[:2], np.float32)  # how far beyond the border, for the fade's length
    length = max(_FADE * side, 1.0)
    rows, columns = (np.arange(each, dtype=np.float32) + 0.5 for each in padded.shape[:2])
    for distances in (
        (above - rows)[:, None],
        (rows - (padded.shape[0] - below))[:, None],
        (left - columns)[None],
        (columns - (padded.shape[1] - right))[None],
    ):
        ways = np.maximum(ways, distances / length)
    ways = ways[..., None]
    smeared = cv2.GaussianBlur(padded, (0, 0), max(_SMEAR * side, 0.5))
    padded += (smeared - padded) * np.clip(ways * 3, 0, 1)
    padded += (np.median(part, axis=(0, 1)) - padded) * np.clip(ways, 0, 1)
    origin = from_ - np.array([above, left])
    return np.clip(np.round(padded), 0, 255).astype(np.uint8), square - origin
