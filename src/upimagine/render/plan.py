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


def axis_starts(length_px: int, window_px: int, stride_px: int) -> tuple[int, ...]:
    """Starts of the windows along one axis; the last is shifted inward so that it ends on the edge.

    Raises UpimagineError when the stride is not in 1..window or the axis is shorter than the window.
    """
    if not 1 <= stride_px <= window_px:
        raise UpimagineError(f"stride of {stride_px} px for a window of {window_px} px: choose 1 to {window_px}")
    if length_px < window_px:
        raise UpimagineError(
            f"plane of {length_px} px is smaller than the window of {window_px} px: pad it to {window_px} px first"
        )
    last = length_px - window_px
    return (*range(0, last, stride_px), last)


def plan_tiles(height: int, width: int, window_px: int, stride_px: int) -> TilePlan:
    """Cover a plane of height × width low-res pixels with square windows, stride_px apart.

    Raises UpimagineError when the stride is not in 1..window_px or the plane is smaller than the window.
    """
    return TilePlan(
        height_px=height,
        width_px=width,
        window_px=window_px,
        stride_px=stride_px,
        row_starts_px=axis_starts(height, window_px, stride_px),
        col_starts_px=axis_starts(width, window_px, stride_px),
    )
