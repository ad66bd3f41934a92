"""What the loop asks of a training task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.optim import Optimizer

Batch = dict[str, Tensor]


@dataclass
class Phase:
    """One optimiser step within a training step, in the order in which the task lists them."""

    name: str
    nets: tuple[str, ...]  # whose weights it changes
    optimizer: Optimizer
    first_step: int = 0  # it is left out before
    due: Callable[[int], bool] = lambda step: True  # and in steps in which this says no
    skipped: int = 0  # steps in a row whose gradients were no numbers
    gentleness: float = 1.0  # what its learning rate is multiplied by, whatever the task makes of the rate itself


class Task(Protocol):
    """Everything that is particular to one kind of training; see `train.dcgan` for the smallest one."""

    nets: dict[str, nn.Module]
    """The networks being trained, by name; all of them are saved in checkpoints."""
    averaged: str
    """Name of the network of which an exponential moving average is kept."""
    phases: list[Phase]
    """Run in this order in each step."""

    def settings(self) -> dict[str, Any]:
        """What must be the same for a resumed run, JSON-able."""
        ...

    def batch(self, position: int, count: int) -> Batch:
        """The training pictures at these positions of the endless stream; runs ahead in a thread, must not use torch's
        global random numbers."""
        ...

    def forward(self, batch: Batch, step: int) -> Batch:
        """Run the generator with gradients; the result goes to every `loss` of this step."""
        ...

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise in this phase, and the numbers to plot."""
        ...

    def preview(self, averaged: nn.Module) -> Tensor:
        """A fixed-seed picture (3, H, W) in [-1, 1] of what the averaged network makes now."""
        ...

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """Write the self-describing model file."""
        ...


@runtime_checkable
class OwnBatches(Protocol):
    """A task whose steps do not all show `--batch` pictures says how many they show."""

    def shown_after(self, step: int) -> int:
        """Pictures shown in so many steps, from 0; a function of `step` alone."""
        ...


@runtime_checkable
class Grows(Protocol):
    """A task whose steps cost more as it goes on says how much, so that the time left can be told."""

    def work_at(self, shown: float) -> float:
        """What training on a picture costs once so many have been shown, in any unit, above 0."""
        ...


@runtime_checkable
class FadesIn(Protocol):
    """A task that has more to show than its preview, now and then."""

    def strip(self, averaged: nn.Module) -> Tensor | None:
        """A row of pictures (3, S, n * S) in [-1, 1] that show a size fading in; None while nothing does."""
        ...


@runtime_checkable
class FromNoise(Protocol):
    """A task whose previews show nothing but pictures made from noise says so, and is watched for collapse and copies.

    Its `batch` gives the training pictures as "real", its `settings` their number as "pictures".
    """

    preview_columns: int
    """Pictures side by side in a preview, all square and of one size."""
