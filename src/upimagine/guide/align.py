"""A face brought to where all faces lie: eyes level, at one place, at one size."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from upimagine.guide.face import Face
from upimagine.pixels.resizing import resize_antialiased

#: Mean eyes of the portraits that portrait-128 learned from, (y, x) in sides of the picture, left one first.
EYES = ((0.441, 0.383), (0.441, 0.615))


def aligned(picture: Tensor, face: Face, size_px: int) -> Tensor:
    """(3, H, W) in [-1, 1] to (3, size_px, size_px) by rotation, scale and shift alone, so that the eyes lie at `EYES`.

    The picture is reduced first, anti-aliased, where it is larger; what lies beyond its edges is mirrored.
    """
    ends = np.array(EYES)[:, ::-1] * size_px - 0.5  # (x, y) of pixel centres
    starts = np.stack([face.points68[36:42].mean(0), face.points68[42:48].mean(0)])[:, ::-1].astype(np.float64)
    scale = np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(starts[1] - starts[0])
    if scale < 1:
        height, width = (max(1, round(px * scale)) for px in picture.shape[1:])
        ratio = np.array([width / picture.shape[2], height / picture.shape[1]])
        picture, starts = resize_antialiased(picture[None], (height, width))[0], (starts + 0.5) * ratio - 0.5
    matrix = _similarity(starts, ends)
    pixels = np.ascontiguousarray(picture.permute(1, 2, 0).float().numpy())
    warped = cv2.warpAffine(
        pixels, matrix, (size_px, size_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return torch.from_numpy(warped).permute(2, 0, 1).clamp(-1, 1).contiguous()


def _similarity(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The 2x3 matrix that takes two points (x, y) to two others; as complex numbers it is one factor and one shift."""
    (s0, s1), (e0, e1) = (points[:, 0] + 1j * points[:, 1] for points in (starts, ends))
    factor = (e1 - e0) / (s1 - s0)
    shift = e0 - factor * s0
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
