"""Up-imagine any picture to any size, through one or more models."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.journal import EVERY_S, FileJournal, tidy
from upimagine.make.machine import settle
from upimagine.make.output import open_output, settled
from upimagine.make.source import Source, open_source
from upimagine.make.stages import (
    SMALLEST_PX,
    Machine,
    Sized,
    Watch,
    check_size,
    in_memory,
    load_rivals,
    resolved,
    run_stage,
    seen_from,
    stage_size,
)
from upimagine.models.loaded import load_upscaler
from upimagine.recipe import Done, Enlarge, Origin, Print
from upimagine.render.enlarge import Report
from upimagine.render.seams import Seams

#: Short side of the plane on which the built-in network with a face guide learned its faces.
_FACE_PLANE_PX = 96
#: Short side up to which a picture with a face is taken for a small portrait.
_SMALL_PX = 192
#: A plane may be this much larger than the picture, plainly resampled, before another pass pays.
_STRETCH = 1.5
_GENERAL_MODEL = "detail-x8"
_FACE_MODEL = "portrait-x8"


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
    resumed: bool = False  # it went on where an earlier process had stopped
    shifted: bool = False  # seams were seen, and it was rendered anew on a shifted grid
    scales: tuple[int, ...] = ()  # of the models

    @property
    def outside_share(self) -> float:
        """Share of `seconds` spent outside the networks: guide, planes, choosing, blending, encoding; 0 to 1."""
        return 1 - sum(report.network_s for report in self.reports) / max(self.seconds, 1e-9)

    @property
    def seams(self) -> Seams:
        """Of the last stage."""
        return self.reports[-1].seams


def enlarge(
    picture: str | Path,
    out: str | Path,
    *,
    to_px: int = 4096,
    models: tuple[str, ...] = (),
    options: Enlarge | None = None,
    printing: Print | None = None,
    strict: bool = False,
    slides: bool = False,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
    save_every_s: float = EVERY_S,
) -> Enlarged:
    """Up-imagine a picture file so that its longer side has `to_px` pixels, and write it with its recipe inside.

    Without `models` they are chosen: small pictures (short side up to 192 px) with a face start with portrait-x8,
    detail-x8 does the rest in as many passes as the size asks for. What a picture shows is kept, whatever its size:
    only what is finer is invented. Transparency is enlarged beside the colours where the format of `out` has it, else
    transparent places become white; EXIF and XMP come along. `options` sets candidates, stride and so on for
    every stage (its `model` and sizes are ignored), `printing` how the file is written. `strict` renders anew on a
    shifted grid when seams are visible, and then gives up. `slides` also writes every pass before the last.

    If the process dies, the same call goes on where it was at most `save_every_s` seconds before.
    Raises PictureError for a picture that cannot be used, UpimagineError for models and outputs, and for visible seams.
    """
    tidy(Path(out))
    out = pixels.claim(out, overwrite)
    machine = machine or settle()
    if to_px < SMALLEST_PX:
        raise UpimagineError(f"--to {to_px} is too small; ask for at least {SMALLEST_PX} pixels")
    opened, source = open_source(picture, keep_alpha=pixels.holds_alpha(out))
    check_size(opened, str(picture))
    kept = pixels.Mapped(opened, out.parent)
    opened = kept.tensor

    def go_on(what: str, done: int, total: int) -> None:
        kept.let_go()
        watch(what, done, total)

    chain = models or choose_models(opened, to_px)
    options = options or Enlarge(model=chain[0], keep_detail=True)
    stages = plan_stages(opened, chain, to_px, options, machine)
    origin = Origin(picture=seen_from(out, picture), picture_sha256=file_sha256(Path(picture)))
    done = finish(
        opened, stages, out, origin, machine,
        printing=printing, source=source, strict=strict, slides=slides, overwrite=overwrite, watch=go_on,
        save_every_s=save_every_s,
    )  # fmt: skip
    return dataclasses.replace(done, flattened=source.flattened)


def finish(
    picture: Tensor,
    stages: Sequence[Sized],
    out: Path,
    origin: Origin,
    machine: Machine,
    *,
    printing: Print | None = None,
    source: Source | None = None,
    strict: bool = False,
    slides: bool = False,
    overwrite: bool = False,
    watch: Watch = lambda what, done, total: None,
    encoder: Executor | None = None,
    save_every_s: float | None = None,
) -> Enlarged:
    """Run all stages, the last one streamed into the file, and embed the recipe.

    With an `encoder` the file is encoded by it while the caller goes on; its result, or its error, comes from
    `Enlarged.written`. With `save_every_s` the rendering can go on after its process died; see `make.journal`.
    """
    started = time.perf_counter()
    printing = settled(out, printing or Print())  # what cannot be is better known now than after the first stages
    source = source or Source()
    for attempt in range(2 if strict else 1):
        grid = stages if attempt == 0 else shifted(stages)
        rendering = _Rendering(picture, grid, out, origin, machine, printing, source)
        done = rendering.run(
            slides=slides, overwrite=overwrite, watch=watch, encoder=encoder, save_every_s=save_every_s, strict=strict
        )
        if done is not None:
            seconds = time.perf_counter() - started
            return dataclasses.replace(done, seconds=seconds, shifted=attempt > 0)
    raise UpimagineError(
        f"{out}: the grid of tiles shows ({rendering.seen}), on a shifted grid too; "
        "use another --blend or a smaller --stride, or leave --strict away"
    )


def shifted(stages: Sequence[Sized]) -> list[Sized]:
    """The same stages on grids that lie half a stride further."""
    return [
        (stage.model_copy(update={"shift_px": stage.shift_px + stage.stride_px // 2}), size) for stage, size in stages
    ]


@dataclass
class _Rendering:
    """One attempt at a picture."""

    picture: Tensor
    stages: Sequence[Sized]
    out: Path
    origin: Origin
    machine: Machine
    printing: Print
    source: Source
    seen: Seams | None = None  # visible seams that made a strict attempt fail

    def run(
        self,
        *,
        slides: bool,
        overwrite: bool,
        watch: Watch,
        encoder: Executor | None,
        save_every_s: float | None,
        strict: bool,
    ) -> Enlarged | None:
        """Render into the file; None where seams are visible and that is not allowed."""
        picture, out = self.picture, self.out
        done: list[Done] = []
        reports: list[Report] = []
        slide = _Slides(out, overwrite) if slides else None
        for stage, size_px in self.stages[:-1]:
            picture, did, report = in_memory(picture, stage, size_px, self.machine, watch, slide)
            if slide is not None:
                slide(picture)
            done.append(did)
            reports.append(report)
        stage, wanted_px = self.stages[-1]
        size_px = stage_size(picture, stage, wanted_px, load_rivals(stage, self.machine)[0])
        journal = None if save_every_s is None else FileJournal(out, self._identity(size_px), save_every_s)
        resumed = journal is not None and journal.rows > 0
        written: Future[None] | None = None
        opened = open_output(out, size_px, self.printing, self.source, overwrite=overwrite, journal=journal)
        with ExitStack() as unfinished:
            unfinished.enter_context(opened.canvas)
            if journal is not None:
                unfinished.push(partial(_forget_unless_interrupted, journal))
            did, report = run_stage(
                picture, stage, size_px, self.machine, opened.sink, watch, journal, slide, folder=out.parent
            )
            done.append(did)
            reports.append(report)
            if strict and any(report.seams.visible for report in reports):
                self.seen = next(report.seams for report in reports if report.seams.visible)
                return None
            recipe = resolved(out, self.origin, done, self.machine, self.printing, self.source.alpha is not None)
            if encoder is None:
                opened.canvas.commit(recipe)
            else:
                written = encoder.submit(opened.canvas.commit, recipe)
                unfinished.pop_all()  # `commit` closes the canvas itself
        return Enlarged(
            out,
            opened.layout.full_px,
            tuple(each.stage.model for each in done),
            _guided(done, self.machine),
            tuple(reports),
            0.0,
            written=written,
            resumed=resumed,
            scales=tuple(load_rivals(each.stage, self.machine)[0].scale for each in done),
        )

    def _identity(self, size_px: tuple[int, int]) -> str:
        """Everything that the pixels depend on, as text."""
        models = [upscaler.file.sha256 for stage, _ in self.stages for upscaler in load_rivals(stage, self.machine)]
        plain = resolved(self.out, self.origin, [], self.machine, self.printing, self.source.alpha is not None)
        return json.dumps([plain, models, size_px, [(stage.model_dump_json(), size) for stage, size in self.stages]])


class _Slides:
    """Writes the passes before the last beside the output, as NAME-pass-1.png and so on."""

    def __init__(self, out: Path, overwrite: bool) -> None:
        self._out, self._overwrite, self._count = out, overwrite, 0

    def __call__(self, picture: Tensor) -> None:
        self._count += 1
        path = self._out.with_name(f"{self._out.stem}-pass-{self._count}.png")
        pixels.write(path, picture, overwrite=self._overwrite)


def _forget_unless_interrupted(journal: FileJournal, kind: type[BaseException] | None, *_: object) -> None:
    """Ctrl-C leaves what the same command can go on with, if there is any; an error would only come again."""
    if kind is None or not issubclass(kind, KeyboardInterrupt) or not journal.path.exists():
        journal.forget()


def _guided(done: Sequence[Done], machine: Machine) -> bool | None:
    guided = [each.guided for each in done if load_rivals(each.stage, machine)[0].guide_channels]
    return any(guided) if guided else None


def keep(
    picture: Tensor, out: Path, origin: Origin, machine: Machine, bit_depth: Literal[8, 16] = 8, overwrite: bool = False
) -> Enlarged:
    """Write a picture (1, 3, H, W) as it is, with its recipe."""
    recipe = resolved(out, origin, [], machine, Print(bit_depth=bit_depth, dpi=None))
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
