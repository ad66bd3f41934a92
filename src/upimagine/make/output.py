"""The way of rows into a file: sharpening, bleed, transparency, canvas, as the print stage of a recipe says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upimagine import pixels
from upimagine.make.journal import FileJournal, Stateful, files_of
from upimagine.make.source import AlphaRows, Source
from upimagine.printing import BleedRows, PrintLayout, SharpenedRows, Sharpening
from upimagine.recipe import Print
from upimagine.render.enlarge import Sink

_SCREEN_DPI = 300.0  # what a width in millimetres means where no resolution is stated


@dataclass(frozen=True)
class Opened:
    """An output that takes rows."""

    canvas: pixels.Canvas
    sink: Sink
    """Takes rows of the picture itself."""
    layout: PrintLayout


def encoding_of(printing: Print) -> pixels.Encoding:
    """How the file is laid out."""
    return pixels.Encoding(
        space=printing.space,
        dither=printing.dither,
        quality=printing.quality,
        compression=printing.compression,
        tiled=printing.tiled,
    )


def settled(out: Path, printing: Print) -> Print:
    """The print stage with nothing left open. Raises PictureError for what the format of `out` cannot hold."""
    depth = printing.bit_depth or pixels.best_bit_depth(out)
    pixels.check_plan(out, depth, printing.dpi)
    sharpen = printing.sharpen
    if sharpen is not None and sharpen.radius_px is None:
        radius_px = Sharpening.for_print(printing.dpi or _SCREEN_DPI).radius_px
        sharpen = sharpen.model_copy(update={"radius_px": radius_px})
    return printing.model_copy(update={"bit_depth": depth, "sharpen": sharpen})


def check_room(out: Path, size_px: tuple[int, int], printing: Print, source: Source) -> None:
    """Raise UpimagineError where a picture of (height, width) cannot be written: too large for its format or the disk.

    `printing` as `settled` gives it. What an earlier process left to go on with needs no room again.
    """
    assert printing.bit_depth is not None
    spool = files_of(out)[1]
    pixels.check_room(
        out,
        *_layout(size_px, printing).full_px,
        alpha=source.alpha is not None,
        bit_depth=printing.bit_depth,
        dpi=printing.dpi,
        there_bytes=spool.stat().st_size if spool.exists() else 0,
    )


def open_output(
    out: Path,
    size_px: tuple[int, int],
    printing: Print,
    source: Source,
    *,
    overwrite: bool,
    journal: FileJournal | None = None,
) -> Opened:
    """Open the file for a picture of (height, width); `printing` as `settled` gives it.

    With a journal rows already there are kept. Raises UpimagineError as `pixels.Canvas`, and for a bleed wider than
    the picture.
    """
    layout = _layout(size_px, printing)
    bleed_px = layout.bleed_px
    assert printing.bit_depth is not None
    canvas = pixels.Canvas(
        out,
        *layout.full_px,
        alpha=source.alpha is not None,
        bit_depth=printing.bit_depth,
        dpi=printing.dpi,
        exif=source.exif,
        xmp=source.xmp,
        overwrite=overwrite,
        encoding=encoding_of(printing),
        spool=None if journal is None else journal.rows_path,
        keep_rows=0 if journal is None else journal.rows,
    )
    sink: Sink = canvas
    held: list[Stateful] = []
    if source.alpha is not None:
        sink = _hold(AlphaRows(canvas, source.alpha, size_px, bleed_px), held)
    if bleed_px:
        sink = _hold(BleedRows(sink, layout), held)
    if printing.sharpen is not None:
        sink = _hold(SharpenedRows(sink, size_px, _sharpening(printing)), held)
    if journal is not None:
        journal.attach(canvas, held)
    return Opened(canvas, sink, layout)


def _layout(size_px: tuple[int, int], printing: Print) -> PrintLayout:
    dpi = printing.dpi or _SCREEN_DPI
    return PrintLayout(size_px, round(printing.bleed_mm / 25.4 * dpi), dpi)


def _sharpening(printing: Print) -> Sharpening:
    sharpen = printing.sharpen
    assert sharpen is not None
    assert sharpen.radius_px is not None
    return Sharpening(
        radius_px=sharpen.radius_px, amount=sharpen.amount, threshold=sharpen.threshold, halo=sharpen.halo
    )


def _hold(sink: AlphaRows | BleedRows | SharpenedRows, held: list[Stateful]) -> Sink:
    held.append(sink)
    return sink
