"""Where finished rows go: the streamed canvas never knows what a file is."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Sink(Protocol):
    """Takes the finished picture strip by strip, from top to bottom."""

    def write_rows(self, rows: Tensor) -> None:
        """Take the next (3, h, W) float32 in [-1, 1], on the CPU; h ≥ 1 varies. The tensor is the sink's to keep."""
        ...


class MemorySink:
    """Keeps the picture in memory, to look at or to feed to the next stage."""

    def __init__(self) -> None:
        self._strips: list[Tensor] = []

    def write_rows(self, rows: Tensor) -> None:
        """Keep the next strip (3, h, W)."""
        self._strips.append(rows)

    def picture(self) -> Tensor:
        """All rows so far as (1, 3, H, W)."""
        return torch.cat(self._strips, dim=1).unsqueeze(0)
