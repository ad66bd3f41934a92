"""Painting the 68 points as a guide: flat colours an upscaler can read, the same for left and right.

The idea is Tyka's ("Portraits of imaginary people", 2017: landmarks drawn in colour beside the picture); his palette
was not published. Left and right features share a colour, so that a mirrored raster is the raster of the mirrored
face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.guide import points as ibug
from upimagine.guide.face import Points

Style = Literal["rgb", "channels"]

FEATURES = ("face", "brows", "nose", "eyes", "lips", "mouth")
"""In painter's order: later ones hide earlier ones. Label k + 1 is FEATURES[k]; label 0 is the background."""

# A table of 256 labels, of which the first seven are used, as cv2.LUT wants it.
_RGB = np.zeros((256, 3), np.float32)
_RGB[:7] = [(0, 0, 0), (64, 64, 64), (255, 255, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0), (255, 0, 255)]
_ONE_HOT = np.zeros((256, 6), np.float32)
_ONE_HOT[1:7] = np.eye(6) * 255

_FINER = 8  # painted pixels for a raster pixel, along a side
_SUB_BITS = 4  # painting coordinates are fixed-point, in sixteenths of a painted pixel
_UNITS = _FINER << _SUB_BITS  # of those in a raster pixel
_BAND_PX = 64  # raster rows coloured at once: the labels take 64 bytes a raster pixel, colours would take 256
_BROW_WIDTH = 0.03  # of the face's size
_FOREHEAD = 0.25  # the brow line is raised by this share of the way from the chin to the brows

_Fixed = NDArray[np.int64]  # (P, 2) points (y, x) in units


def channels(style: Style) -> int:
    """Channels of a raster in that style: 3 for ``rgb``, 6 (one a feature) for ``channels``.

    Raises:
        UpimagineError: there is no such style.
    """
    if style not in get_args(Style):
        raise UpimagineError(f"guide style {style!r} is unknown: use one of {', '.join(get_args(Style))}")
    return len(FEATURES) if style == "channels" else 3


def draw(points68: Points | Sequence[Points], height: int, width: int, style: Style = "rgb") -> Tensor:
    """Paint one face, (68, 2), or several, the last one in front, as (C, height, width) in [-1, 1].

    Points are (y, x) in pixels of the raster and may lie outside it. Edges are anti-aliased over 8 x 8 samples a
    pixel. The raster of mirrored points (:func:`upimagine.guide.points.mirror`) is the mirrored raster, bit for bit.

    Raises:
        UpimagineError: the style is unknown, the size is not positive, or the points are not finite (68, 2).
    """
    if height < 1 or width < 1:
        raise UpimagineError(f"a guide of {width} x {height} pixels has no area: give a size of at least 1 x 1")
    colours = _RGB if channels(style) == 3 else _ONE_HOT  # (labels, C)
    faces = [points68] if isinstance(points68, np.ndarray) and points68.ndim == 2 else list(points68)
    ahead, mirrored = [], []
    for face in faces:
        if face.shape != (68, 2) or not np.isfinite(face).all():
            raise UpimagineError(f"a guide needs 68 finite (y, x) points, got shape {face.shape}: check the landmarks")
        fixed = np.rint(face.astype(np.float64) * _UNITS).astype(np.int64)
        ahead.append(fixed)
        mirrored.append(_mirror(fixed, width * _UNITS))
    # The painter below favours one side by a painted pixel here and there. Painting the mirrored face too and
    # averaging makes the raster the same for both, so that a flipped candidate sees exactly a flipped guide.
    both = _paint(ahead, height, width, colours) + _paint(mirrored, height, width, colours)[:, ::-1]
    raster = torch.from_numpy(np.ascontiguousarray(both.transpose(2, 0, 1)))
    return raster.div_(255).sub_(1)  # two rasters in 0 to 255 were added


def _mirror(fixed: _Fixed, width_units: int) -> _Fixed:
    mirrored = fixed[list(ibug.MIRROR)]
    mirrored[:, 1] = width_units - mirrored[:, 1]
    return mirrored


def _paint(faces: list[_Fixed], height: int, width: int, colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(height, width, C) in 0 to 255."""
    labels = np.zeros((height * _FINER, width * _FINER), np.uint8)
    for face in faces:
        _label(labels, face)
    out = np.empty((height, width, colours.shape[1]), np.float32)
    for top in range(0, height, _BAND_PX):
        rows = min(_BAND_PX, height - top)
        band = labels[top * _FINER : (top + rows) * _FINER]
        for index, plane in enumerate(colours.T):
            fine = cv2.LUT(band, np.ascontiguousarray(plane))
            out[top : top + rows, :, index] = cv2.resize(fine, (width, rows), interpolation=cv2.INTER_AREA)
    return out


def _label(labels: NDArray[np.uint8], face: _Fixed) -> None:
    """Paint one face's features into the (rows, columns) label map, each over the ones before."""
    brow_line = face[list(ibug.BROWS[0] + ibug.BROWS[1])]
    up = brow_line.mean(axis=0) - face[ibug.CHIN]
    forehead = np.rint(brow_line + _FOREHEAD * up).astype(np.int64)
    jaw = face[list(ibug.JAW)]
    size = max(float(np.hypot(*up)), float(np.hypot(*(jaw[-1] - jaw[0]))))
    brow_px = max(1, round(_BROW_WIDTH * size / (1 << _SUB_BITS)))
    line_px = max(1, round(0.5 * _BROW_WIDTH * size / (1 << _SUB_BITS)))

    _fill(labels, np.concatenate([jaw, forehead[::-1]]), 1)
    for brow in ibug.BROWS:
        _line(labels, face[list(brow)], brow_px, 2)
    _line(labels, face[list(ibug.NOSE_BRIDGE)], line_px, 3)
    _fill(labels, face[[ibug.NOSE_BRIDGE[0], *ibug.NOSE_BASE]], 3)
    for eye in ibug.EYES:
        _fill(labels, face[list(eye)], 4)
    _fill(labels, face[list(ibug.LIPS_OUTER)], 5)
    _fill(labels, face[list(ibug.LIPS_INNER)], 6)


def _fill(labels: NDArray[np.uint8], polygon: _Fixed, label: int) -> None:
    cv2.fillPoly(labels, [_for_cv2(polygon)], label, shift=_SUB_BITS)


def _line(labels: NDArray[np.uint8], line: _Fixed, thickness_px: int, label: int) -> None:
    cv2.polylines(labels, [_for_cv2(line)], False, label, thickness=thickness_px, shift=_SUB_BITS)


def _for_cv2(points: _Fixed) -> NDArray[np.int32]:
    """(x, y), and pixel centres at whole numbers instead of halves."""
    return (points[:, ::-1] - (1 << _SUB_BITS) // 2).astype(np.int32)
