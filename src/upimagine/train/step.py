"""One step of training: every phase that is due, undivided or in parts whose gradients are added up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.memory import MemoryBound, give_back, is_out_of_memory
from upimagine.train.account import NotNumbersError
from upimagine.train.engine import Engine
from upimagine.train.task import Batch, Phase, Task

#: fp16's gradient scaler passes over a step now and then; this many in a row are no accident.
_MOST_SKIPPED = 50


class Stepper:
    """Runs steps, in more and smaller parts once memory has run out.

    The mean of the parts' gradients is the whole batch's where no picture's share depends on its batch mates, as it
    does by batch norm.

    Args:
        task: what is trained.
        engine: where, and in how many parts (gradient accumulation).
        on_note: is told, in a line, when memory runs out and the parts are halved.
    """

    def __init__(self, task: Task, engine: Engine, on_note: Callable[[str], None]) -> None:
        self._task, self._engine, self._on_note = task, engine, on_note
        self._bound = MemoryBound(engine.device, engine.processes)

    def __call__(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """All phases that are due, once; gives what they plot. Weights change only with gradients that are numbers.

        Raises UpimagineError when they are none, and when memory is too small even for parts that cannot be halved.
        """
        plotted: dict[str, Tensor] = {}
        made: list[Batch] = []  # of the whole batch, for all phases; empty while it is divided
        for phase in self._task.phases:
            if step < phase.first_step or not phase.due(step):
                continue
            numbers = self._gradients(phase, batch, made, step)
            self._engine.share_gradients(self._parameters(phase))
            plotted |= {f"{phase.name}/{name}": value for name, value in numbers.items()}
            plotted[f"{phase.name}/gradient_norm"] = self._move(phase, step, numbers.get("loss"))
        for net in self._task.nets.values():
            net.requires_grad_(True)
        return plotted

    def _gradients(self, phase: Phase, batch: Batch, made: list[Batch], step: int) -> dict[str, Tensor]:
        """Backward of one phase; begun again in halves when memory runs out."""
        while True:
            try:
                with self._bound:
                    if self._engine.parts == 1:
                        return self._whole(phase, batch, made, step)
                    made.clear()
                    return self._divided(phase, batch, step)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = str(error)
            made.clear()  # outside the handler, which holds what the failed attempt had made
            phase.optimizer.zero_grad(set_to_none=True)
            give_back()
            self._halve(batch, problem)

    def _halve(self, batch: Batch, problem: str) -> None:
        """Twice as many parts from here on. Raises UpimagineError when there can be no more."""
        parts, rows = self._engine.parts, _rows(batch)
        if rows < 2 * parts:
            raise UpimagineError(
                f"memory does not suffice for {-(-rows // parts)} pictures at once ({problem.splitlines()[0][:120]}), "
                "and fewer it cannot be; use smaller networks"
            )
        self._engine.parts = 2 * parts
        most, now = -(-rows // parts), -(-rows // (2 * parts))
        self._on_note(
            f"memory does not suffice for {most} pictures at once: {now} at a time from here on, their gradients added "
            f"up (as with --accumulate {2 * parts})"
        )

    def _whole(self, phase: Phase, batch: Batch, made: list[Batch], step: int) -> dict[str, Tensor]:
        task, engine = self._task, self._engine
        if not made:  # with gradients for all, since every phase is to learn from it
            with engine.autocast():
                made.append(task.forward(batch, step))
        self._only(phase)
        with engine.autocast():
            loss, numbers = task.loss(phase.name, batch, made[0], step)
        phase.optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        return {name: value.detach() for name, value in numbers.items()}

    def _divided(self, phase: Phase, batch: Batch, step: int) -> dict[str, Tensor]:
        """Part after part. What is made is made anew in every phase, by the same random numbers: kept, it would take
        the memory that is missing."""
        task, engine, parts = self._task, self._engine, self._engine.parts
        rows = _rows(batch)
        sums: dict[str, Tensor] = {}
        self._only(phase)
        phase.optimizer.zero_grad(set_to_none=True)
        for part in range(parts):
            first, last = rows * part // parts, rows * (part + 1) // parts
            if first == last:  # a task's own batch may be smaller than the others
                continue
            some, share = {name: tensor[first:last] for name, tensor in batch.items()}, (last - first) / rows
            engine.seed_step(step, part)
            with engine.autocast():
                loss, numbers = task.loss(phase.name, some, task.forward(some, step), step)
            engine.backward(loss * share)
            for name, value in numbers.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach() * share
        return sums

    def _only(self, phase: Phase) -> None:
        for name, net in self._task.nets.items():
            net.requires_grad_(name in phase.nets)

    def _parameters(self, phase: Phase) -> list[Tensor]:
        return [parameter for name in phase.nets for parameter in self._task.nets[name].parameters()]

    def _move(self, phase: Phase, step: int, loss: Tensor | None) -> Tensor:
        """The optimiser's step; gives the norm of the gradients."""
        gradients = [p.grad for p in self._parameters(phase) if p.grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        phase.skipped = 0 if torch.isfinite(norm) else phase.skipped + 1
        if phase.skipped > (_MOST_SKIPPED if self._engine.precision == "fp16" else 0):
            told = "" if loss is None else f" (loss {loss.item():.4g})"
            raise NotNumbersError(
                phase.name,
                f"training stopped at step {step}: the {phase.name} gradients are no longer numbers{told}; the last "
                "checkpoint is sound: go on from it with --rollback, with a smaller --learning-rate, or with "
                "--precision float32",
            )
        with _gently(phase):
            phase.optimizer.step()
        return norm.detach()


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


@contextmanager
def _gently(phase: Phase) -> Iterator[None]:
    """Inside, the learning rates are lowered as rollbacks have asked; outside they are the task's, bit for bit."""
    rates = [group["lr"] for group in phase.optimizer.param_groups]
    for group, rate in zip(phase.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * phase.gentleness
    yield
    for group, rate in zip(phase.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
