"""Means of what a training step plots."""

from __future__ import annotations

import torch
from torch import Tensor


class Means:
    """Running means of plotted numbers, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}  # some numbers are not plotted in every step

    def add(self, numbers: dict[str, Tensor]) -> None:
        """Scalars by name."""
        for name, value in numbers.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means since the last time."""
        means = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means
