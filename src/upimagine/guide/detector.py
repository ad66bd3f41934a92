"""Where faces are: MediaPipe's short-range BlazeFace (Bazarevsky et al. 2019, 1907.05047) over a pyramid of windows."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from upimagine.guide.face import Points, Rgb8
from upimagine.guide.tflite import Floats, network

WINDOW_PX = 128
_SCORE_FLOOR = 0.5  # MediaPipe's own
_OVERLAP_LIMIT = 0.3  # of intersection over union: above it, two finds are one face (MediaPipe's own)
_MARGINS = (1.0, 1.5, 2.0)  # view side for a picture side, tried until one finds a face
_FINEST_WINDOW_PX = 192  # windows of the original are not cut smaller than this: finer ones find texture, not faces
_FINEST_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Detection:
    """A face found by the detector, in pixels of the picture; points as (y, x)."""

    score: float
    box: Floats  # (4,) y0, x0, y1, x1
    eyes: Points  # (2, 2) the subject's right eye, then the left


def detect(picture: Rgb8) -> list[Detection]:
    """Every face that spans about a sixth of the picture, or of the finest window that fits, or more; surest first.

    The whole picture is looked at first; where that finds nothing, again with a reflected border of a quarter and of
    a half around it, because a face that fills the frame is larger than the network knows. Large pictures are also
    looked at in half-overlapping windows of a half and a quarter of their longer side.
    """
    long_px = max(picture.shape[:2])
    finds: list[Detection] = []
    for margin in _MARGINS:
        finds = _look(picture, window_px=margin * long_px)
        if finds:
            break
    level = 2
    while level <= _FINEST_LEVEL and long_px / level >= _FINEST_WINDOW_PX:
        finds += _look(picture, window_px=long_px / level)
        level *= 2
    return _merge(finds)


def _look(picture: Rgb8, window_px: float) -> list[Detection]:
    """Slide a window of that many picture pixels, by halves, and detect in each."""
    height, width = picture.shape[:2]
    rows, columns = (max(1, round(side * WINDOW_PX / window_px)) for side in (height, width))
    shrinks = window_px >= WINDOW_PX
    view = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    # Letterbox each side to whole half-windows. Narrow bars stay black as the network was trained; a border that
    # stands for the missing surroundings of a tight face is reflected.
    wide_border = window_px > max(height, width)
    above, below = _bars(rows)
    left, right = _bars(columns)
    border = cv2.BORDER_REFLECT if wide_border else cv2.BORDER_CONSTANT
    view = cv2.copyMakeBorder(view, above, below, left, right, border)
    scale = np.array([height / rows, width / columns], np.float32)
    finds: list[Detection] = []
    half = WINDOW_PX // 2
    for top in range(0, view.shape[0] - half, half):
        for start in range(0, view.shape[1] - half, half):
            window: Rgb8 = np.asarray(view[top : top + WINDOW_PX, start : start + WINDOW_PX], np.uint8)
            boxes, scores = _run(window)
            corner = np.array([top - above, start - left], np.float32)
            points = (boxes + corner) * scale  # (K, 4, 2) (y, x) in the picture
            for point, score in zip(points, scores, strict=True):
                centre = (point[0] + point[1]) / 2
                if (centre >= 0).all() and centre[0] <= height and centre[1] <= width:  # no reflected ghosts
                    finds.append(Detection(float(score), point[:2].reshape(4), point[2:]))
    return finds


def _bars(side_px: int) -> tuple[int, int]:
    """Pixels to add before and after so that half-overlapping windows cover the side exactly."""
    half = WINDOW_PX // 2
    missing = max(WINDOW_PX, -(-side_px // half) * half) - side_px
    return missing // 2, missing - missing // 2


def _run(window: Rgb8) -> tuple[Floats, Floats]:
    """(128, 128, 3) to (K, 4, 2) points (two box corners, right eye, left eye) as (y, x) pixels, and (K,) scores."""
    batch = window[None].astype(np.float32) / 127.5 - 1
    regressors, logits = network("face_detection_short_range.tflite")(batch)
    scores: Floats = (1 / (1 + np.exp(-np.clip(logits.reshape(-1), -60, 60)))).astype(np.float32)
    sure = np.flatnonzero(scores >= _SCORE_FLOOR)
    values = regressors.reshape(-1, 8, 2)[sure][..., ::-1]  # rows: centre, size, six key points; (x, y) to (y, x)
    anchors = _anchors()[sure]
    centre, size = values[:, 0] + anchors, values[:, 1]
    eyes = values[:, 2:4] + anchors[:, None]
    corners = np.stack([centre - size / 2, centre + size / 2], axis=1)
    return np.concatenate([corners, eyes], axis=1), scores[sure]


@functools.cache
def _anchors() -> Floats:
    """(896, 2) anchor centres (y, x) in window pixels: 2 a cell of a 16 x 16 grid, then 6 a cell of an 8 x 8 grid."""
    grids = []
    for cells, anchors_a_cell in ((16, 2), (8, 6)):
        centres = (np.arange(cells, dtype=np.float32) + 0.5) * (WINDOW_PX / cells)
        grid = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)
        grids.append(np.repeat(grid, anchors_a_cell, axis=0))
    return np.concatenate(grids)


def _merge(finds: list[Detection]) -> list[Detection]:
    """Weighted non-maximum suppression (1907.05047, §4.2): overlapping finds are averaged by score."""
    left = sorted(finds, key=lambda find: find.score, reverse=True)
    merged: list[Detection] = []
    while left:
        same = [find for find in left if overlap(left[0].box, find.box) > _OVERLAP_LIMIT or find is left[0]]
        left = [find for find in left if not any(find is other for other in same)]
        weights = np.array([find.score for find in same], np.float32)
        weights /= weights.sum()
        box = np.tensordot(weights, np.stack([find.box for find in same]), 1)
        eyes = np.tensordot(weights, np.stack([find.eyes for find in same]), 1)
        merged.append(Detection(same[0].score, box, eyes))
    return merged


def overlap(box: Floats, other: Floats) -> float:
    """Intersection over union of two boxes (y0, x0, y1, x1)."""
    y0, x0, y1, x1 = box.tolist()  # numpy takes twenty times as long for four numbers
    v0, u0, v1, u1 = other.tolist()
    shared = max(0.0, min(y1, v1) - max(y0, v0)) * max(0.0, min(x1, u1) - max(x0, u0))
    areas = (y1 - y0) * (x1 - x0) + (v1 - v0) * (u1 - u0)
    return float(shared / max(areas - shared, 1e-9))
