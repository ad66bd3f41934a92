"""New pictures out of one that is there: the same again, larger, or others like it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
from fastapi import APIRouter, HTTPException
from fastapi import Path as FromPath
from pydantic import BaseModel, Field

from upimagine.errors import UpimagineError
from upimagine.make.again import again
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge, keep
from upimagine.make.sampling import make_one
from upimagine.make.stages import Watch
from upimagine.recipe import Origin, Resolved
from upimagine.studio.gallery import recipe_of
from upimagine.studio.jobs import Job, Jobs, Work
from upimagine.studio.opened import Opened, Thing
from upimagine.studio.pictures import ContentId
from upimagine.studio.recipes import check_inside, generator_of, latent_of
from upimagine.studio.refusals import REFUSED, UNKNOWN, told

MADE = "made"
"""The folder inside the opened one where new pictures go."""
_LIKE = 12
_STEP = 0.4  # how far others lie from it: 0 is the same picture, 1 any other


class Order(BaseModel):
    """What shall be made."""

    kind: Literal["again", "larger", "like"]
    picture: ContentId
    to_px: Annotated[int, Field(ge=64, le=16384)] = 2048


def making_routes(opened: Opened, jobs: Jobs) -> APIRouter:
    """Ordering, watching and cancelling."""
    router = APIRouter()

    @router.post("/api/jobs", status_code=202, responses=REFUSED)
    def order(wanted: Order) -> Job:
        """Make something of a picture, in the background."""
        thing = opened.get(wanted.picture, "picture")
        if thing is None:
            raise HTTPException(404, "no such picture")
        with told():
            return jobs.add(*_work(opened, thing, wanted))

    @router.get("/api/jobs")
    def all_jobs() -> list[Job]:
        """How they stand, newest first."""
        return [Job(**job) for job in jobs.told()]

    @router.delete("/api/jobs/{number}", status_code=204, responses=UNKNOWN)
    def cancel(number: Annotated[int, FromPath(ge=1, le=2**31)]) -> None:
        """Stop a job; nothing half-made is left."""
        if not jobs.cancel(number):
            raise HTTPException(404, "no such job")

    return router


def free_name(opened: Opened, stem: str, suffix: str = ".png") -> Path:
    """A name in the folder of made pictures that nothing has. Raises UpimagineError for a folder that leads out."""
    folder, number = opened.folder / MADE, 1
    if not opened.holds(folder):
        raise UpimagineError(f"the folder {MADE} is a link to elsewhere; move it away")
    while (path := folder / f"{stem[:80]}-{number}{suffix}").exists():
        number += 1
    return path


def _work(opened: Opened, thing: Thing, wanted: Order) -> tuple[str, Work]:
    resolved, stem = recipe_of(thing), thing.path.stem
    if wanted.kind == "larger":
        return f"{thing.name}, {wanted.to_px} px", lambda watch: _larger(opened, thing, wanted.to_px, watch)
    if resolved is None:
        raise UpimagineError("there is no recipe in it; only pictures made by upimagine can be made again")
    check_inside(opened, thing.path, resolved)
    if wanted.kind == "like":
        return f"like {thing.name}", lambda watch: _like(opened, thing, resolved, watch)

    def same(watch: Watch) -> list[Path]:
        out = free_name(opened, f"{stem}-again", thing.path.suffix)
        again(thing.path, out, watch=watch)
        return [out]

    return f"{thing.name} again", same


def _larger(opened: Opened, thing: Thing, to_px: int, watch: Watch) -> list[Path]:
    out = free_name(opened, f"{thing.path.stem}-{to_px}px")
    enlarge(thing.path, out, to_px=to_px, watch=watch)
    return [out]


def _like(opened: Opened, thing: Thing, resolved: Resolved, watch: Watch) -> list[Path]:
    """Neighbours in the latent space, at one distance from it and all as likely: variance is kept."""
    vector = latent_of(resolved)
    if vector is None:
        raise UpimagineError("it did not begin with a generator; only those have others like it")
    machine = settle()
    name, generator = generator_of(opened, thing.path, resolved.origin)
    pull = resolved.origin.truncation
    made = []
    for number in range(_LIKE):
        aside = torch.randn(len(vector), generator=torch.Generator().manual_seed(number))
        latent = (1 - _STEP**2) ** 0.5 * vector + _STEP * aside
        origin = Origin(model=name, model_sha256=generator.file.sha256, latent=tuple(latent.tolist()), truncation=pull)
        made.append(free_name(opened, f"{thing.path.stem}-like"))
        keep(make_one(generator, latent, 1.0 if pull is None else pull), made[-1], origin, machine)
        watch("making", number + 1, _LIKE)
    return made
