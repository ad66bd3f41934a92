"""Where everything lies on the proof sheet: plain arithmetic, in points.

A page is trim, bleed around it, and a margin of 12 mm around that, for the crop marks and the caption. The marks
stand in line with the edges of the trim and begin 2 mm outside the bleed, so that none is ever on the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from upimagine.errors import UpimagineError
from upimagine.printing.size import MM_PER_INCH, PrintLayout

POINTS_PER_INCH = 72.0
POINTS_PER_MM = POINTS_PER_INCH / MM_PER_INCH
MARGIN_MM = 12.0
GAP_MM = 2.0
MARK_MM = 5.0
MARK_WIDTH_PT = 0.25
_MOST_PT = 14_400.0  # largest page of PDF without a unit of its own (ISO 32000-1, annex C)

Line = tuple[float, float, float, float]
"""From (x, y) to (x, y), in points from the lower left corner of the page."""


@dataclass(frozen=True)
class Box:
    """A rectangle in points from the lower left corner of the page."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True)
class SheetPlan:
    """The page of a print."""

    page: Box
    bleed: Box
    """Trim and bleed: where the picture lies."""
    trim: Box
    marks: tuple[Line, ...]
    """Eight crop marks, two at each corner of the trim."""


def plan_sheet(layout: PrintLayout) -> SheetPlan:
    """Lay a print out on its page, at its exact size.

    Raises:
        UpimagineError: the page would be larger than a PDF's can be, 508 cm.
    """
    per_px = POINTS_PER_INCH / layout.dpi
    margin, bleed = MARGIN_MM * POINTS_PER_MM, layout.bleed_px * per_px
    height, width = (side * per_px for side in layout.full_px)
    page = Box(0.0, 0.0, width + 2 * margin, height + 2 * margin)
    if max(page.right, page.top) > _MOST_PT:
        side_cm = max(page.right, page.top) / POINTS_PER_MM / 10
        raise UpimagineError(f"a sheet of {side_cm:.0f} cm is more than a PDF page can be, 508 cm; print it in parts")
    full = Box(margin, margin, margin + width, margin + height)
    trim = Box(full.left + bleed, full.bottom + bleed, full.right - bleed, full.top - bleed)
    near, far = GAP_MM * POINTS_PER_MM, (GAP_MM + MARK_MM) * POINTS_PER_MM
    marks: list[Line] = []
    for y in (trim.bottom, trim.top):
        marks += [(full.left - far, y, full.left - near, y), (full.right + near, y, full.right + far, y)]
    for x in (trim.left, trim.right):
        marks += [(x, full.bottom - far, x, full.bottom - near), (x, full.top + near, x, full.top + far)]
    return SheetPlan(page, full, trim, tuple(marks))
