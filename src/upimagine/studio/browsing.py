"""Catalogs in the browser: pictures by name or by what is wrong with them, and thresholds to move."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as FromPath
from pydantic import BaseModel, Field

from upimagine.data.browse import known_of, list_pictures_of
from upimagine.data.catalog import Catalog
from upimagine.data.records import Which
from upimagine.data.thresholds import count_pictures, flag_states, set_threshold
from upimagine.studio.catalogs import Catalogs, Shelved
from upimagine.studio.pictures import ContentId
from upimagine.studio.refusals import REFUSED, told

_Flag = Annotated[str, FromPath(pattern="^[a-z_]{1,40}$")]


class Threshold(BaseModel):
    """Where a flag is raised from now on."""

    value: Annotated[float, Field(allow_inf_nan=False)] | None
    """None: nowhere."""


def browsing_routes(catalogs: Catalogs) -> APIRouter:
    """Catalogs, their flags and their pictures."""
    router = APIRouter()

    @router.get("/api/catalogs")
    def all_catalogs() -> list[dict[str, str]]:
        """The given one first."""
        return [{"id": shelved.id, "name": shelved.name} for shelved in catalogs.all()]

    @router.get("/api/catalogs/{catalog_id}", responses=REFUSED)
    def flags(catalog_id: ContentId) -> dict[str, Any]:
        """How many pictures, how many of them clean, and every flag with its threshold."""
        with told():
            return catalogs.ask(_known(catalogs, catalog_id), _flags)

    @router.get("/api/catalogs/{catalog_id}/pictures", responses=REFUSED)
    def pictures(
        catalog_id: ContentId,
        which: Which = "all",
        flag: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
    ) -> dict[str, Any]:
        """All of them in columns, by name or the worst first by a flag's measure."""
        shelved = _known(catalogs, catalog_id)
        with told():
            listed = catalogs.ask(
                shelved, lambda catalog: list_pictures_of(catalog, which, flag, catalogs.under(shelved))
            )
        ids = [content.hex() for content in listed.sha256]
        return {"ids": ids, "names": [_short(path) for path in listed.paths], "values": listed.values}

    @router.get("/api/catalogs/{catalog_id}/pictures/{picture_id}", responses=REFUSED)
    def picture(catalog_id: ContentId, picture_id: ContentId) -> dict[str, Any]:
        """Size, scores, flags, and what was said of it."""
        shelved, content = _known(catalogs, catalog_id), bytes.fromhex(picture_id)
        with told():
            known = catalogs.ask(shelved, lambda catalog: known_of(catalog, content))
        if known is None or not catalogs.find(picture_id):
            raise HTTPException(404, "no such picture")
        return asdict(known) | {"path": _short(known.path)}

    @router.put("/api/catalogs/{catalog_id}/flags/{flag}", responses=REFUSED)
    def move(catalog_id: ContentId, flag: _Flag, threshold: Threshold) -> dict[str, Any]:
        """Move a threshold; nothing is measured again, and the former one stays in the history."""
        shelved = _known(catalogs, catalog_id)
        with told():
            catalogs.ask(shelved, lambda catalog: set_threshold(catalog, flag, threshold.value))
            return catalogs.ask(shelved, _flags)

    return router


def _known(catalogs: Catalogs, catalog_id: str) -> Shelved:
    shelved = catalogs.get(catalog_id)
    if shelved is None:
        raise HTTPException(404, "no such catalog")
    return shelved


def _flags(catalog: Catalog) -> dict[str, Any]:
    live, clean = count_pictures(catalog)
    return {"pictures": live, "clean": clean, "flags": [asdict(state) for state in flag_states(catalog)]}


def _short(path: str) -> str:
    """Folder and name: enough to find it, without the owner's whole tree."""
    return str(Path(*Path(path).parts[-2:]))
