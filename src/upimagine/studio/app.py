"""The studio: one web app over one folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse

from upimagine.studio.browsing import browsing_routes
from upimagine.studio.catalogs import Catalogs
from upimagine.studio.gallery import gallery_routes
from upimagine.studio.jobs import Jobs
from upimagine.studio.latents import latent_routes
from upimagine.studio.making import making_routes
from upimagine.studio.opened import Opened
from upimagine.studio.pictures import picture_routes
from upimagine.studio.ranking import ranking_routes
from upimagine.studio.runs import run_routes
from upimagine.studio.security import Door
from upimagine.studio.server import create_app, page
from upimagine.studio.thumbnails import KeptThumbnails, cache_folder
from upimagine.studio.tournament import tournament_routes
from upimagine.studio.zoom import zoom_routes


def studio_app(
    folder: Path, hosts: frozenset[str], door: Door, cache: Path | None = None, catalog: Path | None = None
) -> FastAPI:
    """The app over a folder and a catalog; `cache` is where small pictures and pyramids are kept.

    Raises UpimagineError as `Opened` and `Catalogs`.
    """
    opened = Opened(folder)
    catalogs, jobs = Catalogs(opened, catalog), Jobs()
    cache = cache or cache_folder()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()
        catalogs.close()

    def find(picture_id: str) -> list[Path]:
        return opened.recall(picture_id) or catalogs.find(picture_id) or opened.find(picture_id)

    front = APIRouter()

    @front.get("/", include_in_schema=False)
    def index() -> FileResponse:
        return page("studio/index.html")

    routers = [
        front,
        gallery_routes(opened),
        picture_routes(find, KeptThumbnails(cache / "small")),
        making_routes(opened, jobs),
        run_routes(opened),
        ranking_routes(opened),
        tournament_routes(opened),
        latent_routes(opened),
        browsing_routes(catalogs),
        zoom_routes(find, cache / "zoom"),
    ]
    return create_app("Upimagine studio", routers, hosts, door, life)
