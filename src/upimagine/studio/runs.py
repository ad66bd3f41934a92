"""Trainings as they go: what their logs say, and their previews."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, HTTPException

from upimagine.studio.opened import Opened, Thing
from upimagine.studio.pictures import ContentId
from upimagine.studio.refusals import UNKNOWN
from upimagine.train.journal import Line, read_log

_POINTS = 400  # of a curve: more are not seen


def run_routes(opened: Opened) -> APIRouter:
    """All runs, and one."""
    router = APIRouter()

    @router.get("/api/runs")
    def runs() -> list[dict[str, Any]]:
        """Folders with a log, the one that was written last first."""
        return [
            {"id": run.id, "name": str(run.path.parent.relative_to(opened.folder)), "written": run.mtime}
            for run in opened.things("run")
        ]

    @router.get("/api/runs/{run_id}", responses=UNKNOWN)
    def one(run_id: ContentId) -> dict[str, Any]:
        """Numbers as curves over kimg, events, and previews, oldest first."""
        run = opened.get(run_id, "run")
        if run is None:
            raise HTTPException(404, "no such run")
        lines = read_log(run.path.parent)
        ticks = [line for line in lines if "event" not in line]
        return {
            "name": str(run.path.parent.relative_to(opened.folder)),
            "kimg": lines[-1]["kimg"] if lines else 0,
            "curves": _curves(ticks),
            "events": [line for line in lines if "event" in line][-20:],
            "previews": _previews(opened, run),
        }

    return router


def _curves(ticks: list[Line]) -> dict[str, list[list[float]]]:
    """Name to [kimg, value] pairs, thinned evenly."""
    names = dict.fromkeys(name for line in ticks for name in line if name != "kimg")
    curves = {}
    for name in names:
        points = [[line["kimg"], line[name]] for line in ticks if isinstance(line.get(name), (int, float))]
        step = max(1, -(-len(points) // _POINTS))
        curves[name] = points[:-1:step] + points[-1:]
    return curves


def _previews(opened: Opened, run: Thing) -> list[dict[str, Any]]:
    found = []
    for picture in opened.things("picture"):
        named = re.fullmatch(r"preview-(\d+)\.jpg", picture.path.name)
        if named is not None and picture.path.parent == run.path.parent:
            found.append({"kimg": int(named[1]), "id": picture.id})
    return sorted(found, key=lambda preview: int(preview["kimg"]))
