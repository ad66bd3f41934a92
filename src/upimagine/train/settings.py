"""The knobs that every training task shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Precision = Literal["auto", "float32", "bf16", "fp16"]


@dataclass(frozen=True)
class LoopSettings:
    """How long, how fast and how safely a run trains; what it trains is the task's."""

    kimg: float = 200.0  # thousands of training pictures (or tiles) shown to the discriminator
    batch: int = 32  # pictures a step, of all processes and parts together
    accumulate: int = 1  # equal parts of a batch, one after the other, their gradients added up; saves memory
    processes: int = 1  # on this machine, each with its share of every batch
    seed: int = 0  # everything random comes from this
    ema_kimg: float = 10.0  # half-life of the averaged generator, in thousands of pictures
    ema_rampup: float = 0.05  # early on the half-life is this share of the pictures seen so far
    precision: Precision = "auto"  # auto: bf16 where the processor is faster with it (measured), else float32
    device: str = "auto"  # auto: the GPU when there is one
    threads: int = 0  # 0: one for each core
    tick_kimg: float = 1.0  # a log line and curve points this often
    preview_kimg: float = 5.0  # a preview picture this often
    checkpoint_minutes: float = 5.0  # a checkpoint (and model file) at least this often
    rollback: bool = False  # first go back to the last healthy checkpoint, and lower the misbehaving learning rate
    retune: bool = False  # go on though settings have changed that leave nets and data as they are; it is written down
    about: str = ""  # what the data are, for whoever gets the model
    licence: str = ""  # of the model

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if self.batch < 1:
            return f"--batch {self.batch} is too small; use at least 1"
        parts = self.accumulate * self.processes
        if min(self.accumulate, self.processes) < 1 or self.batch % parts:
            return (
                f"--batch {self.batch} cannot be divided equally by --accumulate {self.accumulate} times --processes "
                f"{self.processes}; use a multiple of {max(1, parts)}"
            )
        for name in ("kimg", "tick_kimg", "preview_kimg", "checkpoint_minutes"):
            if not 0 < getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use a positive number"
        for name in ("seed", "threads", "ema_kimg", "ema_rampup"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        return None
