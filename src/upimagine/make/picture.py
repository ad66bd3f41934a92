"""Up-imagine any picture to any size, through one or more models."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.machine import settle
from upimagine.make.stages import (
    SMALLEST_PX,
    Machine,
    Watch,
    check_size,
    in_memory,
    resolved,
    run_stage,
    seen_from,
    stage_size,
)
from upimagine.models.loaded import load_upscaler
from upimagine.recipe import Done, Enlarge, Origin
from upimagine.render.enlarge import Report

#: Short side of the plane on which the built-in network with a face guide learned its faces.
_FACE_PLANE_PX = 96
#: Short side up to which a picture with a face is taken for a small portrait.
_SMALL_PX = 192
#: A plane may be this much larger than the picture, plainly resampled, before another pass pays.
_STRETCH = 1.5
_GENERAL_MODEL = "detail-x8"
_FACE_MODEL = "portrait-x8"

Sized = tuple[Enlarge, tuple[int, int] | None]
"""A stage and the (height, width) wanted of it, if any."""


@dataclass(frozen=True)
class Enlarged:
    """What `enlarge` did."""

    path: Path
    size_px: tuple[int, int]  # height, width
    models: tuple[str, ...]
    guided: bool | None  # whether a face guided a model that takes a guide; None when none does
    reports: tuple[Report, ...]
    seconds: float  # from the opened picture to the finished file
    flattened: bool = False  # transparent places were laid on white
    written: Future[None] | None = None  # of a file that is still being encoded

    @property
    def outside_share(self) -> float:
        """Share of `seconds` spent outside the networks: guide, planes, choosing, blending, encoding; 0 to 1."""
        return 1 - sum(report.network_s for report in self.reports) / max(self.seconds, 1e-9)


def enlarge(
    picture: str | Path,
    out: str | Path,
    *,
    to_px: int = 4096,
    models: tuple[str, ...] = (),
    options: Enlarge | None = None,
    bit_depth: int | None = None,
    dpi: float | None = 300,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Enlarged:
    """Up-imagine a picture file so that its longer side has `to_px` pixels, and write it with its recipe inside.

    Without `models` they are chosen: small pictures (short side up to 192 px) with a face start with portrait-x8,
    detail-x8 does the rest in as many passes as the size asks for. What a picture shows is kept, whatever its size:
    only what is finer is invented. Transparent places become white. `options` sets candidates, stride and so on for
    every stage (its `model` and sizes are ignored). `bit_depth` None takes 16 where the format can hold it.
    Raises PictureError for a picture that cannot be used, UpimagineError for models and outputs.
    """
    if bit_depth not in (None, 8, 16):
        raise UpimagineError(f"--bit-depth {bit_depth} cannot work; choose 8 or 16")
    out = pixels.claim(out, overwrite)
    machine = machine or settle()
    if to_px < SMALLEST_PX:
        raise UpimagineError(f"--to {to_px} is too small; ask for at least {SMALLEST_PX} pixels")
    opened, flattened = open_flat(picture)
    check_size(opened, str(picture))
    chain = models or choose_models(opened, to_px)
    options = options or Enlarge(model=chain[0], keep_detail=True)
    stages = plan_stages(opened, chain, to_px, options, machine)
    origin = Origin(picture=seen_from(out, picture), picture_sha256=file_sha256(Path(picture)))
    done = finish(opened, stages, out, origin, machine, bit_depth=bit_depth, dpi=dpi, overwrite=overwrite, watch=watch)
    return dataclasses.replace(done, flattened=flattened)


def open_flat(path: str | Path) -> tuple[Tensor, bool]:
    """Read a picture as (1, 3, H, W) in [-1, 1], and whether transparent places were laid on white, as on paper."""
    read = pixels.read(path)
    picture = read.pixels[None]
    if read.alpha is None or bool((read.alpha == 1).all()):
        return picture, False
    return torch.lerp(torch.ones_like(picture), picture, read.alpha), True


def finish(
    picture: Tensor,
    stages: Sequence[Sized],
    out: Path,
    origin: Origin,
    machine: Machine,
    *,
    bit_depth: int | None = None,
    dpi: float | None = 300,
    overwrite: bool = False,
    watch: Watch = lambda what, done, total: None,
    encoder: Executor | None = None,
) -> Enlarged:
    """Run all stages, the last one streamed into the file, and embed the recipe.

    With an `encoder` the file is encoded by it while the caller goes on; its result, or its error, comes from
    `Enlarged.written`.
    """
    started = time.perf_counter()
    done: list[Done] = []
    reports: list[Report] = []
    depth = bit_depth or pixels.best_bit_depth(out)
    pixels.check_plan(out, depth, dpi)  # better known now than after the first stages
    for stage, size_px in stages[:-1]:
        picture, did, report = in_memory(picture, stage, size_px, machine, watch)
        done.append(did)
        reports.append(report)
    stage, wanted_px = stages[-1]
    size_px = stage_size(picture, stage, wanted_px, load_upscaler(stage.model, machine.device, machine.dtype))
    written: Future[None] | None = None
    with ExitStack() as unfinished:
        canvas = unfinished.enter_context(pixels.Canvas(out, *size_px, bit_depth=depth, dpi=dpi, overwrite=overwrite))
        did, report = run_stage(picture, stage, size_px, machine, canvas, watch)
        done.append(did)
        reports.append(report)
        recipe = resolved(out, origin, done, machine, depth, dpi)
        if encoder is None:
            canvas.commit(recipe)
        else:
            written = encoder.submit(canvas.commit, recipe)
            unfinished.pop_all()  # `commit` closes the canvas itself
    guided = [d.guided for d in done if load_upscaler(d.stage.model, machine.device, machine.dtype).guide_channels]
    return Enlarged(
        out,
        size_px,
        tuple(d.stage.model for d in done),
        any(guided) if guided else None,
        tuple(reports),
        time.perf_counter() - started,
        written=written,
    )


def keep(
    picture: Tensor, out: Path, origin: Origin, machine: Machine, bit_depth: int = 8, overwrite: bool = False
) -> Enlarged:
    """Write a picture (1, 3, H, W) as it is, with its recipe."""
    recipe = resolved(out, origin, [], machine, bit_depth, None)
    pixels.write(out, picture, bit_depth=bit_depth, recipe=recipe, overwrite=overwrite)
    return Enlarged(out, (picture.shape[2], picture.shape[3]), (), None, (), 0.0)


def choose_models(picture: Tensor, to_px: int) -> tuple[str, ...]:
    """Which built-in models lead from this picture (1, 3, H, W) to a longer side of `to_px`."""
    longer, shorter = max(picture.shape[2:]), min(picture.shape[2:])
    chain: list[str] = []
    if shorter <= _SMALL_PX and find_face(picture) is not None:
        chain.append(_FACE_MODEL)
        longer = round(min(shorter, _FACE_PLANE_PX) * 8 * longer / shorter)
        if longer * _STRETCH >= to_px:
            return tuple(chain)
    passes = max(1, math.ceil(math.log(to_px / longer / _STRETCH, 8) - 1e-9))
    return tuple(chain + [_GENERAL_MODEL] * passes)


def plan_stages(
    picture: Tensor, models: tuple[str, ...], to_px: int, options: Enlarge, machine: Machine
) -> list[Sized]:
    """Each model with the size that its result shall have: the last one the wanted size, one before it all that it
    makes of the picture as it comes, but no more than is wanted."""
    height, width = picture.shape[2:]
    stages: list[Sized] = []
    here = max(height, width)
    for position, model in enumerate(models):
        upscaler = load_upscaler(model, machine.device, machine.dtype)
        plane_px = None
        if upscaler.guide_channels:  # its faces have a size
            plane_px = min(round(min(height, width) * here / max(height, width)), _FACE_PLANE_PX)
            here = round(plane_px * max(height, width) / min(height, width))
        here = min(here * upscaler.scale, to_px)
        stage = options.model_copy(update={"model": model, "plane_px": plane_px, "short_px": None})
        stages.append((stage, _scaled(height, width, to_px if position == len(models) - 1 else here)))
    return stages


def _scaled(height: int, width: int, longer_px: int) -> tuple[int, int]:
    ratio = longer_px / max(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
