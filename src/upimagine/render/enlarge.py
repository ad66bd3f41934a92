"""A picture of any size through a network that sees one small window: plan, invent, choose, blend, stream."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.bands import Bands
from upimagine.render.candidates import variants
from upimagine.render.choosing import Costs, as_costs, choose_row, overlap_differences
from upimagine.render.exact import enlarge_exactly
from upimagine.render.joined import JoinedBands
from upimagine.render.network import NetworkCalls
from upimagine.render.plan import TilePlan, plan_tiles
from upimagine.render.rows import CandidateRow, RowMaker
from upimagine.render.settings import Report, Settings
from upimagine.render.sinks import MemorySink, Sink
from upimagine.roles import Critic, Upscaler

__all__ = ["MemorySink", "Report", "Settings", "Sink", "enlarge"]


@torch.no_grad()
def enlarge(
    low: Tensor,
    upscaler: Upscaler,
    *,
    guide: Tensor | None,
    critic: Critic | None,
    settings: Settings,
    sink: Sink,
    reference: Tensor | None = None,
    avoid: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Enlarge a low-res plane tile by tile into a sink, after Mike Tyka's tiled up-res of GAN portraits (2017).

    low: (1, 3, h, w) in [-1, 1], on the device to work on. guide: (1, guide_channels, h, w) in [-1, 1], or None: a
    network that expects a guide then sees an empty one (-1 everywhere). reference:
    the same picture k times as large, (1, 3, k h, k w), k a divisor of the scale: the result is held to that instead
    of the plane. avoid: (h, w), 1 where no cut should pass,
    such as eyes, and 0 elsewhere; feathering takes no notice of it. The sink receives exactly h·scale rows of
    w·scale pixels. Memory holds one tile row of candidates, whatever the height. progress(tiles done, tiles in all)
    is called after each tile row. The same arguments give the same bytes on the same device.

    A network with a finite receptive radius needs neither choice nor blend: its tiles, with halos, equal the run on the
    whole picture, and of the settings only batch_tiles counts.

    Raises UpimagineError on shapes that do not fit the network, a stride beyond its window, out of memory on a single
    tile, and NaN or infinity from a network; what reached the sink until then is not a whole picture.
    """
    started = time.perf_counter()
    if upscaler.radius_px is not None:
        return _exactly(_plane(low, guide, upscaler), upscaler, settings, sink, progress, started)
    scale = upscaler.scale
    plane = _fit(_plane(low, guide, upscaler), upscaler.window_px)
    if reference is not None and (reference.shape[2] % low.shape[2] or plane.shape[2:] != low.shape[2:]):
        raise UpimagineError("a reference must be a whole multiple of a plane that holds a window at least")
    plan = plan_tiles(plane.shape[2], plane.shape[3], upscaler.window_px, settings.stride_px)
    shown = variants(settings.flips, settings.contrasts, settings.saturations)
    calls = NetworkCalls(settings.batch_tiles, plane.device)
    maker = RowMaker(plane, plan, upscaler, critic, variants=shown, settings=settings, calls=calls, reference=reference)
    timed = _TimedSink(sink)
    size_px = (low.shape[2] * scale, low.shape[3] * scale)
    bands = _canvas(plan, scale, timed, settings, size_px, plane.device, avoid)
    winners: list[tuple[int, ...]] = []
    above: Tensor | None = None  # the chosen tiles of the row above, where they overlap this one
    for row in range(plan.rows):
        candidates = maker.make(row)
        won = _choose(candidates, above, plan, scale, settings.agreement)
        chosen = [candidates.pictures[winner, col] for col, winner in enumerate(won)]
        bands.add_row(row, dict(enumerate(chosen)))
        if row + 1 < plan.rows and len(shown) > 1 and settings.agreement > 0:
            down_px = (plan.row_starts_px[row + 1] - plan.row_starts_px[row]) * scale
            above = torch.stack([tile[:, down_px:] for tile in chosen])
        winners.append(tuple(won))
        if progress is not None:
            progress((row + 1) * plan.cols, plan.rows * plan.cols)
    return Report(
        plan=plan,
        variants=shown,
        winners=tuple(winners),
        tiles=plan.rows * plan.cols,
        batch_tiles=calls.batch,
        network_s=calls.seconds,
        sink_s=timed.seconds,
        total_s=time.perf_counter() - started,
    )


def _exactly(
    plane: Tensor,
    upscaler: Upscaler,
    settings: Settings,
    sink: Sink,
    progress: Callable[[int, int], None] | None,
    started: float,
) -> Report:
    """A network that looks only so far: nothing to choose or to blend, tiles equal the whole picture."""
    calls, timed = NetworkCalls(settings.batch_tiles, plane.device), _TimedSink(sink)
    core_px = upscaler.window_px
    rows, cols = enlarge_exactly(plane, upscaler, timed, calls, core_px=core_px, progress=progress)
    height, width = plane.shape[2:]
    return Report(
        plan=TilePlan(
            height_px=height,
            width_px=width,
            window_px=core_px,
            stride_px=core_px,
            row_starts_px=tuple(range(0, height, core_px))[:rows],
            col_starts_px=tuple(range(0, width, core_px))[:cols],
        ),
        variants=variants(flips=False),
        winners=((0,) * cols,) * rows,
        tiles=rows * cols,
        batch_tiles=calls.batch,
        network_s=calls.seconds,
        sink_s=timed.seconds,
        total_s=time.perf_counter() - started,
    )


def _canvas(
    plan: TilePlan,
    scale: int,
    sink: Sink,
    settings: Settings,
    size_px: tuple[int, int],
    device: torch.device,
    avoid: Tensor | None,
) -> Bands | JoinedBands:
    """The canvas that blends as the settings say."""
    if settings.blend == "feather":
        return Bands(
            plan, scale, sink, feather_px=settings.feather_px, ramp=settings.ramp, size_px=size_px, device=device
        )
    if avoid is not None:
        avoid = _fit(avoid[None, None], plan.window_px)[0, 0]
    return JoinedBands(plan, scale, sink, multiband=settings.blend == "multiband", size_px=size_px, avoid=avoid)


def _plane(low: Tensor, guide: Tensor | None, upscaler: Upscaler) -> Tensor:
    """Picture and guide as one plane (1, 3 + guide channels, h, w)."""
    if low.ndim != 4 or low.shape[:2] != (1, 3) or 0 in low.shape:
        raise UpimagineError(f"picture of shape {tuple(low.shape)}: enlarge takes (1, 3, height, width)")
    if not low.isfinite().all():
        raise UpimagineError("picture holds NaN or infinity: read it again, or repeat the stage that made it")
    channels = upscaler.guide_channels
    if guide is None:
        guide = low.new_full((1, channels, *low.shape[2:]), -1.0)
    if guide.shape != (1, channels, *low.shape[2:]):
        raise UpimagineError(
            f"guide of shape {tuple(guide.shape)} for a network that takes {channels} guide channels "
            f"and a picture of {low.shape[2]}×{low.shape[3]} px: draw it at that size with that many channels"
        )
    return torch.cat((low, guide.to(low)), dim=1).float()


def _fit(plane: Tensor, window_px: int) -> Tensor:
    """Continue a plane smaller than the window by reflection, to the right and below; the canvas is cropped later."""
    for axis in (2, 3):
        size = plane.shape[axis]
        if size < window_px:
            # 0 1 2 3 2 1 0 1 …: reflection without repeating the edge, as often as needed; one pixel just repeats.
            turn = max(2 * (size - 1), 1)
            places = torch.arange(window_px, device=plane.device) % turn
            plane = plane.index_select(axis, torch.minimum(places, turn - places))
    return plane


def _choose(candidates: CandidateRow, above: Tensor | None, plan: TilePlan, scale: int, agreement: float) -> list[int]:
    """The winners of one tile row, given the part (tiles, 3, overlap, tile) of the chosen row above that meets it."""
    pictures, scores = candidates.pictures, as_costs(candidates.scores)
    left: list[Costs] = []
    over = np.zeros_like(scores)
    if agreement == 0 or len(pictures) == 1:
        return choose_row(scores, left, over, 0.0)
    for col in range(1, plan.cols):
        right_px = (plan.col_starts_px[col] - plan.col_starts_px[col - 1]) * scale
        meet_px = plan.window_px * scale - right_px
        costs = overlap_differences(pictures[:, col - 1, :, :, right_px:], pictures[:, col, :, :, :meet_px])
        left.append(as_costs(costs))
    if above is not None:
        for col in range(plan.cols):
            here = pictures[:, col, :, : above.shape[2]]
            over[col] = as_costs(overlap_differences(above[col : col + 1], here))[0]
    return choose_row(scores, left, over, agreement)


class _TimedSink:
    """Passes rows on and adds up the time the sink takes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.seconds = 0.0

    def write_rows(self, rows: Tensor) -> None:
        started = time.perf_counter()
        self._sink.write_rows(rows)
        self.seconds += time.perf_counter() - started
