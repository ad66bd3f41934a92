"""The face guide: find the faces of a picture, draw them at the size an upscaler takes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.guide import mesh, raster
from upimagine.guide.dlib_points import DlibFinder
from upimagine.guide.face import Face, Rgb8, rgb8
from upimagine.guide.points import scale
from upimagine.pixels.resizing import resize_antialiased

Backend = Literal["mediapipe", "dlib"]


def find_faces(
    picture: Tensor, backend: Backend = "mediapipe", dlib_model: Path | None = None, refined: bool = True
) -> list[Face]:
    """Every face of (3, H, W) or (1, 3, H, W) in [-1, 1], largest first; an empty list where there is none.

    MediaPipe finds faces from about a sixth of the longer side upwards (a twenty-fourth in pictures of 768 px and
    more). ``dlib_model`` is the 68-point model file of the dlib backend; without it Debian's place is tried.
    ``refined`` False: MediaPipe's points a little less exact, in two thirds of the time.

    Raises:
        UpimagineError: the backend is unknown, or dlib or its model is missing.
        PictureError: the tensor is no single RGB picture.
    """
    return _finder(backend, dlib_model, refined)(rgb8(picture))


def find_face(
    picture: Tensor, backend: Backend = "mediapipe", dlib_model: Path | None = None, refined: bool = True
) -> Face | None:
    """The largest face, or None; otherwise as :func:`find_faces`."""
    faces = find_faces(picture, backend, dlib_model, refined)
    return faces[0] if faces else None


class FaceGuide:
    """A :class:`upimagine.roles.Guide` that paints every face it finds."""

    def __init__(
        self,
        style: raster.Style = "rgb",  # "rgb": 3 channels, one palette; "channels": 6, one a feature
        backend: Backend = "mediapipe",
        via_px: int | None = None,  # draw with this short side first, then reduce; 128 is how the original did it
        dlib_model: Path | None = None,
    ) -> None:
        """Raise UpimagineError where the style or backend is unknown, or dlib or its model is missing."""
        if via_px is not None and via_px < 1:
            raise UpimagineError(f"a guide cannot be drawn via {via_px} px: give at least 1, or None to draw directly")
        self.channels = raster.channels(style)
        self._style: raster.Style = style
        self._via_px = via_px
        self._find = _finder(backend, dlib_model)

    def draw(self, picture: Tensor, size_px: tuple[int, int]) -> Tensor | None:
        """(1, 3, H, W) to (1, channels, height, width) in [-1, 1]; None where no face is found.

        Faces are looked for on the whole picture at its own size; the points are then scaled to the raster, which
        is on the picture's device.

        Raises:
            PictureError: the tensor is no single RGB picture.
        """
        pixels = rgb8(picture)
        faces = self._find(pixels)
        if not faces:
            return None
        height, width = pixels.shape[:2]
        points = [face.points68 for face in reversed(faces)]  # the largest in front
        drawn_px = size_px if self._via_px is None else _with_short_side(size_px, self._via_px)
        scaled = [scale(each, (height, width), drawn_px) for each in points]
        guide = raster.draw(scaled, *drawn_px, self._style)[None]
        return resize_antialiased(guide, size_px).to(picture.device)


def tender_places(picture: Tensor, size_px: tuple[int, int]) -> Tensor | None:
    """Where eyes and mouths are, (height, width) from 0 to 1, of a picture (1, 3, H, W); None where no face is found.

    Blending keeps its cuts out of there.
    """
    drawn = FaceGuide("channels").draw(picture, size_px)
    if drawn is None:
        return None
    places = [raster.FEATURES.index(name) for name in ("eyes", "lips", "mouth")]
    return (drawn[0, places].amax(dim=0) + 1) / 2


def _with_short_side(size_px: tuple[int, int], short_px: int) -> tuple[int, int]:
    height, width = size_px
    ratio = short_px / min(height, width)
    return round(height * ratio), round(width * ratio)


@functools.cache
def _finder(backend: Backend, dlib_model: Path | None, refined: bool = True) -> Callable[[Rgb8], list[Face]]:
    """One finder a process: dlib's model takes a second to load."""
    if backend not in get_args(Backend):
        raise UpimagineError(f"face finder {backend!r} is unknown: use one of {', '.join(get_args(Backend))}")
    if backend == "dlib":
        return DlibFinder(dlib_model)
    return functools.partial(mesh.find_faces, refined=refined)
