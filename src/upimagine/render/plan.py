"""Where the tiles lie: made before any network runs, in whole numbers, without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from upimagine.errors import UpimagineError


@dataclass(frozen=True)
class Tile:
    """One source window: its place in the grid and its top left corner in low-res pixels."""

    row: int
    col: int
    y0_px: int
    x0_px: int


@dataclass(frozen=True)
class TilePlan:
    """A grid of square windows over a low-res plane; every number is in low-res pixels.

    Starts rise strictly, begin at 0, and the last window ends on the edge, so its overlap may be wider than the others.
    """

    height_px: int
    width_px: int
    window_px: int
    stride_px: int
    row_starts_px: tuple[int, ...]
    col_starts_px: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Tile rows of the grid."""
        return len(self.row_starts_px)

    @property
    def cols(self) -> int:
        """Tiles in each row."""
        return len(self.col_starts_px)

    def tile(self, row: int, col: int) -> Tile:
        """The window at a place in the grid."""
        return Tile(row, col, self.row_starts_px[row], self.col_starts_px[col])

    def tiles(self) -> Iterator[Tile]:
        """All windows, row after row, left to right."""
        for row in range(self.rows):
            for col in range(self.cols):
                yield self.tile(row, col)

    def check_row(self, row: int, expected: int, columns: Iterable[int]) -> None:
        """Raise ValueError unless this is the expected tile row and whole: a picture with a hole must not go on."""
        found = sorted(columns)
        if row != expected or row >= self.rows or found != list(range(self.cols)):
            raise ValueError(
                f"expected tile row {expected} of {self.rows} with columns 0 to {self.cols - 1}, "
                f"got row {row} with columns {found}"
            )

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain numbers and lists, for JSON."""
        return dataclasses.asdict(self)


def axis_starts(length_px: int, window_px: int, stride_px: int, shift_px: int = 0) -> tuple[int, ...]:
    """Starts of the windows along one axis; the last is shifted inward so that it ends on the edge.

    With a shift (less than a stride) the grid lies so much further: an extra window at the edge covers what it left.
    Raises UpimagineError when the stride is not in 1..window or the axis is shorter than the window.
    """
    _check(length_px, window_px, stride_px)
    last = length_px - window_px
    first = (0, *range(shift_px % stride_px or stride_px, last, stride_px))
    return tuple(dict.fromkeys((*(start for start in first if start < last), last)))


def plan_tiles(
    height: int, width: int, window_px: int, stride_px: int, shift_px: int = 0, border_px: int = 0
) -> TilePlan:
    """Cover a plane of height x width low-res pixels with square windows, stride_px apart.

    With a border the canvas is wider by it on every side. The outermost windows reach out there and the others stay,
    so there are no more of them (but for an axis of a single one); as they must still overlap the next ones, the
    border is at most half of what windows overlap.

    Raises UpimagineError when the stride is not in 1..window_px or the plane is smaller than the window.
    """
    rows, cols = (axis_starts(length_px, window_px, stride_px, shift_px) for length_px in (height, width))
    border_px = min(border_px, (window_px - stride_px) // 2)
    return TilePlan(
        height_px=height + 2 * border_px,
        width_px=width + 2 * border_px,
        window_px=window_px,
        stride_px=stride_px,
        row_starts_px=_bordered(rows, border_px),
        col_starts_px=_bordered(cols, border_px),
    )


def _bordered(starts_px: tuple[int, ...], border_px: int) -> tuple[int, ...]:
    """The first window so much further out, the last one too."""
    inner = (start + border_px for start in starts_px[1:-1])
    return tuple(dict.fromkeys((0, *inner, starts_px[-1] + 2 * border_px)))


@dataclass(frozen=True)
class WrappedAxis:
    """Windows round an axis whose end meets its beginning: the grid repeats with the picture.

    The axis is laid out with some of its end before its beginning, and the other way round, so that every window that
    touches the picture is there, and in the same company of neighbours at both ends.
    """

    before_px: int
    """How much of the picture's end is laid out before it."""
    length_px: int
    """Of the axis laid out."""
    starts_px: tuple[int, ...]
    """Of the windows on the axis laid out."""
    places: tuple[int, ...]
    """Which window of the repeating grid each of them is: equal places see equal pixels."""


def wrap_axis(length_px: int, window_px: int, stride_px: int, shift_px: int = 0) -> WrappedAxis:
    """Lay out an axis of a picture that repeats; strides are made a little smaller to fit a whole number of times.

    Raises UpimagineError when the stride is not in 1..window.
    """
    _check(max(length_px, window_px), window_px, stride_px)
    count = -(-length_px // stride_px)

    def start(number: int) -> int:
        turns, place = divmod(number, count)
        return turns * length_px + place * length_px // count + shift_px

    first = 0
    while start(first - 1) > -window_px:
        first -= 1
    while start(first) <= -window_px:
        first += 1
    numbers: list[int] = []
    while start(first + len(numbers)) < length_px:
        numbers.append(first + len(numbers))
    origin = start(first)
    starts = tuple(start(number) - origin for number in numbers)
    return WrappedAxis(-origin, starts[-1] + window_px, starts, tuple(number % count for number in numbers))


def _check(length_px: int, window_px: int, stride_px: int) -> None:
    if not 1 <= stride_px <= window_px:
        raise UpimagineError(f"stride of {stride_px} px for a window of {window_px} px: choose 1 to {window_px}")
    if length_px < window_px:
        raise UpimagineError(
            f"plane of {length_px} px is smaller than the window of {window_px} px: pad it to {window_px} px first"
        )
