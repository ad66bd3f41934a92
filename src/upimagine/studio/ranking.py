"""Tables of scores for the browser, which ranks anew at every touch of a slider."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException

from upimagine.make.culling import RESULT, WEIGHTS
from upimagine.studio.opened import Opened, Thing
from upimagine.studio.pictures import ContentId
from upimagine.studio.refusals import UNKNOWN

_MOST_BYTES = 64 << 20
_NO_SCORES = frozenset({"picture", "number", "seed", "kept", "total", "nearest", "copy"})


def ranking_routes(opened: Opened) -> APIRouter:
    """All tables, and one."""
    router = APIRouter()

    @router.get("/api/candidates")
    def tables() -> list[dict[str, str]]:
        """Folders with scores, newest first."""
        return [
            {"id": table.id, "name": str(table.path.parent.relative_to(opened.folder))}
            for table in opened.things("table")
        ]

    @router.get("/api/candidates/{table_id}", responses=UNKNOWN)
    def table(table_id: ContentId) -> dict[str, Any]:
        """Pictures that are in the opened folder with their scores (null: none), usual weights, and the kept."""
        found = opened.get(table_id, "table")
        if found is None or found.path.stat().st_size > _MOST_BYTES:
            raise HTTPException(404, "no such table")
        return _read(opened, found)

    return router


def _read(opened: Opened, table: Thing) -> dict[str, Any]:
    with table.path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in (rows[0] if rows else {}) if name and name not in _NO_SCORES]
    folder = _pictures(table.path.parent)
    here = {picture.path: picture.id for picture in opened.things("picture")}
    ids: list[str] = []
    kept: list[tuple[int, str]] = []
    scores: dict[str, list[float | None]] = {name: [] for name in names}
    for row in rows:
        named = row.get("picture") or f"{row.get('number') or ''}".zfill(5) + ".png"
        place = row.get("kept") or ""
        # Of what was kept there is a copy beside the table, too, where only that folder is open.
        picture = here.get(folder / named) or here.get(table.path.parent / f"{place}-{named}")
        if picture is None:
            continue
        ids.append(picture)
        if place.isdecimal():
            kept.append((int(place), picture))
        for name in names:
            scores[name].append(_number(row.get(name)))
    used = {name: WEIGHTS.get(name, 0.0) for name in names}
    name = str(table.path.parent.relative_to(opened.folder))
    order = [picture for _, picture in sorted(kept)]
    return {"name": name, "ids": ids, "kept": order, "scores": scores, "weights": used}


def _pictures(folder: Path) -> Path:
    """Where a table's pictures lie: beside it as `sample` puts them, or where `cull` found them."""
    try:
        return Path(json.loads((folder / RESULT).read_text(encoding="utf-8"))["from"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder / "pictures"


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
