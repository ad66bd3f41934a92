"""Up-imagine any picture to any size, through one or more models."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.machine import settle
from upimagine.make.stages import Machine, Watch, check_size, full_size, in_memory, resolved, run_stage
from upimagine.models.loaded import load_upscaler
from upimagine.recipe import Done, Enlarge, Origin
from upimagine.render.enlarge import Report

#: Short side of the plane on which a network with a face guide learned its faces; a little more does no harm.
_FACE_PLANE_PX = 128
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
    dpi: float = 300,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Enlarged:
    """Up-imagine a picture file so that its longer side has `to_px` pixels, and write it with its recipe inside.

    Without `models` they are chosen: small pictures (short side up to 192 px) with a face start with portrait-x8,
    detail-x8 does the rest in as many passes as the size asks for. `options` sets candidates, stride and so on for
    every stage (its `model` and `plane_px` are ignored). `bit_depth` None takes 16 where the format can hold it.
    Raises PictureError for a picture that cannot be used, UpimagineError for models and outputs.
    """
    if bit_depth not in (None, 8, 16):
        raise UpimagineError(f"--bit-depth {bit_depth} cannot work; choose 8 or 16")
    out = pixels.claim(out, overwrite)
    machine = machine or settle()
    opened = pixels.read(picture).pixels[None]  # (1, 3, H, W) in [-1, 1]
    check_size(opened, str(picture))
    if to_px < 8:
        raise UpimagineError(f"--to {to_px} is too small; ask for at least 8 pixels")
    chain = models or choose_models(opened, to_px)
    options = options or Enlarge(model=chain[0])
    stages = plan_stages(opened, chain, to_px, options, machine)
    origin = Origin(picture=_seen_from(out.parent, Path(picture)), picture_sha256=file_sha256(Path(picture)))
    return finish(opened, stages, out, origin, machine, bit_depth=bit_depth, dpi=dpi, overwrite=overwrite, watch=watch)


def finish(
    picture: Tensor,
    stages: Sequence[Sized],
    out: Path,
    origin: Origin,
    machine: Machine,
    *,
    bit_depth: int | None = None,
    dpi: float = 300,
    overwrite: bool = False,
    watch: Watch = lambda what, done, total: None,
    before: tuple[Done, ...] = (),
) -> Enlarged:
    """Run all stages, the last one streamed into the file, and embed the recipe.

    `before` are enlargements that `picture` has already been through, for the recipe.
    """
    started = time.perf_counter()
    done: list[Done] = list(before)
    reports: list[Report] = []
    for stage, size_px in stages[:-1]:
        picture, did, report = in_memory(picture, stage, size_px, machine, watch)
        done.append(did)
        reports.append(report)
    stage, size_px = stages[-1]
    if size_px is None:
        size_px = full_size(picture, stage, load_upscaler(stage.model, machine.device, machine.dtype))
    depth = bit_depth or pixels.best_bit_depth(out)
    with pixels.Canvas(out, *size_px, bit_depth=depth, dpi=dpi, overwrite=overwrite) as canvas:
        did, report = run_stage(picture, stage, size_px, machine, canvas, watch)
        done.append(did)
        reports.append(report)
        canvas.commit(recipe=resolved(origin, done, machine, depth, dpi))
    guided = [d.guided for d in done if load_upscaler(d.stage.model, machine.device, machine.dtype).guide_channels]
    return Enlarged(
        out,
        size_px,
        tuple(d.stage.model for d in done),
        any(guided) if guided else None,
        tuple(reports),
        time.perf_counter() - started,
    )


def choose_models(picture: Tensor, to_px: int) -> tuple[str, ...]:
    """Which built-in models lead from this picture (1, 3, H, W) to a longer side of `to_px`."""
    longer, shorter = max(picture.shape[2:]), min(picture.shape[2:])
    chain: list[str] = []
    size = longer
    if shorter <= 192 and find_face(picture) is not None:
        chain.append(_FACE_MODEL)
        size = round(_FACE_PLANE_PX * 8 * longer / shorter)
        if size >= to_px:
            return tuple(chain)
    passes = max(1, math.ceil(math.log(to_px / size, 8) - 1e-9)) if to_px > size or not chain else 0
    return tuple(chain + [_GENERAL_MODEL] * passes)


def plan_stages(
    picture: Tensor, models: tuple[str, ...], to_px: int, options: Enlarge, machine: Machine
) -> list[Sized]:
    """Each model with the size that its result shall have: the last one the wanted size, one before it at most what
    it can make of the picture as it comes."""
    height, width = picture.shape[2:]
    final = _scaled(height, width, to_px)
    stages: list[Sized] = []
    here = max(height, width)
    for position, model in enumerate(models):
        upscaler = load_upscaler(model, machine.device, machine.dtype)
        stage = options.model_copy(update={"model": model, "plane_px": None})
        if position == len(models) - 1:
            stages.append((stage, final))
            break
        plane = here
        if upscaler.guide_channels:  # its faces have a size
            plane = min(plane, round(_FACE_PLANE_PX * max(height, width) / min(height, width)))
        here = min(plane * upscaler.scale, to_px)  # more than the last plane could never be seen
        stages.append((stage, _scaled(height, width, here)))
    return stages


def _scaled(height: int, width: int, longer_px: int) -> tuple[int, int]:
    ratio = longer_px / max(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def _seen_from(folder: Path, picture: Path) -> str:
    """The way from the result's folder to the picture: it survives moving both, and tells strangers no home folder."""
    try:
        return Path(os.path.relpath(picture.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return picture.name


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
