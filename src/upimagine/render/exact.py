"""A picture of any size through a network that looks only so far: tiles with a halo, equal to the whole picture's run.

Each tile is a core and, on every side that is not the picture's own edge, a halo at least as wide as the network looks.
The network runs on core and halo, the halo's share of the output is thrown away, and the cores are laid side by side:
nothing is blended. At the picture's edges the network pads as it would for the whole picture. All tiles have one size
and go alone into the network, so that the kernels picked for them are those of a larger picture, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.journal import Journal
from upimagine.render.network import NetworkCalls
from upimagine.render.overlap import Finisher
from upimagine.render.sinks import Sink, skip
from upimagine.roles import Upscaler


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in low-res pixels: what is shown to the network, and what is kept of it."""

    start: int
    end: int
    core_start: int
    core_end: int


def axis_spans(length_px: int, core_px: int, halo_px: int) -> tuple[Span, ...]:
    """Cores of core_px side by side over the axis, the last one shorter, each with its halo as far as the axis goes.

    All windows are equally long, or the whole axis: those at its ends reach further in than they need, since kernels
    are picked by size and differ in the last bits.
    """
    return tuple(span_at(start, length_px, core_px, halo_px) for start in range(0, length_px, core_px))


def span_at(start_px: int, length_px: int, core_px: int, halo_px: int) -> Span:
    """The span whose core begins at start_px."""
    window_px = min(core_px + 2 * halo_px, length_px)
    begin = min(max(start_px - halo_px, 0), length_px - window_px)
    return Span(begin, begin + window_px, start_px, min(start_px + core_px, length_px))


def halo_of(radius_px: float, align_px: int) -> int:
    """The smallest halo that holds the radius and keeps tiles on the network's grid."""
    return math.ceil(radius_px / align_px) * align_px


def enlarge_exactly(
    plane: Tensor,
    upscaler: Upscaler,
    sink: Sink,
    calls: NetworkCalls,
    finisher: Finisher,
    *,
    core_px: int,
    journal: Journal | None = None,
    progress: Callable[[int, int], None] | None = None,
    let_go: Callable[[], None] = lambda: None,
) -> tuple[int, int]:
    """Enlarge (1, C, h, w) in [-1, 1] into the sink, tile row by tile row; returns (tile rows, tile columns).

    core_px is rounded up to the network's alignment. Memory holds one tile row of the output. Out of memory on a
    single tile halves the core from that tile row on; the result stays the same.

    Raises UpimagineError when the network sees its whole input, when the picture is not on the network's grid, when
    the smallest tile does not fit into memory, and for outputs of the wrong shape or that are not numbers.
    """
    if upscaler.radius_px is None:
        raise UpimagineError("this network sees its whole tile: its tiles cannot equal the whole picture, blend them")
    align, scale = upscaler.align_px, upscaler.scale
    height, width = plane.shape[2:]
    if height % align or width % align:
        raise UpimagineError(f"picture of {width}x{height} px: this network takes multiples of {align} px a side")
    halo = halo_of(upscaler.radius_px, align)
    core_px = max(align, math.ceil(core_px / align) * align)
    top, rows = 0, 0
    if journal is not None and (state := journal.load()) is not None:
        top, rows, core_px, calls.batch = (int(number) for number in state["next"])
        skip(sink, top * scale)
    while top < height:
        columns = axis_spans(width, core_px, halo)
        row = span_at(top, height, core_px, halo)
        try:
            strip = _row(plane, row, columns, upscaler, calls)
        except UpimagineError:
            smaller = core_px // 2 // align * align
            if smaller == 0 or not calls.out_of_memory:
                raise
            core_px, calls.out_of_memory = smaller, False
            continue
        finisher.begin(partial(sink.write_rows, strip.clamp_(-1.0, 1.0)))
        top, rows = row.core_end, rows + 1
        let_go()
        if journal is not None and top < height and journal.due():
            finisher.settle()
            journal.save({"next": torch.tensor([top, rows, core_px, calls.batch])})
        if progress is not None:
            progress(top * scale, height * scale)
    finisher.settle()
    return rows, len(axis_spans(width, core_px, halo))


def _row(plane: Tensor, row: Span, columns: tuple[Span, ...], upscaler: Upscaler, calls: NetworkCalls) -> Tensor:
    """One tile row of the output, (3, rows, W) on the CPU."""
    scale = upscaler.scale
    strip = torch.empty(3, (row.core_end - row.core_start) * scale, plane.shape[3] * scale)
    band = plane[0, :, row.start : row.end]
    tiles = torch.stack([band[:, :, span.start : span.end] for span in columns])
    down = slice((row.core_start - row.start) * scale, (row.core_end - row.start) * scale)

    def store(items: slice, outputs: Tensor) -> None:
        wanted = (items.stop - items.start, 3, tiles.shape[2] * scale, tiles.shape[3] * scale)
        if outputs.shape != wanted:
            raise UpimagineError(f"network gave shape {tuple(outputs.shape)} where its scale promises {wanted}")
        if not outputs.isfinite().all():
            raise UpimagineError(f"network gave NaN or infinity at row {row.core_start}: use float32")
        for span, output in zip(columns[items], outputs.float().cpu(), strict=True):
            across = slice((span.core_start - span.start) * scale, (span.core_end - span.start) * scale)
            strip[:, :, span.core_start * scale : span.core_end * scale] = output[:, down, across]

    # On a processor one tile a call, as the whole picture would be: other kernels are picked for batches.
    at_once = 1 if plane.device.type == "cpu" else None
    calls.run(
        len(columns),
        lambda items: upscaler.upscale(tiles[items]),
        store,
        lambda item: f"the tile at {columns[item].core_start}, {row.core_start}",
        at_once=at_once,
    )
    return strip
