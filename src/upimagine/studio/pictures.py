"""Pictures by what they contain, never by path: small JPEGs, made at the first need and kept while there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from fastapi import APIRouter, HTTPException
from fastapi import Path as FromPath
from fastapi.responses import Response

from upimagine import pixels
from upimagine.data.catalog import Catalog
from upimagine.errors import PictureError

SIDES_PX = (256, 1080)
"""Longer sides that are served: a grid's and a phone's."""
_QUALITY = 88
_DECODES = threading.Semaphore(2)  # some formats take hundreds of MB while a large picture is decoded

ContentId = Annotated[str, FromPath(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file, in hex")]
Find = Callable[[str], list[Path]]
"""Content id to the files that should hold it; none for an unknown one. Called on any thread."""


class Thumbnails:
    """JPEGs in memory, the least used forgotten first."""

    def __init__(self, most_bytes: int = 128 << 20) -> None:
        self._most, self._held = most_bytes, 0
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, content_id: str, side_px: int, paths: list[Path]) -> bytes:
        """The picture with a longer side of at most `side_px`.

        Raises:
            PictureError: none of the files can be read.
        """
        key = content_id, side_px
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with _DECODES:
            encoded = _first_readable(paths, side_px)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = encoded
                self._held += len(encoded)
            while self._held > self._most:
                self._held -= len(self._kept.popitem(last=False)[1])
        return encoded


def picture_routes(find: Find, thumbnails: Thumbnails) -> APIRouter:
    """`GET /picture/{side}/{content id}`: a JPEG that may be kept for ever, for its name is its content."""
    router = APIRouter()

    @router.get("/picture/{side_px}/{content_id}", response_class=Response, responses=PICTURE_ANSWERS)
    def picture(side_px: int, content_id: ContentId) -> Response:
        """One picture, small."""
        paths = find(content_id) if side_px in SIDES_PX else []
        if not paths:
            raise HTTPException(404, f"no such picture; sides are {SIDES_PX}")
        try:
            encoded = thumbnails.get(content_id, side_px, paths)
        except PictureError as error:
            raise HTTPException(410, "the picture cannot be read any more") from error
        return Response(encoded, media_type="image/jpeg", headers={"Cache-Control": _FOR_EVER})

    return router


def find_in(catalog: Catalog, content_id: str) -> list[Path]:
    """Files of a catalog that hold the content."""
    rows = catalog.connection.execute(
        """SELECT path FROM places JOIN pictures ON pictures.id = places.picture
        WHERE sha256 = ? AND vanished IS NULL ORDER BY path""",
        (bytes.fromhex(content_id),),
    )
    return [Path(path) for (path,) in rows]


_FOR_EVER = "private, max-age=31536000, immutable"
PICTURE_ANSWERS: dict[int | str, dict[str, object]] = {
    200: {"content": {"image/jpeg": {}}},
    404: {"description": "unknown"},
    410: {"description": "known, but no longer readable"},
}


def _first_readable(paths: list[Path], side_px: int) -> bytes:
    trouble: PictureError | None = None
    for path in paths:
        try:
            small = pixels.read_small(path, side_px)
        except PictureError as error:
            trouble = error
            continue
        rows = np.ascontiguousarray(small.permute(1, 2, 0).numpy()[..., ::-1])  # OpenCV wants blue first
        written, encoded = cv2.imencode(".jpg", rows, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert written
        return encoded.tobytes()
    raise trouble or PictureError("the picture has no file any more")
