"""The pictures of the folder, and what each was made of."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, Field
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import to_float, to_uint8
from upimagine.errors import PictureError, UpimagineError
from upimagine.make.sampling import make_one
from upimagine.make.stages import file_sha256
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Resolved, parse_resolved
from upimagine.studio.opened import Opened, Thing
from upimagine.studio.pictures import ContentId
from upimagine.studio.recipes import generator_of, latent_of
from upimagine.studio.refusals import REFUSED, UNKNOWN, told

_BEFORE_PX = 1080
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}, 404: {"description": "unknown"}}


class Keep(BaseModel):
    """Pictures to copy into a new folder."""

    pictures: Annotated[list[ContentId], Field(min_length=1, max_length=1000)]


def gallery_routes(opened: Opened) -> APIRouter:
    """List, details, what a picture began with, and copying the chosen ones."""
    router = APIRouter()

    @router.get("/api/folder")
    def folder() -> dict[str, str]:
        """What the opened folder is called."""
        return {"name": opened.folder.name}

    @router.get("/api/pictures")
    def pictures() -> dict[str, Any]:
        """All pictures but the previews of runs, newest first, in columns."""
        running = {run.path.parent for run in opened.things("run")}
        found = [thing for thing in opened.things("picture") if not _preview(thing, running)]
        return {"ids": [thing.id for thing in found], "names": [t.name for t in found]}

    @router.get("/api/pictures/{picture_id}", responses=UNKNOWN)
    def picture(picture_id: ContentId) -> dict[str, Any]:
        """Size, recipe, and what can be made of it."""
        thing = _known(opened, picture_id)
        try:
            height, width = pixels.read_size(thing.path)
        except PictureError as error:
            raise HTTPException(404, "the picture cannot be read") from error
        resolved = recipe_of(thing)
        facts = {"name": thing.name, "width": width, "height": height, "bytes": thing.path.stat().st_size}
        if resolved is None:
            return facts | {"recipe": None, "like": False, "before": False}
        like, begun = latent_of(resolved) is not None, _begun_with(opened, thing, resolved) is not None
        return facts | {"recipe": _rows(resolved), "like": like, "before": bool(resolved.enlarge) and (like or begun)}

    @router.get("/api/before/{picture_id}", response_class=Response, responses=JPEG | REFUSED)
    def before(picture_id: ContentId) -> Response:
        """What an enlarged picture began with: a picture, or a latent vector as its generator shows it."""
        thing = _known(opened, picture_id)
        resolved = recipe_of(thing)
        source = None if resolved is None else _begun_with(opened, thing, resolved)
        if source is not None and resolved is not None:
            try:
                if file_sha256(source) != resolved.origin.picture_sha256:
                    raise PictureError("it has changed since")
                small = pixels.read_small(source, _BEFORE_PX)
            except PictureError as error:
                raise HTTPException(404, "the picture that it began with cannot be shown any more") from error
            return Response(jpeg(to_float(small)[None]), 200, _FOR_EVER)
        vector = None if resolved is None else latent_of(resolved)
        if resolved is None or vector is None:
            raise HTTPException(404, "it did not begin with a generator")
        with told():
            _, generator = generator_of(opened, thing.path, resolved.origin)
        pull = resolved.origin.truncation
        return Response(jpeg(make_one(generator, vector, 1.0 if pull is None else pull)), 200, _FOR_EVER)

    @router.post("/api/keep", responses=UNKNOWN)
    def keep(chosen: Keep) -> dict[str, str]:
        """Copy pictures into a new folder KEPT-n of the opened one, in the order given."""
        things = [_known(opened, picture_id) for picture_id in chosen.pictures]
        number = 1
        while (folder := opened.folder / f"kept-{number}").exists():
            number += 1
        folder.mkdir()
        for place, thing in enumerate(things, start=1):
            shutil.copyfile(thing.path, folder / f"{place}-{thing.path.name}")
        return {"folder": folder.name}

    return router


_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Type": "image/jpeg"}


def recipe_of(thing: Thing) -> Resolved | None:
    """What a picture was made of; None where it does not say, or not in a way that this version knows."""
    try:
        text = pixels.read_recipe(thing.path)
        return None if text is None else parse_resolved(text, thing.name)
    except UpimagineError:
        return None


def jpeg(picture: Tensor, side_px: int = _BEFORE_PX) -> bytes:
    """(1, 3, H, W) in [-1, 1] as a JPEG, its longer side at most `side_px`."""
    scale = min(1.0, side_px / max(picture.shape[2:]))
    small = resize_antialiased(picture, (round(picture.shape[2] * scale), round(picture.shape[3] * scale)))[0]
    bgr = np.ascontiguousarray(to_uint8(small).permute(1, 2, 0).numpy()[:, :, ::-1])
    written, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert written
    return encoded.tobytes()


def _begun_with(opened: Opened, thing: Thing, resolved: Resolved) -> Path | None:
    """The picture that was enlarged, where it still lies in the folder."""
    name = resolved.origin.picture
    source = None if name is None else thing.path.parent / name
    return source if source is not None and opened.holds(source) and source.is_file() else None


def _preview(thing: Thing, running: set[Path]) -> bool:
    return thing.path.name.startswith("preview-") and thing.path.parent in running


def _known(opened: Opened, picture_id: str) -> Thing:
    thing = opened.get(picture_id, "picture")
    if thing is None:
        raise HTTPException(404, "no such picture")
    return thing


def _rows(resolved: Resolved) -> list[list[str]]:
    """The recipe as a person reads it."""
    origin = resolved.origin
    begun = "a latent vector" if origin.latent is not None else origin.picture or "unknown"
    rows = [["Began with", f"{begun} of {origin.model}" if origin.model else begun]]
    for done in resolved.enlarge:
        height, width = done.size_px
        guided = ", guided by a face" if done.guided else ""
        rows.append(["Enlarged by", f"{done.stage.model} to {width} × {height} px{guided}"])
    rows.append(["Made on", f"{resolved.device}, {resolved.dtype}, upimagine {resolved.upimagine}"])
    return rows
