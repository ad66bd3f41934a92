"""Where each feature of a face is: MediaPipe's 468-point mesh (Kartynnik et al. 2019, 1907.06724)."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.guide.detector import Detection, detect
from upimagine.guide.face import Face, Points, Rgb8
from upimagine.guide.points import from_mesh
from upimagine.guide.tflite import network

CROP_PX = 192
_ENLARGE = 1.5  # crop side for a box side
_PRESENCE_FLOOR = 0.5
_EYE_CORNERS = (33, 263)  # outer corners of the subject's right and left eye


def find_faces(picture: Rgb8, refined: bool = True) -> list[Face]:
    """Every face in (H, W, 3) uint8 RGB, largest first; an empty list where there is none.

    Unrefined, the mesh is fitted in the detector's box only: points lie about a fiftieth of the eyes' distance off, in
    two thirds of the time.
    """
    faces: list[Face] = []
    for detection in detect(picture):
        face = _locate(picture, detection, refined)
        if face is not None:
            faces.append(face)
    faces.sort(key=lambda face: face.size_px, reverse=True)
    # Two detections of one face converge on the same mesh, and a window may take an eye for a face.
    kept: list[Face] = []
    for face in faces:
        y0, x0, y1, x1 = face.box
        y, x = (y0 + y1) / 2, (x0 + x1) / 2
        if not any(f.box[0] <= y <= f.box[2] and f.box[1] <= x <= f.box[3] for f in kept):
            kept.append(face)
    return kept


def _locate(picture: Rgb8, detection: Detection, refined: bool) -> Face | None:
    """Fit the mesh twice: in the detector's box, then in the box of the first fit, as MediaPipe's tracker does."""
    corners = detection.box.reshape(2, 2)
    turn = _turn(detection.eyes)
    mesh, presence = _fit(picture, corners.mean(axis=0), corners[1] - corners[0], turn)
    if refined and presence >= _PRESENCE_FLOOR:
        turn = _turn(mesh[list(_EYE_CORNERS)])
        flat = mesh @ turn  # row vectors, so this turns back: the eyes are level
        low, high = flat.min(axis=0), flat.max(axis=0)
        mesh, presence = _fit(picture, turn @ ((low + high) / 2), high - low, turn)
    if presence < _PRESENCE_FLOOR:
        return None
    (y0, x0), (y1, x1) = mesh.min(axis=0).tolist(), mesh.max(axis=0).tolist()
    return Face(from_mesh(mesh), presence * detection.score, (y0, x0, y1, x1))


def _turn(eyes: Points) -> Points:
    """(2, 2) rotation that takes offsets (y, x) in a crop whose eyes are level to offsets in the picture."""
    dy, dx = eyes[1] - eyes[0]
    angle = np.arctan2(dy, dx)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]], np.float32)


def _fit(picture: Rgb8, centre: Points, sides: Points, turn: Points) -> tuple[Points, float]:
    """The mesh (468, 2) in picture pixels and the probability of a face, from a square crop about ``centre``."""
    axes = turn * (float(sides.max()) * _ENLARGE / CROP_PX)  # crop pixels to picture pixels
    crop = _sample(picture, centre, axes)
    mesh, logit = network("face_landmark.tflite")(crop[None].astype(np.float32) / np.float32(255))
    offsets = mesh.reshape(-1, 3)[:, 1::-1] - CROP_PX / 2  # (468, 2) (y, x); the third number is depth
    presence = 1 / (1 + float(np.exp(-np.clip(logit.item(), -60, 60))))
    return (offsets @ axes.T + centre).astype(np.float32), presence


def _sample(picture: Rgb8, centre: Points, axes: Points) -> Rgb8:
    """(CROP_PX, CROP_PX, 3) about ``centre``; ``axes`` takes crop offsets (y, x) to picture offsets."""
    step = float(np.hypot(*axes[0]))
    shrink = max(1.0, step)
    height, width = picture.shape[:2]
    if shrink > 1:  # area-average first: the warp itself would alias
        rows, columns = max(1, round(height / shrink)), max(1, round(width / shrink))
        picture = np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        scale = np.array([rows / height, columns / width], np.float32)
        centre, axes = centre * scale, axes * scale[:, None]
    # cv2 wants (x, y) and pixel centres at whole numbers.
    matrix = axes[::-1, ::-1]
    middle = np.full(2, CROP_PX / 2 - 0.5)
    shift = centre[::-1] - 0.5 - matrix @ middle
    warp = np.concatenate([matrix, shift[:, None]], axis=1).astype(np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP if step >= 1 else cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(picture, warp, (CROP_PX, CROP_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)
