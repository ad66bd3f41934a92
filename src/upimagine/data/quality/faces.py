"""Faces: how many there are, how far the largest is turned, whether its eyes and mouth can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from upimagine.data.align import cut_square, face_square, in_square, side_px
from upimagine.data.landmarks import Landmarks
from upimagine.data.quality.arrays import Rgb8

FACE_COUNT = "faces"
"""The measure that tells whether faces were looked for at all."""

_NOSE_TIP = 30
_EYES = (slice(36, 42), slice(42, 48))
_MOUTH = slice(48, 60)
_ALIGNED_PX = 64
_AROUND_EYES, _IN_EYES, _AROUND_MOUTH = 2.0, 1.6, 1.3
_TEMPLES = (slice(0, 3), slice(14, 17))  # the ends of the jaw line


def face_scores(faces: Sequence[Landmarks]) -> dict[str, float | None]:
    """`faces`, their number, and of the first `turn`, `face_score` and `features`, None where there is no face."""
    return {
        FACE_COUNT: float(len(faces)),
        "turn": turn(faces[0].points68) if faces else None,
        "face_score": faces[0].score if faces else None,
        "features": faces[0].features if faces else None,
    }


def features(rgb: Rgb8, points68: NDArray[np.float32]) -> float | None:
    """How clearly the faintest of eyes and mouth shows: around 1 for a free face, less behind glasses, masks, hair.

    In the aligned face at 64 px: mean gradient in the region, for that of the whole face; of the eyes also twice their
    contrast, for the face's (black glasses have edges, but nothing in them). Our own measure. None for a point as face.
    """
    square = face_square(points68)
    if not side_px(square) >= 1:  # not a number where eyes and mouth are one
        return None
    grey = cv2.cvtColor(cut_square(rgb, square, _ALIGNED_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)
    points = in_square(points68, square, _ALIGNED_PX)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    face = _inside(points, 1.0)
    eyes = [_inside(points[eye], _AROUND_EYES) for eye in _EYES]
    narrow = [_inside(points[eye], _IN_EYES) for eye in _EYES]
    mouth = _inside(points[_MOUTH], _AROUND_MOUTH)
    if not all(region.any() for region in (face, *eyes, *narrow, mouth)):
        return None
    edges = min(float(steep[region].mean()) for region in (*eyes, mouth)) / (float(steep[face].mean()) + 1)
    contrast = min(float(grey[region].std()) for region in narrow) / (float(grey[face].std()) + 1)
    return min(edges, 2 * contrast)


def _inside(points: NDArray[np.float32], grown: float) -> NDArray[np.bool_]:
    """(64, 64): the hull of the points, grown about its middle."""
    middle = points.mean(axis=0)
    hull = cv2.convexHull(((points - middle) * grown + middle)[:, ::-1].astype(np.float32))
    mask = np.zeros((_ALIGNED_PX, _ALIGNED_PX), np.uint8)
    cv2.fillPoly(mask, [np.round(hull).astype(np.int32)], 1)
    return mask > 0


def turn(points68: NDArray[np.float32]) -> float:
    """How far a face looks aside: 0 straight ahead, 1 where the tip of the nose stands over one end of the jaw.

    Along the line of the eyes, the difference of the nose's distances to both ends of the jaw, for their sum. 0.5
    is a turn of about 17 degrees, 0.9 one of about 30.
    """
    eyes = points68[_EYES[1]].mean(axis=0) - points68[_EYES[0]].mean(axis=0)
    along = points68 @ (eyes / max(float(np.linalg.norm(eyes)), 1e-6))
    right, left = along[_TEMPLES[0]].mean(), along[_TEMPLES[1]].mean()
    width = max(float(left - right), 1e-6)
    return min(abs(float(left + right - 2 * along[_NOSE_TIP])) / width, 2.0)
