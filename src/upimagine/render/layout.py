"""Where a picture lies on the canvas that is tiled, and what lies beyond its edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.plan import TilePlan, plan_tiles, wrap_axis
from upimagine.render.settings import Settings
from upimagine.roles import Upscaler


@dataclass(frozen=True)
class Layout:
    """The tiled canvas, and where on it the picture lies. Beyond its edges the canvas mirrors the picture, or repeats
    it; nothing is copied for that but the tiles that reach there."""

    plane: Tensor
    """The picture, (1, 3 + guide channels, h, w) in [-1, 1]."""
    plan: TilePlan
    """Of the canvas."""
    reference: Tensor | None
    """(1, 3, k h, k w), what the result is held to."""
    avoid: Tensor | None
    """What a cut through each pixel of the canvas costs."""
    origin_px: tuple[int, int]
    """Row and column of the canvas at which the picture begins."""
    row_places: tuple[int, ...] | None
    """For a wrapped plane, which tile row of the repeating grid each tile row is."""
    col_places: tuple[int, ...] | None

    def cut(self, row: int, plane: Tensor, times: int = 1) -> Tensor:
        """The tiles of a row, (tiles, C, window times, window times), of a plane (1, C, h times, w times)."""
        plan, wrap = self.plan, self.row_places is not None
        (top, left), window = self.origin_px, plan.window_px * times
        band = _part(plane, 2, (plan.row_starts_px[row] - top) * times, window, wrap)
        return torch.cat([_part(band, 3, (start - left) * times, window, wrap) for start in plan.col_starts_px])


def lay_out(
    plane: Tensor, upscaler: Upscaler, settings: Settings, reference: Tensor | None, avoid: Tensor | None
) -> Layout:
    """Lay out `join_guide`'s plane with its reference and the places to avoid, (h, w).

    The canvas reaches beyond the plane by a border, and to a window at least; all of it is cut off from the result.
    Raises UpimagineError when the reference does not fit.
    """
    height, width = plane.shape[2:]
    if reference is not None and (reference.shape[2] % height or reference.shape[3] % width):
        raise UpimagineError("a reference must be a whole multiple of the plane")
    window, stride = upscaler.window_px, settings.stride_px
    places: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    if settings.wrap:
        rows, cols = (wrap_axis(length, window, stride, settings.shift_px % stride) for length in (height, width))
        plan = TilePlan(rows.length_px, cols.length_px, window, stride, rows.starts_px, cols.starts_px)
        origin_px, places = (rows.before_px, cols.before_px), (rows.places, cols.places)
    else:
        canvas_px = max(height, window), max(width, window)
        plan = plan_tiles(*canvas_px, window, stride, settings.shift_px, settings.border_px)
        origin_px = ((plan.height_px - canvas_px[0]) // 2, (plan.width_px - canvas_px[1]) // 2)
    if avoid is not None:
        whole = _part(avoid[None, None], 2, -origin_px[0], plan.height_px, settings.wrap)
        avoid = _part(whole, 3, -origin_px[1], plan.width_px, settings.wrap)[0, 0]
    return Layout(plane, plan, reference, avoid, origin_px, *(places or (None, None)))


def join_guide(low: Tensor, guide: Tensor | None, upscaler: Upscaler) -> Tensor:
    """Picture (1, 3, h, w) and guide (1, guide channels, h, w) as one plane; without a guide an empty one, -1.

    Raises UpimagineError for shapes that do not fit, and for a picture that is not numbers.
    """
    if low.ndim != 4 or low.shape[:2] != (1, 3) or 0 in low.shape:
        raise UpimagineError(f"picture of shape {tuple(low.shape)}: enlarge takes (1, 3, height, width)")
    if not torch.stack(torch.aminmax(low)).isfinite().all():  # both are NaN when one pixel is
        raise UpimagineError("picture holds NaN or infinity: read it again, or repeat the stage that made it")
    channels = upscaler.guide_channels
    if channels == 0 and guide is None:
        return low.float()
    if guide is None:
        guide = low.new_full((1, channels, *low.shape[2:]), -1.0)
    if guide.shape != (1, channels, *low.shape[2:]):
        raise UpimagineError(
            f"guide of shape {tuple(guide.shape)} for a network that takes {channels} guide channels "
            f"and a picture of {low.shape[2]}×{low.shape[3]} px: draw it at that size with that many channels"
        )
    return torch.cat((low, guide.to(low)), dim=1).float()


def wrapped_by(plane: Tensor, pad_px: int) -> Tensor:
    """(1, C, h, w) with so much of its other end on every side."""
    rows = _part(plane, 2, -pad_px, plane.shape[2] + 2 * pad_px, wrap=True)
    return _part(rows, 3, -pad_px, plane.shape[3] + 2 * pad_px, wrap=True)


def _part(plane: Tensor, axis: int, first: int, count: int, wrap: bool) -> Tensor:
    """So many pixels of an axis, which may lie beyond its ends: there it goes on at its other end, or mirrored."""
    length = plane.shape[axis]
    if first >= 0 and first + count <= length:
        return plane.narrow(axis, first, count)
    places = torch.arange(first, first + count)
    if wrap:
        places = places.remainder(length)
    else:  # … 1 0 0 1 2 2 1 …: the edge repeats, so that planes of several sizes are mirrored at the same place
        places = places.remainder(2 * length)
        places = torch.minimum(places, 2 * length - 1 - places)
    return plane.index_select(axis, places.to(plane.device))
