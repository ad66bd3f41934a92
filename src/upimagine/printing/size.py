"""Paper to pixels: how many a print of so many centimetres needs.

Bleed is what lies beyond the trim, so that a knife that cuts a little off shows picture and not paper. Here it is the
picture mirrored outwards at its edges (`BleedRows`), not a picture enlarged a little more and cropped: the trimmed
print then shows the whole composition at exactly the size asked for, its aspect stays, the networks have nothing more
to do, and what lies in the bleed is cut away in any case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from upimagine.errors import UpimagineError

CM_PER_INCH = 2.54
MM_PER_INCH = 25.4
_MOST_DPI = 100_000  # as for every file that `pixels` writes
_FEWEST_PX = 8
_MOST_PX = 2**31 - 1  # no picture format goes beyond


@dataclass(frozen=True)
class PrintLayout:
    """A print in whole pixels. Sizes are (height, width)."""

    trim_px: tuple[int, int]
    """The print after cutting: the whole picture."""
    bleed_px: int
    """Pixels beyond the trim on each of the four sides."""
    dpi: float
    """Pixels an inch, on both axes."""

    def __post_init__(self) -> None:
        _check_dpi(self.dpi)
        height, width = self.trim_px
        if self.bleed_px and self.bleed_px >= min(height, width):
            raise UpimagineError(
                f"a bleed of {self.bleed_px} px is too wide for a print of {width} x {height} px; choose a smaller one"
            )

    @property
    def full_px(self) -> tuple[int, int]:
        """(height, width) of the file: trim and bleed."""
        return self.trim_px[0] + 2 * self.bleed_px, self.trim_px[1] + 2 * self.bleed_px

    @property
    def trim_cm(self) -> tuple[float, float]:
        """(height, width) of the cut print in centimetres."""
        return self.trim_px[0] / self.dpi * CM_PER_INCH, self.trim_px[1] / self.dpi * CM_PER_INCH

    @property
    def bleed_mm(self) -> float:
        """Width of the bleed in millimetres, which whole pixels make a little more than was asked for."""
        return self.bleed_px / self.dpi * MM_PER_INCH

    @classmethod
    def of_file(cls, height: int, width: int, dpi: float, bleed_mm: float = 0.0) -> PrintLayout:
        """Tell trim and bleed of a finished file of `height` x `width` pixels that holds both.

        Raises:
            UpimagineError: a resolution or bleed that cannot be, or no room for the bleed.
        """
        _check_dpi(dpi)
        bleed_px = _bleed_px(bleed_mm, dpi)
        if 2 * bleed_px >= min(height, width):
            raise UpimagineError(
                f"a picture of {width} x {height} px has no room for a bleed of {bleed_mm:g} mm at {dpi:g} dpi; "
                "choose a smaller bleed"
            )
        return cls((height - 2 * bleed_px, width - 2 * bleed_px), bleed_px, dpi)


@dataclass(frozen=True)
class PrintSize:
    """The paper that a picture shall fill. Raises UpimagineError on values that cannot work."""

    cm: float
    """Longer side of the cut print, in centimetres."""
    dpi: float = 300.0
    """Pixels an inch, 1 to 100 000."""
    bleed_mm: float = 0.0
    """What is printed beyond the cut on each side, in millimetres."""

    def __post_init__(self) -> None:
        _check_dpi(self.dpi)
        _bleed_px(self.bleed_mm, self.dpi)
        if not (math.isfinite(self.cm) and self.cm > 0):
            raise UpimagineError(f"a print of {self.cm:g} cm cannot be; choose a length above 0")
        if not _FEWEST_PX <= self.longer_px <= _MOST_PX:
            raise UpimagineError(
                f"a print of {self.cm:g} cm at {self.dpi:g} dpi would be {self.longer_px:g} px long; "
                f"choose another size or resolution, for {_FEWEST_PX} px to {_MOST_PX} px"
            )

    @property
    def longer_px(self) -> int:
        """Pixels of the longer side, bleed aside: what the picture is to be enlarged to."""
        return round(self.cm / CM_PER_INCH * self.dpi)

    def layout(self, height: int, width: int) -> PrintLayout:
        """Lay out a picture of `height` x `width` (pixels, or any unit) on this paper.

        Both sides are rounded to whole pixels, each by itself, as every enlargement does: the longer one is exact to
        half a pixel of the centimetres, the shorter one of the picture's aspect. Bleed is rounded up.

        Raises:
            UpimagineError: the bleed is wider than the shorter side.
            ValueError: the picture has no pixels.
        """
        if height < 1 or width < 1:
            raise ValueError(f"a picture of {height} x {width} pixels has none")
        ratio = self.longer_px / max(height, width)
        trim_px = max(1, round(height * ratio)), max(1, round(width * ratio))
        return PrintLayout(trim_px, _bleed_px(self.bleed_mm, self.dpi), self.dpi)


def _check_dpi(dpi: float) -> None:
    if not 1 <= dpi <= _MOST_DPI:
        raise UpimagineError(f"{dpi:g} dpi is no print resolution; choose 1 to {_MOST_DPI}")


def _bleed_px(bleed_mm: float, dpi: float) -> int:
    if not 0 <= bleed_mm < math.inf:
        raise UpimagineError(f"a bleed of {bleed_mm:g} mm cannot be; choose 0 or more, 3 is usual")
    return math.ceil(bleed_mm / MM_PER_INCH * dpi - 1e-6)  # 3 mm at 254 dpi are 30 pixels, whatever floats make of it
