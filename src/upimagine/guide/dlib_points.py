"""The finder of the original work: dlib's HOG detector and its 68-point regression trees (Kazemi and Sullivan 2014).

An option, not the default: the usual model file was trained on iBUG 300-W, whose terms exclude commercial use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upimagine.errors import UpimagineError
from upimagine.guide.face import Face, Rgb8

DEBIAN_MODEL = Path("/usr/share/dlib/shape_predictor_68_face_landmarks.dat")
_SHORT_SIDE_PX = 256  # the detector's window is 80 px, a face of a 128 px portrait about 60: enlarge before looking


class DlibFinder:
    """Called with a picture, gives its faces. Needs the ``dlib`` extra and the model file.

    Raises:
        UpimagineError: dlib is not installed, or the model file is missing or no such model.
    """

    def __init__(self, model: Path | None = None) -> None:
        path = model or DEBIAN_MODEL
        try:
            import dlib
        except ImportError as error:
            raise UpimagineError(
                "the dlib face finder is not installed: pip install 'upimagine[dlib]', or use backend 'mediapipe'"
            ) from error
        if not path.is_file():
            raise UpimagineError(
                f"dlib's 68-point model is not at {path}: install Debian's libdlib-data, or give the path of "
                "shape_predictor_68_face_landmarks.dat"
            )
        self._detector: Any = dlib.get_frontal_face_detector()
        try:
            self._predictor: Any = dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise UpimagineError(f"{path} is not a dlib shape predictor: give another file") from error

    def __call__(self, picture: Rgb8) -> list[Face]:
        """Every face in (H, W, 3) uint8 RGB, largest first; an empty list where there is none."""
        height, width = picture.shape[:2]
        enlarge = max(1.0, _SHORT_SIDE_PX / min(height, width))
        size = (round(width * enlarge), round(height * enlarge))
        view = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) if enlarge > 1 else picture
        back = np.array([height / size[1], width / size[0]], np.float32)
        for doublings in (0, 1):
            boxes, scores, _ = self._detector.run(view, doublings, 0.0)
            if len(boxes):
                break
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            parts = self._predictor(view, box).parts()
            points = (np.array([(part.y, part.x) for part in parts], np.float32) + 0.5) * back
            (y0, x0), (y1, x1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            faces.append(Face(points, float(score), (y0, x0, y1, x1)))
        return sorted(faces, key=lambda face: face.size_px, reverse=True)
