"""What the paper asks for and what the picture has, said before the work begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

from upimagine.printing.size import CM_PER_INCH, PrintLayout

#: A print longer than the picture by more than this is nearly all invention. The built-in walk goes from 128 px to
#: 4096 px, times 32, with pictures that the models know; beyond that, two passes invent on what two others invented.
MOST_TIMES = 32.0
_SLACK = 1.02  # rounding of sizes, and a stretch that nobody sees


def stretch_warning(
    source_px: tuple[int, int], layout: PrintLayout, scales: Sequence[float] = (), *, most_times: float = MOST_TIMES
) -> str | None:
    """Say in one sentence when the print asks for more than the picture and the models have, else None.

    Args:
        source_px: (height, width) of the picture before any model.
        layout: the print; its trim is what counts.
        scales: what each model multiplies the picture's sides by, in order, as (8, 8). A model that first shrinks
            the picture to a plane of its own gives that much less: 96 px of 128 px through a x8 model is 6.
        most_times: warn beyond this ratio of longer sides even when the models reach it.

    Raises:
        ValueError: sizes or scales that are not positive.
    """
    if min(source_px) < 1 or any(scale <= 0 for scale in scales):
        raise ValueError(f"no enlargement of {source_px} by {tuple(scales)}")
    source, wanted = max(source_px), max(layout.trim_px)
    needed = wanted / source
    given = math.prod(scales)
    if needed > given * _SLACK:
        reached = source * given / layout.dpi * CM_PER_INCH
        what = f"the models give x{given:.3g}" if scales else "no model takes part"
        return (
            f"the print needs {wanted} px, {needed:.3g} times the picture's {source} px, and {what}: "
            f"a factor of {needed / given:.3g} is only resampled, so add a model, or print at most "
            f"{_cm(reached)} cm at {layout.dpi:g} dpi"
        )
    if needed > most_times:
        reached = source * most_times / layout.dpi * CM_PER_INCH
        return (
            f"the print needs {wanted} px, {needed:.3g} times the picture's {source} px: nearly all it shows will be "
            f"invented, so begin with a larger picture, or print at most {_cm(reached)} cm at {layout.dpi:g} dpi"
        )
    return None


def _cm(length: float) -> str:
    """Round down, for what is said to suffice must suffice."""
    return f"{math.floor(length * 10) / 10:g}"
