"""One enlargement of one picture, from a recipe's stage to rows in a sink."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine import __version__
from upimagine.errors import PictureError
from upimagine.guide.faces import FaceGuide
from upimagine.models.loaded import LoadedUpscaler, load_upscaler
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Done, Enlarge, Origin, Resolved
from upimagine.render.enlarge import MemorySink, Report, Settings, Sink, enlarge

SMALLEST_PX = 8  # a picture with a shorter side has nothing to go by

Watch = Callable[[str, int, int], None]
"""Called with (what is being done, done so far, in all)."""


@dataclass(frozen=True)
class Machine:
    """Where and how networks run; part of every recipe, since other numbers come out elsewhere."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1


def run_stage(
    picture: Tensor, stage: Enlarge, size_px: tuple[int, int] | None, machine: Machine, sink: Sink, watch: Watch
) -> tuple[Done, Report]:
    """Enlarge (1, 3, H, W) in [-1, 1] through one stage into the sink.

    `size_px` is the wanted (height, width): the plane then has just enough pixels for it and the overhang of less
    than one plane pixel is cropped evenly. Without it the plane is the picture, its short side brought to
    `stage.plane_px` if that is set, and everything the network makes is kept.
    """
    upscaler = load_upscaler(stage.model, machine.device, machine.dtype)
    plane_px = _plane_size(picture, stage, size_px, upscaler)
    plane = picture if plane_px == tuple(picture.shape[2:]) else resize_antialiased(picture, plane_px)
    guide = FaceGuide().draw(picture, plane_px) if upscaler.guide_channels else None
    full_px = (plane_px[0] * upscaler.scale, plane_px[1] * upscaler.scale)
    if size_px is not None and size_px != full_px:
        sink = _Cropped(sink, full_px, size_px)
    settings = render_settings(stage, upscaler.window_px)
    critic = upscaler.critic if stage.realism > 0 else None
    report = enlarge(
        plane,
        upscaler,
        guide=guide,
        critic=critic,
        settings=settings,
        sink=sink,
        progress=lambda done, total: watch(f"enlarging with {stage.model}", done, total),
    )
    # What was used in the end stands in the recipe, so that making it again needs no second discovery.
    used = stage.model_copy(update={"batch": report.batch_tiles, "stride_px": settings.stride_px})
    done = Done(
        stage=used,
        model_sha256=upscaler.file.sha256,
        plane_px=plane_px,
        size_px=size_px or full_px,
        guided=guide is not None,
        tiles=(report.plan.rows, report.plan.cols),
        winners=report.winners,
    )
    return done, report


def render_settings(stage: Enlarge, window_px: int) -> Settings:
    """A recipe's stage in the renderer's words, for a network with this window."""
    return Settings(
        stride_px=min(stage.stride_px, window_px),
        feather_px=stage.feather_px,
        flips=stage.flips,
        contrasts=stage.contrasts,
        saturations=stage.saturations,
        realism=stage.realism,
        sharpness=stage.sharpness,
        contrast=stage.contrast,
        veto_db=stage.veto_db,
        agreement=stage.agreement,
        tone_match=stage.tone_match,
        batch_tiles=stage.batch,
    )


def in_memory(
    picture: Tensor, stage: Enlarge, size_px: tuple[int, int] | None, machine: Machine, watch: Watch
) -> tuple[Tensor, Done, Report]:
    """`run_stage` into memory: the enlarged picture (1, 3, H, W) for the next stage."""
    sink = MemorySink()
    done, report = run_stage(picture, stage, size_px, machine, sink, watch)
    return sink.picture(), done, report


def resolved(origin: Origin, done: list[Done], machine: Machine, bit_depth: int, dpi: float) -> str:
    """The recipe that goes into an output, as JSON."""
    recipe = Resolved(
        upimagine=__version__,
        torch=torch.__version__,
        device=machine.device,
        dtype=machine.dtype,
        threads=machine.threads,
        bit_depth=bit_depth,
        dpi=dpi,
        origin=origin,
        enlarge=tuple(done),
    )
    return recipe.model_dump_json()


def check_size(picture: Tensor, name: str) -> None:
    """Raise PictureError for a picture too small to go by."""
    height, width = picture.shape[-2:]
    if min(height, width) < SMALLEST_PX:
        raise PictureError(f"{name} is only {width}x{height} pixels; give a picture of at least {SMALLEST_PX} each way")


def _plane_size(
    picture: Tensor, stage: Enlarge, size_px: tuple[int, int] | None, upscaler: LoadedUpscaler
) -> tuple[int, int]:
    height, width = picture.shape[2:]
    if size_px is not None:
        return math.ceil(size_px[0] / upscaler.scale), math.ceil(size_px[1] / upscaler.scale)
    if stage.plane_px is None:
        return height, width
    ratio = stage.plane_px / min(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def full_size(picture: Tensor, stage: Enlarge, upscaler: LoadedUpscaler) -> tuple[int, int]:
    """(height, width) of everything that the stage makes of the picture when no size is wanted."""
    height, width = _plane_size(picture, stage, None, upscaler)
    return height * upscaler.scale, width * upscaler.scale


class _Cropped:
    """A sink that passes on only the middle of what it is given."""

    def __init__(self, sink: Sink, full_px: tuple[int, int], size_px: tuple[int, int]) -> None:
        self._sink = sink
        self._top, self._left = (full_px[0] - size_px[0]) // 2, (full_px[1] - size_px[1]) // 2
        self._height, self._width = size_px
        self._row = 0

    def write_rows(self, rows: Tensor) -> None:
        """Take (3, h, W) and pass on the part inside the crop."""
        first = max(self._top - self._row, 0)
        last = min(self._top + self._height - self._row, rows.shape[1])
        self._row += rows.shape[1]
        if first < last:
            self._sink.write_rows(rows[:, first:last, self._left : self._left + self._width].contiguous())
