"""Sharpening on the way to the file: rows in, rows out, a few held back."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from upimagine.printing.sharpening import Plane, Sharpening, sharpen_rows


class RowSink(Protocol):
    """Takes a finished picture strip by strip, from top to bottom, as `pixels.Canvas` does."""

    def write_rows(self, rows: Tensor) -> None:
        """Take the next (3, h, W) float32 in [-1, 1], on the CPU; h ≥ 1 varies. The tensor is the sink's to keep."""
        ...


def check_rows(rows: Tensor, done: int, size_px: tuple[int, int]) -> None:
    """Raise ValueError unless `rows` are (3, h, W) and fit below the `done` rows of a picture (height, width)."""
    height, width = size_px
    if rows.ndim != 3 or rows.shape[0] != 3 or rows.shape[2] != width:
        raise ValueError(f"rows of this picture are (3, h, {width}), not {tuple(rows.shape)}")
    if done + rows.shape[1] > height:
        raise ValueError(f"row {done + rows.shape[1]} of a picture of {height} rows")


class SharpenedRows:
    """A sink that sharpens what it is given and passes it on to another.

    Any heights of strips give the picture that `sharpen` makes of the whole, bit for bit. It holds back about
    2 `reach_px` rows; since it knows the height, the last strip sends them on and nothing needs closing.
    """

    def __init__(self, sink: RowSink, size_px: tuple[int, int], sharpening: Sharpening) -> None:
        """size_px: (height, width) of the picture that will come."""
        self._sink = sink
        self._size_px = size_px
        self._sharpening = sharpening
        self._row = 0
        self._begun = False  # whether the mirrored rows above the picture are in `_held`
        self._held: Plane = np.empty((3, 0, size_px[1]), np.float32)

    def write_rows(self, rows: Tensor) -> None:
        """Take the next (3, h, W) in [-1, 1].

        Raises:
            ValueError: another width, or more rows than the picture has.
        """
        check_rows(rows, self._row, self._size_px)
        if rows.shape[1] == 0:
            return
        self._row += rows.shape[1]
        self._held = np.concatenate([self._held, rows.detach().to("cpu", torch.float32).numpy()], axis=1)
        reach, last = self._sharpening.reach_px, self._row == self._size_px[0]
        # The rows to mirror at the top must be there first, or, in a picture lower than that, all rows.
        before = 0 if self._begun or not (last or self._row > reach) else reach
        after = reach if last else 0
        if before and after:
            self._held = np.pad(self._held, ((0, 0), (before, after), (0, 0)), mode="reflect")
        elif before:
            self._held = np.concatenate([self._held[:, reach:0:-1], self._held], axis=1)
        elif after:
            self._held = np.concatenate([self._held, self._held[:, -2 : -reach - 2 : -1]], axis=1)
        self._begun = self._begun or before > 0
        if self._begun and self._held.shape[1] > 2 * reach:
            done = sharpen_rows(self._held, self._sharpening)
            self._held = self._held[:, done.shape[1] :].copy()
            self._sink.write_rows(torch.from_numpy(done))

    def state(self) -> dict[str, Tensor]:
        """The rows held back, to go on from in another process."""
        return {"held": torch.from_numpy(self._held), "rows": torch.tensor([self._row, int(self._begun)])}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self._held = state["held"].numpy()
        self._row, self._begun = int(state["rows"][0]), bool(state["rows"][1])
