"""Sliders for a generator: a seed, and a few directions along which its pictures change most."""

from __future__ import annotations

import functools
import hashlib
from typing import Annotated

import torch
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional

from upimagine.errors import UpimagineError
from upimagine.make.latents import latent
from upimagine.make.machine import settle
from upimagine.make.picture import keep
from upimagine.make.sampling import make_one
from upimagine.models.builtin import builtin_models
from upimagine.models.file import read_header
from upimagine.models.loaded import LoadedGenerator, load_generator
from upimagine.recipe import Origin
from upimagine.roles import Generator
from upimagine.studio.gallery import JPEG, jpeg
from upimagine.studio.making import free_name
from upimagine.studio.opened import Opened
from upimagine.studio.pictures import ContentId
from upimagine.studio.refusals import REFUSED, told

DIRECTIONS = 8
_THUMB_PX = 16
_MOST = 4.0  # deviations
_SEED = Annotated[int, Query(ge=0, le=2**31)]
_SLIDERS = Annotated[str, Query(pattern=r"^(-?\d{1,2}(\.\d{1,4})?)?(,-?\d{1,2}(\.\d{1,4})?){0,7}$")]


class Wanted(BaseModel):
    """A picture as the sliders stand."""

    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    along: Annotated[list[Annotated[float, Field(ge=-_MOST, le=_MOST)]], Field(max_length=DIRECTIONS)] = []


def latent_routes(opened: Opened) -> APIRouter:
    """Generators, their pictures, and keeping one."""
    router = APIRouter()

    @router.get("/api/generators")
    def generators() -> list[dict[str, str]]:
        """Built-in ones, then those in the folder, newest first."""
        return [{"id": number, "name": name} for number, (name, _) in _generators(opened).items()]

    @router.get("/api/generators/{model_id}/picture", response_class=Response, responses=JPEG)
    def picture(model_id: ContentId, seed: _SEED = 0, along: _SLIDERS = "") -> Response:
        """A JPEG of seed and sliders, in deviations along each direction, joined by commas."""
        generator = _generator(opened, model_id)
        values = [max(-_MOST, min(_MOST, float(text))) for text in along.split(",") if text]
        return Response(jpeg(make_one(generator, _vector(generator, seed, values))), media_type="image/jpeg")

    @router.post("/api/generators/{model_id}/keep", responses=REFUSED)
    def keep_one(model_id: ContentId, wanted: Wanted) -> dict[str, str]:
        """Write the picture with its recipe into the folder of made pictures."""
        generator, machine = _generator(opened, model_id), settle()
        name, model = _generators(opened)[model_id]
        vector = _vector(generator, wanted.seed, wanted.along)
        with told():
            out = free_name(opened, f"{name.rpartition('/')[2].removesuffix('.safetensors')}-{wanted.seed}")
        origin = Origin(model=model, model_sha256=generator.file.sha256, latent=tuple(vector.tolist()))
        keep(make_one(generator, vector), out, origin, machine)
        return {"name": str(out.relative_to(opened.folder))}

    return router


def principal_directions(generator: Generator, count: int = DIRECTIONS) -> Tensor:
    """(count, latent_dim) unit directions along which pictures change most, the strongest first.

    Small pictures of random latents are regressed on the latents; the map's left singular vectors are the directions.
    In the spirit of GANSpace (Härkönen et al. 2020, 2004.02546), but of pictures, so that it fits any architecture.
    """
    number = max(4 * generator.latent_dim, 256)
    latents = torch.randn(number, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    small = [
        functional.adaptive_avg_pool2d(generator.generate(part).float().cpu(), _THUMB_PX).flatten(1)
        for part in torch.split(latents, 32)
    ]
    pictures = torch.cat(small)
    centred = latents - latents.mean(0), pictures - pictures.mean(0)
    slope = torch.linalg.lstsq(*centred).solution  # (latent_dim, 3 * 16 * 16)
    left: Tensor = torch.linalg.svd(slope, full_matrices=False).U
    return left.T[:count]


_directions = functools.lru_cache(maxsize=8)(principal_directions)


def _vector(generator: LoadedGenerator, seed: int, along: list[float]) -> Tensor:
    """The seed's latent, moved by so much along each direction; its length stays, for latents lie on a shell."""
    begin = latent(seed, 0, generator.latent_dim)
    if not any(along):
        return begin
    moved = begin + torch.tensor(along) @ _directions(generator)[: len(along)]
    onto: Tensor = functional.normalize(moved, dim=0) * torch.linalg.vector_norm(begin)
    return onto


def _generators(opened: Opened) -> dict[str, tuple[str, str]]:
    """Number to what it is called and what loads it."""
    found = {}
    for name, path in builtin_models().items():
        if read_header(path)["role"] == "generator":
            found[hashlib.sha256(f"built in: {name}".encode()).hexdigest()] = name, name
    for thing in opened.things("model"):
        try:
            role = read_header(thing.path)["role"]
        except (UpimagineError, KeyError):  # somebody else's weights are no concern of this list
            continue
        if role == "generator":
            found[thing.id] = thing.name, str(thing.path)
    return found


def _generator(opened: Opened, model_id: str) -> LoadedGenerator:
    found = _generators(opened).get(model_id)
    if found is None:
        raise HTTPException(404, "no such generator")
    machine = settle()
    try:
        return load_generator(found[1], machine.device, machine.dtype)
    except UpimagineError as error:
        raise HTTPException(404, str(error)) from error
