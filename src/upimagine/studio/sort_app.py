"""The sorting page as an app: its stack out of a catalog, its pages, its pictures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse

from upimagine.data.catalog import Catalog
from upimagine.data.records import belongs
from upimagine.data.verdicts import verdicts, verdicts_by_person
from upimagine.studio.catalog_thread import CatalogThread
from upimagine.studio.pictures import Thumbnails, find_in, picture_routes
from upimagine.studio.security import Door
from upimagine.studio.server import Lifespan, create_app, page
from upimagine.studio.sorting import Sorting
from upimagine.studio.stack import Stack

Which = Literal["clean", "flagged", "all", "keep", "reject", "unsure"]


def make_stack(catalog: Catalog, which: Which, *, shared: bool, shuffle: int | None = None) -> Stack:
    """Pictures of a catalog to sort, by path or shuffled by a seed; those with a verdict only when one is asked for."""
    connection = catalog.connection
    flagged = {picture for (picture,) in connection.execute("SELECT DISTINCT picture FROM raised")}
    said = verdicts(connection)
    rows = connection.execute(
        "SELECT picture FROM places WHERE vanished IS NULL AND picture IS NOT NULL GROUP BY picture ORDER BY min(path)"
    )
    again = which in ("keep", "reject", "unsure")
    order = [
        picture
        for (picture,) in rows
        if belongs(which, picture in flagged, said.get(picture)) and (again or shared or picture not in said)
    ]
    if shuffle is not None:
        random.Random(shuffle).shuffle(order)
    return Stack(order, verdicts_by_person(connection), shared=shared, again=again)


def sort_app(
    asked: CatalogThread,
    sorting: Sorting,
    hosts: frozenset[str],
    door: Door,
    lifespan: Lifespan | None = None,
    more: Sequence[APIRouter] = (),
) -> FastAPI:
    """The page at /, installable, with what it asks for."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/")
    def index() -> FileResponse:
        return page("sort/index.html")

    @pages.get("/sort.webmanifest")
    def manifest() -> FileResponse:
        return page("sort/manifest.webmanifest")

    # From the root, so that it may answer for the root.
    @pages.get("/worker.js")
    def worker() -> FileResponse:
        return page("sort/worker.js")

    pictures = picture_routes(lambda content: asked.now(lambda catalog: find_in(catalog, content)), Thumbnails())
    return create_app("upimagine sort", [pages, sorting.routes(), pictures, *more], hosts, door, lifespan)
