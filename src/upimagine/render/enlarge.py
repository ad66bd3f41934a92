"""A picture of any size through a network that sees one small window: plan, invent, choose, blend, stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.bands import Bands
from upimagine.render.candidates import variants
from upimagine.render.chooser import Chooser
from upimagine.render.exact import enlarge_exactly, halo_of
from upimagine.render.joined import JoinedBands
from upimagine.render.journal import Journal, part, parts
from upimagine.render.layout import Layout, join_guide, lay_out, wrapped_by
from upimagine.render.network import NetworkCalls
from upimagine.render.overlap import Ahead, Finisher
from upimagine.render.plan import TilePlan
from upimagine.render.rows import RowMaker
from upimagine.render.seam_meter import SeamMeter
from upimagine.render.seams import NO_SEAMS
from upimagine.render.settings import Report, Settings
from upimagine.render.sinks import CroppedSink, MemorySink, Sink, TimedSink
from upimagine.roles import Critic, Upscaler

__all__ = ["MemorySink", "Report", "Settings", "Sink", "enlarge"]


@torch.inference_mode(False)  # which is a matter of each thread: tensors made under it could not be changed by others
@torch.no_grad()
def enlarge(
    low: Tensor,
    upscaler: Upscaler | Sequence[Upscaler],
    *,
    guide: Tensor | None,
    critic: Critic | None,
    settings: Settings,
    sink: Sink,
    judge: Critic | None = None,
    reference: Tensor | None = None,
    avoid: Tensor | None = None,
    journal: Journal | None = None,
    progress: Callable[[int, int], None] | None = None,
    let_go: Callable[[], None] = lambda: None,
) -> Report:
    """Enlarge a low-res plane tile by tile into a sink, after Mike Tyka's tiled up-res of GAN portraits (2017).

    low: (1, 3, h, w) in [-1, 1], on the device to work on. upscaler: one network, or several of one scale, window and
    guide that compete for every tile. guide: (1, guide_channels, h, w) in [-1, 1], or None: a network that expects a
    guide then sees an empty one (-1 everywhere). critic: scores realism; judge: a second critic of one's own, weighted
    by settings.judged. reference: the same picture k times as large, (1, 3, k h, k w), k a divisor of the scale: the
    result is held to that instead of the plane. avoid: (h, w), 1 where no cut should pass, such as eyes, and 0
    elsewhere; feathering takes no notice of it. The sink receives exactly h·scale rows of w·scale pixels; with a
    journal that holds a state, those that are still missing. Memory holds one tile row of candidates, two where
    neighbours should agree, whatever the height. progress(tiles done, tiles in all) is called after each tile row;
    let_go whenever a plane that lies in a mapped file may give its pages back. The same arguments give the same bytes
    on the same device.

    A network with a finite receptive radius needs neither choice nor blend: its tiles, with halos, equal the run on the
    whole picture, and of the settings only batch_tiles and wrap count.

    Raises UpimagineError on shapes that do not fit the network, a stride beyond its window, networks that differ, out
    of memory on a single tile, and NaN or infinity from a network; what reached the sink until then is not a whole
    picture.
    """
    started = time.perf_counter()
    upscalers = [upscaler] if not isinstance(upscaler, Sequence) else list(upscaler)
    first = upscalers[0]
    if len({(each.scale, each.window_px, each.guide_channels) for each in upscalers}) != 1:
        raise UpimagineError("networks that compete for tiles must have one scale, one window and one guide")
    plane = join_guide(low, guide, first)
    let_go()
    with NetworkCalls(settings.batch_tiles, plane.device) as calls, Finisher() as finisher:
        if first.radius_px is not None:
            return _exactly(plane, first, settings, sink, calls, finisher, journal, progress, let_go, started)
        layout = lay_out(plane, first, settings, reference, avoid)
        shown = settings.candidates(len(upscalers))
        joint = len(shown) > 1 and settings.agreement > 0  # then the choice looks one row ahead
        maker = RowMaker(
            layout, upscalers, critic, judge=judge, variants=shown, settings=settings, calls=calls,
            rows_at_once=2 if joint else 1,
        )  # fmt: skip
        size_px = (low.shape[2] * first.scale, low.shape[3] * first.scale)
        watched = _WatchedSink(sink, layout, first.scale, size_px)
        bands = _canvas(layout, first.scale, watched, settings, size_px)
        chooser = Chooser(layout, first.scale, settings.agreement)
        row, rows, cols = 0, layout.plan.rows, layout.plan.cols
        if journal is not None and (state := journal.load()) is not None:
            row, calls.batch = (int(number) for number in state["next"])
            for whole, name in ((watched.meter, "meter"), (bands, "bands"), (chooser, "chooser")):
                whole.load(part(state, name))
        with Ahead(maker, calls, rows, below=joint) as ahead:
            while row < rows:
                candidates, below = ahead.make(row)
                won = chooser.choose(row, candidates, below)
                if not maker.spare:  # large rows: never the copies of two at a time
                    finisher.settle()
                # Copies, as another row takes the candidates' place while these are joined.
                chosen = {col: candidates.pictures[winner, col].clone() for col, winner in enumerate(won)}
                finisher.begin(partial(bands.add_row, row, chosen))
                del chosen
                ahead.go_on()
                row += 1
                let_go()
                if journal is not None and row < rows and journal.due():
                    finisher.settle()
                    done = parts(meter=watched.meter.state(), bands=bands.state(), chooser=chooser.state())
                    journal.save(done | {"next": torch.tensor([row, calls.batch])})
                if progress is not None:
                    progress(row * cols, rows * cols)
        finisher.settle()
    return Report(
        plan=layout.plan,
        variants=shown,
        winners=tuple(chooser.winners),
        tiles=rows * cols,
        batch_tiles=calls.batch,
        network_s=calls.seconds,
        sink_s=watched.seconds,
        total_s=time.perf_counter() - started,
        seams=watched.meter.seams(),
    )


def _exactly(
    plane: Tensor,
    upscaler: Upscaler,
    settings: Settings,
    sink: Sink,
    calls: NetworkCalls,
    finisher: Finisher,
    journal: Journal | None,
    progress: Callable[[int, int], None] | None,
    let_go: Callable[[], None],
    started: float,
) -> Report:
    """A network that looks only so far: nothing to choose or to blend, tiles equal the whole picture."""
    assert upscaler.radius_px is not None
    timed = TimedSink(sink)
    core_px, scale = upscaler.window_px, upscaler.scale
    inner: Sink = timed
    if settings.wrap:
        pad_px = halo_of(upscaler.radius_px, upscaler.align_px)
        inner = CroppedSink(timed, pad_px * scale, pad_px * scale, plane.shape[2] * scale, plane.shape[3] * scale)
        plane = wrapped_by(plane, pad_px)
    rows, cols = enlarge_exactly(
        plane, upscaler, inner, calls, finisher, core_px=core_px, journal=journal, progress=progress, let_go=let_go
    )
    height, width = plane.shape[2:]
    plan = TilePlan(
        height_px=height,
        width_px=width,
        window_px=core_px,
        stride_px=core_px,
        row_starts_px=tuple(range(0, height, core_px))[:rows],
        col_starts_px=tuple(range(0, width, core_px))[:cols],
    )
    return Report(
        plan=plan,
        variants=variants(flips=False),
        winners=((0,) * cols,) * rows,
        tiles=rows * cols,
        batch_tiles=calls.batch,
        network_s=calls.seconds,
        sink_s=timed.seconds,
        total_s=time.perf_counter() - started,
        seams=NO_SEAMS,
    )


def _canvas(
    layout: Layout, scale: int, sink: Sink, settings: Settings, size_px: tuple[int, int]
) -> Bands | JoinedBands:
    """The canvas that blends as the settings say; the picture is cut out of it."""
    plan = layout.plan
    if size_px != (plan.height_px * scale, plan.width_px * scale):
        sink = CroppedSink(sink, layout.origin_px[0] * scale, layout.origin_px[1] * scale, *size_px)
    if settings.blend == "feather":
        return Bands(
            plan, scale, sink, feather_px=settings.feather_px, ramp=settings.ramp, device=layout.plane.device
        )  # fmt: skip
    return JoinedBands(
        plan,
        scale,
        sink,
        multiband=settings.blend == "multiband",
        avoid=layout.avoid,
        rim_px=settings.border_px,
    )


class _WatchedSink(TimedSink):
    """Looks for seams in the finished rows, too."""

    def __init__(self, sink: Sink, layout: Layout, scale: int, size_px: tuple[int, int]) -> None:
        super().__init__(sink)
        origin_px = (layout.origin_px[0] * scale, layout.origin_px[1] * scale)
        self.meter = SeamMeter(layout.plan, scale, size_px, origin_px)

    def write_rows(self, rows: Tensor) -> None:
        self.meter.write_rows(rows)
        super().write_rows(rows)
