"""Up-imagine any picture to any size, through one or more models."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from upimagine import pixels
from upimagine.data.rasters import Rasters
from upimagine.errors import UpimagineError
from upimagine.make.chain import choose_models, plan_stages, scales_of
from upimagine.make.journal import EVERY_S, FileJournal, tidy
from upimagine.make.machine import memory_told, settle
from upimagine.make.output import check_room, open_output, settled
from upimagine.make.source import Source, open_source
from upimagine.make.stages import (
    SMALLEST_PX,
    Machine,
    Sized,
    Watch,
    check_size,
    file_sha256,
    in_memory,
    load_rivals,
    resolved,
    run_stage,
    seen_from,
    stage_size,
)
from upimagine.recipe import Done, Enlarge, Origin, Print
from upimagine.render.enlarge import Report
from upimagine.render.seams import Seams


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
    guide: Path | None = None,
    options: Enlarge | None = None,
    printing: Print | None = None,
    strict: bool = False,
    slides: bool = False,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
    planned: Callable[[tuple[float, ...]], None] = lambda scales: None,
    save_every_s: float = EVERY_S,
) -> Enlarged:
    """Up-imagine a picture file so that its longer side has `to_px` pixels, and write it with its recipe inside.

    Without `models` they are chosen: small pictures (short side up to 192 px) with a face start with portrait-x8,
    detail-x8 does the rest in as many passes as the size asks for. What a picture shows is kept, whatever its size:
    only what is finer is invented. `guide` is a raster file, or a folder of them under the pictures' names, for models
    that learned with such. Transparency is enlarged beside the colours where the format of `out` has it, else
    transparent places become white; EXIF and XMP come along. `options` sets candidates, stride and so on for
    every stage (its `model` and sizes are ignored), `printing` how the file is written. `strict` renders anew on a
    shifted grid when seams are visible, and then gives up. `slides` also writes every pass before the last. Before the
    first tile `planned` is called with what each model multiplies the picture's sides by.

    If the process dies, the same call goes on where it was at most `save_every_s` seconds before.
    Raises PictureError for a picture that cannot be used, UpimagineError for models and outputs, and for visible seams.
    """
    if not overwrite:  # else what is there may be the picture that is to be replaced, not one that has just come to be
        tidy(Path(out))
    out = pixels.claim(out, overwrite)
    machine = machine or settle()
    if to_px < SMALLEST_PX:
        raise UpimagineError(f"--to {to_px} is too small; ask for at least {SMALLEST_PX} pixels")
    with memory_told(str(picture)):
        opened, source = open_source(picture, keep_alpha=pixels.holds_alpha(out))
        check_size(opened, str(picture))
        kept = pixels.Mapped(opened, out.parent)
        opened = kept.tensor

        def go_on(what: str, done: int, total: int) -> None:
            kept.let_go()
            watch(what, done, total)

        chain = models or choose_models(opened, to_px)
        options = options or Enlarge(model=chain[0], keep_detail=True)
        if guide is not None:
            options = options.model_copy(update={"guide": str(Rasters(guide).path_of(Path(picture)))})
        stages = plan_stages(opened, chain, to_px, options, machine)
        planned(scales_of(opened, stages, machine))
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
    if (size_px := stages[-1][1]) is not None:
        check_room(out, size_px, printing, source)
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
                written = encoder.submit(_commit, opened.canvas, recipe, journal)
                unfinished.pop_all()  # which `_commit` does, later
        return Enlarged(
            out,
            opened.layout.full_px,
            tuple(each.stage.model for each in done),
            _guided(done, self.machine),
            tuple(reports),
            0.0,
            written=written,
            resumed=resumed,
        )

    def _identity(self, size_px: tuple[int, int]) -> str:
        """Everything that the pixels depend on, as text."""
        models = [upscaler.file.sha256 for stage, _ in self.stages for upscaler in load_rivals(stage, self.machine)]
        models += [file_sha256(Path(stage.guide)) for stage, _ in self.stages if stage.guide is not None]
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


def _commit(canvas: pixels.Canvas, recipe: str, journal: FileJournal | None) -> None:
    """Encode the file; whether that went well or not, there is nothing to go on with then."""
    try:
        canvas.commit(recipe)  # which closes the canvas
    finally:
        if journal is not None:
            journal.forget()


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
