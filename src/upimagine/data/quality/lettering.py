"""Lettering along the upper and lower border: captions, signatures, watermarks."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey

_SIDE_PX = 512
_CONTRAST = 50  # levels of 255 between a stroke and its ground
_BRIDGE_PX = 13  # letters closer than this make one line
_BAND = 0.2  # of the height, at the top and at the bottom
_HEIGHTS_PX = (6, 50)
_LONGEST_HEIGHT = 3  # a line of letters is at least so many times as long as high
_FULL = 0.5  # of its box
_STROKES = 1.5  # changes between ink and ground along a stretch as long as the line is high


def lettering(grey: Grey) -> float:
    """Length of the longest line of letters in the upper or lower fifth, for the picture's width: 0 to 1.

    Strokes found by their edges are bridged to lines; a line counts if it is long, low, filled and changes often
    between ink and ground (the usual morphological text finder). Sees plain captions of good contrast; faint
    watermarks across the picture, and lettering upright along the sides, it does not see.
    """
    scale = _SIDE_PX / max(grey.shape)
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = np.clip(cv2.resize(grey, size, interpolation=way), 0, 255).astype(np.uint8)
    edges = cv2.morphologyEx(
        picture, cv2.MORPH_GRADIENT, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    )  # fmt: skip
    ink = (edges > _CONTRAST).astype(np.uint8)
    lines = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_RECT, (_BRIDGE_PX, 1)))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(lines)
    longest = max((int(box[2]) for box in boxes[1:] if _is_line(picture, box)), default=0)  # the first is the ground
    return float(longest / size[0])


def _is_line(picture: np.ndarray, box: np.ndarray) -> bool:
    left, top, width, height, area = map(int, box)
    middle = (top + height / 2) / len(picture)
    if _BAND < middle < 1 - _BAND or not _HEIGHTS_PX[0] <= height <= _HEIGHTS_PX[1]:
        return False
    if width < _LONGEST_HEIGHT * height or area < _FULL * width * height:
        return False
    inside = picture[top : top + height, left : left + width].astype(np.float32)
    changes = np.abs(np.diff((inside > inside.mean()).astype(np.int8), axis=1)).sum(axis=1).mean()
    return float(changes) * height / width >= _STROKES
