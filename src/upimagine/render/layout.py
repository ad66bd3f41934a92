"""Where a picture and all that belongs to it lie on the plane that is tiled: as it is, continued, or wrapped round."""

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
    """The tiled plane, and which part of it is the picture."""

    plane: Tensor
    """(1, 3 + guide channels, h, w) in [-1, 1]."""
    plan: TilePlan
    reference: Tensor | None
    """(1, 3, k h, k w), what the result is held to."""
    avoid: Tensor | None
    """(h, w), what a cut through each pixel costs."""
    origin_px: tuple[int, int]
    """Row and column of the plane at which the picture begins."""
    row_places: tuple[int, ...] | None
    """For a wrapped plane, which tile row of the repeating grid each tile row is."""
    col_places: tuple[int, ...] | None


def lay_out(
    plane: Tensor, upscaler: Upscaler, settings: Settings, reference: Tensor | None, avoid: Tensor | None
) -> Layout:
    """Lay out `join_guide`'s plane with its reference and the places to avoid.

    A picture smaller than the window is continued by reflection, to the right and below. Raises UpimagineError when
    the reference does not fit.
    """
    height, width = plane.shape[2:]
    window = upscaler.window_px
    if settings.wrap:
        rows = wrap_axis(height, window, settings.stride_px, settings.shift_px % settings.stride_px)
        cols = wrap_axis(width, window, settings.stride_px, settings.shift_px % settings.stride_px)
        around = [
            (torch.arange(axis.length_px) - axis.before_px).remainder(length)
            for axis, length in ((rows, height), (cols, width))
        ]
        plan = TilePlan(rows.length_px, cols.length_px, window, settings.stride_px, rows.starts_px, cols.starts_px)
        if avoid is not None:
            avoid = _taken(avoid[None, None], around)[0, 0]
        return Layout(
            _taken(plane, around),
            plan,
            None if reference is None else _taken(reference, around, reference.shape[2] // height),
            avoid,
            (rows.before_px, cols.before_px),
            rows.places,
            cols.places,
        )
    fitted = _fit(plane, window)
    if reference is not None and (reference.shape[2] % height or fitted.shape != plane.shape):
        raise UpimagineError("a reference must be a whole multiple of a plane that holds a window at least")
    plan = plan_tiles(fitted.shape[2], fitted.shape[3], window, settings.stride_px, settings.shift_px)
    if avoid is not None:
        avoid = _fit(avoid[None, None], window)[0, 0]
    return Layout(fitted, plan, reference, avoid, (0, 0), None, None)


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
    around = [torch.arange(-pad_px, length + pad_px).remainder(length) for length in plane.shape[2:]]
    return _taken(plane, around)


def _taken(plane: Tensor, places: list[Tensor], times: int = 1) -> Tensor:
    """Rows and columns of (1, C, h, w) in the order of `places`; each place stands for `times` pixels."""
    for axis, order in zip((2, 3), places, strict=True):
        fine = (order[:, None] * times + torch.arange(times)).flatten()
        plane = plane.index_select(axis, fine.to(plane.device))
    return plane


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
