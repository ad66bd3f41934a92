"""One enlargement of one picture, from a recipe's stage to rows in a sink."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upimagine import __version__, pixels
from upimagine.data.rasters import Rasters
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.faces import tender_places
from upimagine.guide.kinds import guide_named
from upimagine.models.builtin import builtin_models
from upimagine.models.loaded import LoadedUpscaler, load_upscaler
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Done, Enlarge, Origin, Print, Resolved
from upimagine.render.enlarge import MemorySink, Report, Settings, Sink, enlarge
from upimagine.render.journal import Journal
from upimagine.render.sinks import CroppedSink

_NEARLY = 1.1  # a plane this much smaller than the picture still counts as all of it
SMALLEST_PX = 8  # a picture with a shorter side has nothing to go by

Sized = tuple[Enlarge, tuple[int, int] | None]
"""A stage and the (height, width) wanted of it, if any."""

Watch = Callable[[str, int, int], None]
"""Called with (what is being done, done so far, in all)."""


@dataclass(frozen=True)
class Machine:
    """Where and how networks run; part of every recipe, since other numbers come out elsewhere."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1


def run_stage(
    picture: Tensor,
    stage: Enlarge,
    size_px: tuple[int, int] | None,
    machine: Machine,
    sink: Sink,
    watch: Watch,
    journal: Journal | None = None,
    slide: Callable[[Tensor], None] | None = None,
    folder: Path | None = None,
) -> tuple[Done, Report]:
    """Enlarge (1, 3, H, W) in [-1, 1] through one stage into the sink, (height, width) as `stage_size` says.

    The plane is the picture with its short side brought to `stage.plane_px`; without that, just large enough for the
    size. What the network makes of it beyond the size, by less than a plane pixel, is cropped evenly; any other
    difference is resampled. Large planes wait in nameless files in `folder`, if it is given. Of several passes only the
    last goes into the sink, the others (1, 3, H, W) to `slide`.
    """
    upscaler, *rivals = load_rivals(stage, machine)
    picture = picture.to(machine.device)
    size_px = stage_size(picture, stage, size_px, upscaler)
    *before, (last, plane_px) = passes_of(stage, _plane_size(picture, stage, size_px, upscaler), upscaler.window_px)
    for one, smaller_px in before:
        made = MemorySink()
        _one_pass(picture, one, smaller_px, None, machine, made, watch, None, folder)
        picture = made.picture().to(machine.device)
        if slide is not None:
            slide(picture)
    guided, report = _one_pass(picture, last, plane_px, size_px, machine, sink, watch, journal, folder)
    # What was used in the end stands in the recipe, so that making it again needs no second discovery.
    used = stage.model_copy(update={"batch": report.batch_tiles, "stride_px": report.plan.stride_px})
    done = Done(
        stage=used,
        model_sha256=upscaler.file.sha256,
        also_sha256=tuple(rival.file.sha256 for rival in rivals),
        plane_px=plane_px,
        size_px=size_px,
        guided=guided,
        guide_sha256=None if stage.guide is None else file_sha256(Path(stage.guide)),
        tiles=(report.plan.rows, report.plan.cols),
        steady=report.batch_tiles == stage.batch,
        winners=report.winners,
    )
    return done, report


def passes_of(stage: Enlarge, plane_px: tuple[int, int], window_px: int) -> list[tuple[Enlarge, tuple[int, int]]]:
    """Each pass as a stage with its plane: the last one on the whole, each before it smaller by `stage.growth`.

    As in the pix2pix up-imagining of abstract art, every pass sees what the last one made, on a grid that lies half a
    stride further, so that no place is always at a tile's edge.
    """
    passes = []
    stride_px = min(stage.stride_px, window_px)
    for number in range(stage.passes):
        smaller = stage.growth ** (stage.passes - 1 - number)
        height, width = (max(SMALLEST_PX, round(px / smaller)) for px in plane_px)
        new = {
            "shift_px": (stage.shift_px + number * stride_px // 2) % stride_px,
            "keep_detail": stage.keep_detail and number == 0,
        }
        passes.append((stage.model_copy(update=new), (height, width)))
    return passes


def _one_pass(
    picture: Tensor,
    stage: Enlarge,
    plane_px: tuple[int, int],
    size_px: tuple[int, int] | None,
    machine: Machine,
    sink: Sink,
    watch: Watch,
    journal: Journal | None,
    folder: Path | None,
) -> tuple[bool, Report]:
    """One pass into the sink, (height, width) or all that the network makes: whether a face guided, and the report."""
    upscaler, *rivals = load_rivals(stage, machine)
    kept: list[pixels.Mapped] = []

    def keep(tensor: Tensor) -> Tensor:
        if folder is None:
            return tensor
        kept.append(pixels.Mapped(tensor, folder))
        return kept[-1].tensor

    def let_go() -> None:
        for each in kept:
            each.let_go()

    plane = keep(resize_antialiased(picture, plane_px))
    reference = _reference(picture, plane_px, upscaler) if stage.keep_detail else None
    guide = _guide(upscaler, stage, picture, plane_px) if upscaler.guide_channels else None
    full_px = (plane_px[0] * upscaler.scale, plane_px[1] * upscaler.scale)
    size_px = size_px or full_px
    overhang = (full_px[0] - size_px[0], full_px[1] - size_px[1])
    resampled = MemorySink() if not all(0 <= px < upscaler.scale for px in overhang) else None
    if overhang != (0, 0) and resampled is None:
        sink = CroppedSink(sink, overhang[0] // 2, overhang[1] // 2, *size_px)
    report = enlarge(
        plane,
        [upscaler, *rivals],
        guide=guide,
        critic=upscaler.critic if stage.realism > 0 else None,
        settings=render_settings(stage, upscaler.window_px),
        sink=resampled or sink,
        reference=None if reference is None else keep(reference),
        avoid=None if stage.blend == "feather" else tender_places(picture, plane_px),
        # Rows that wait in memory to be resampled would be lost.
        journal=journal if resampled is None else None,
        progress=lambda done, total: watch(f"enlarging with {stage.model}", done, total),
        let_go=let_go,
    )
    if resampled is not None:
        sink.write_rows(resize_antialiased(resampled.picture(), size_px)[0])
    return guide is not None, report


def load_rivals(stage: Enlarge, machine: Machine) -> list[LoadedUpscaler]:
    """The stage's model and those that compete with it."""
    return [load_upscaler(model, machine.device, machine.dtype) for model in (stage.model, *stage.also)]


def _guide(upscaler: LoadedUpscaler, stage: Enlarge, picture: Tensor, plane_px: tuple[int, int]) -> Tensor | None:
    """What the network learned with: drawn of the picture (1, 3, H, W), or the stage's raster file, on the plane.

    Raises UpimagineError when it wants a raster and has none, PictureError when that does not fit the picture.
    """
    if (drawing := guide_named(upscaler.guide_kind, stage.finder)) is not None:
        return drawing.draw(picture, plane_px)
    if stage.guide is None:
        raise UpimagineError(
            f"{stage.model} learned with guides drawn beside its pictures; give --guide FILE or FOLDER"
        )
    path = Path(stage.guide)
    raster = Rasters(path, upscaler.guide_palette).of(path, (picture.shape[2], picture.shape[3]))
    return resize_antialiased(raster, plane_px).to(picture.device)


def _reference(picture: Tensor, plane_px: tuple[int, int], upscaler: LoadedUpscaler) -> Tensor | None:
    """The picture at the smallest whole multiple of the plane that loses nothing of it; None when the plane does."""
    ratio = min(picture.shape[2] / plane_px[0], picture.shape[3] / plane_px[1])
    if ratio <= _NEARLY or min(plane_px) < upscaler.window_px:
        return None
    multiples = [k for k in range(2, upscaler.scale + 1) if upscaler.scale % k == 0]
    k = next((k for k in multiples if k * _NEARLY >= ratio), upscaler.scale)
    return resize_antialiased(picture, (plane_px[0] * k, plane_px[1] * k))


def render_settings(stage: Enlarge, window_px: int) -> Settings:
    """A recipe's stage in the renderer's words, for a network with this window."""
    return Settings(
        stride_px=min(stage.stride_px, window_px),
        blend=stage.blend,
        feather_px=stage.feather_px,
        flips=stage.flips,
        contrasts=stage.contrasts,
        saturations=stage.saturations,
        noise_seeds=stage.noise_seeds,
        noise=stage.noise,
        best_of=stage.best_of,
        wrap=stage.wrap,
        border_px=stage.border_px,
        shift_px=stage.shift_px,
        realism=stage.realism,
        sharpness=stage.sharpness,
        contrast=stage.contrast,
        veto_db=stage.veto_db,
        floor_db=stage.floor_db,
        agreement=stage.agreement,
        tone_match=stage.tone_match,
        batch_tiles=stage.batch,
    )


def in_memory(
    picture: Tensor,
    stage: Enlarge,
    size_px: tuple[int, int] | None,
    machine: Machine,
    watch: Watch,
    slide: Callable[[Tensor], None] | None = None,
) -> tuple[Tensor, Done, Report]:
    """`run_stage` into memory: the enlarged picture (1, 3, H, W) for the next stage."""
    sink = MemorySink()
    done, report = run_stage(picture, stage, size_px, machine, sink, watch, slide=slide)
    return sink.picture(), done, report


def resolved(out: Path, origin: Origin, done: list[Done], machine: Machine, output: Print, alpha: bool = False) -> str:
    """The recipe that goes into the output `out`, as JSON; models of one's own are named as seen from there."""
    named = []
    for each in done:
        seen = {
            "model": seen_from(out, each.stage.model),
            "also": tuple(seen_from(out, model) for model in each.stage.also),
            "guide": None if each.stage.guide is None else seen_from(out, each.stage.guide),
        }
        named.append(each.model_copy(update={"stage": each.stage.model_copy(update=seen)}))
    if origin.model is not None:
        origin = origin.model_copy(update={"model": seen_from(out, origin.model)})
    recipe = Resolved.model_validate(
        {
            "upimagine": __version__,
            "torch": torch.__version__,
            "device": machine.device,
            "dtype": machine.dtype,
            "threads": machine.threads,
            "output": output,
            "alpha": alpha,
            "origin": origin,
            "enlarge": tuple(named),
        }
    )
    return recipe.model_dump_json()


def seen_from(out: Path, name: str | Path) -> str:
    """The way from an output's folder to a file, or a built-in model's name as it is.

    It survives moving both, and tells strangers no home folder.
    """
    if str(name) in builtin_models():
        return str(name)
    try:
        way = os.path.relpath(Path(name).resolve(), out.parent.resolve())
    except ValueError:  # on another drive
        way = Path(name).name
    return os.fsencode(Path(way).as_posix()).decode("utf-8", "replace")


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file. Raises UpimagineError when it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UpimagineError(f"{path} cannot be read ({(error.strerror or str(error)).lower()})") from error


def check_size(picture: Tensor, name: str) -> None:
    """Raise PictureError for a picture too small to go by."""
    height, width = picture.shape[-2:]
    if min(height, width) < SMALLEST_PX:
        raise PictureError(f"{name} is only {width}x{height} pixels; give a picture of at least {SMALLEST_PX} each way")


def stage_size(
    picture: Tensor, stage: Enlarge, size_px: tuple[int, int] | None, upscaler: LoadedUpscaler
) -> tuple[int, int]:
    """(height, width) of a stage's result: as wanted, else `stage.short_px`, else all that the network makes."""
    if size_px is not None:
        return size_px
    height, width = picture.shape[2:]
    if stage.short_px is not None:
        return _with_short_side(height, width, stage.short_px)
    plane = (height, width) if stage.plane_px is None else _with_short_side(height, width, stage.plane_px)
    return plane[0] * upscaler.scale, plane[1] * upscaler.scale


def _plane_size(picture: Tensor, stage: Enlarge, size_px: tuple[int, int], upscaler: LoadedUpscaler) -> tuple[int, int]:
    if stage.plane_px is not None:
        return _with_short_side(picture.shape[2], picture.shape[3], stage.plane_px)
    return math.ceil(size_px[0] / upscaler.scale), math.ceil(size_px[1] / upscaler.scale)


def _with_short_side(height: int, width: int, short_px: int) -> tuple[int, int]:
    ratio = short_px / min(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))
