"""Deep zoom: pyramids of tiles, made at the first look and kept in the cache."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi import Path as FromPath
from fastapi.responses import FileResponse, Response

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.studio.gallery import JPEG
from upimagine.studio.pictures import ContentId, Find
from upimagine.studio.refusals import UNKNOWN

_TILE_PX, _OVERLAP_PX = 254, 1  # as `pixels.pyramid` cuts them
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_Place = Annotated[int, FromPath(ge=0, le=100_000)]


def zoom_routes(find: Find, cache: Path) -> APIRouter:
    """What a pyramid is like, and its tiles."""
    router, making = APIRouter(), threading.Lock()

    @router.get("/api/zoom/{picture_id}", responses=UNKNOWN)
    def zoom(picture_id: ContentId) -> dict[str, Any]:
        """Size of the picture and of its tiles, once they are there."""
        paths = find(picture_id)
        if not paths:
            raise HTTPException(404, "no such picture")
        pyramid = cache / picture_id / "picture.dzi"
        try:
            with making:  # one at a time: a large one takes minutes of all cores
                if not pyramid.is_file():
                    pyramid.parent.mkdir(parents=True, exist_ok=True)
                    pixels.deep_zoom(paths[0], pyramid, quality=92, overwrite=True)
            height, width = pixels.read_size(paths[0])
        except UpimagineError as error:
            raise HTTPException(404, f"cannot be zoomed into: {error}") from error
        return {"height": height, "width": width, "tile_px": _TILE_PX, "overlap_px": _OVERLAP_PX}

    @router.get("/zoom/{picture_id}/{level}/{column}_{row}.jpg", response_class=Response, responses=JPEG)
    def tile(picture_id: ContentId, level: _Place, column: _Place, row: _Place) -> FileResponse:
        """One tile."""
        path = cache / picture_id / "picture_files" / str(level) / f"{column}_{row}.jpg"
        if not path.is_file() or not find(picture_id):
            raise HTTPException(404, "no such tile")
        return FileResponse(path, headers=_FOR_EVER)

    return router
