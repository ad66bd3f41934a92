"""The one training loop: phases, averaging, ticks, previews, checkpoints, exact resume."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.pixels.atomic import trouble
from upimagine.train.account import Account, NotNumbersError, Progress, Story, facts_of
from upimagine.train.checkpoint import changed_settings, load_checkpoint, save_checkpoint
from upimagine.train.clock import Clock
from upimagine.train.ema import ema_beta, make_average, update_average
from upimagine.train.engine import Engine
from upimagine.train.rollback import carry_out, gentleness, keep_healthy, plan_rollback
from upimagine.train.settings import LoopSettings
from upimagine.train.task import Batch, Phase, Task

MODEL_NAME = "model.safetensors"
#: Settings of the loop that a resumed run may change without becoming another run.
_FREE = (
    *("kimg", "device", "threads", "precision", "tick_kimg", "preview_kimg", "checkpoint_minutes", "about", "licence"),
    *("learning_rate", "rollback"),
)
#: fp16's gradient scaler passes over a step now and then; this many in a row are no accident.
_MOST_SKIPPED = 50


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    shown: int
    finished: bool  # False when it was interrupted; run it again to go on
    model: Path


def fit(
    make_task: Callable[[Engine], Task],
    settings: LoopSettings,
    run: Path,
    on_tick: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train until `settings.kimg`, resuming `run/checkpoint.pt` when it is there.

    N steps, a stop and N more give the same weights, bit for bit on a CPU, as 2N at a stretch: each step seeds its own
    random numbers and reads its own place of the data. Ctrl-C finishes the step, writes a checkpoint and returns.
    `on_note` is told, a line each, what the watch finds and what a rollback has done.
    Raises UpimagineError for settings that do not belong to the checkpoint and for losses or gradients that are no
    longer numbers; the weights before that step are those of the last checkpoint.
    """
    if problem := settings.problem():
        raise UpimagineError(problem)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise trouble(error, run) from error
    state = load_checkpoint(run)
    if state is not None and settings.precision == "auto":  # what was fastest when it began, not at this instant
        settings = replace(settings, precision=state["precision"])
    engine = Engine(settings)
    engine.seed_step(-1)  # initial weights come from the seed too
    task = make_task(engine)
    for net in task.nets.values():
        engine.place(net).train()
    for phase in task.phases:
        phase.optimizer = engine.setup_optimizer(phase.optimizer)
    average = make_average(task.nets[task.averaged])
    everything = asdict(settings) | {"precision": engine.precision} | task.settings()
    step, seconds = _taken_up(run, state, task, average, engine, everything, on_note)
    del state

    total = max(1, round(settings.kimg * 1000 / settings.batch))
    clock = Clock(settings, seconds, step * settings.batch)
    story = Story(run.resolve().name, total * settings.batch, everything)
    account = Account(run, task, story, clock, step * settings.batch, on_tick, on_note)

    def checkpoint() -> None:
        save_checkpoint(run, _state(task, average, engine, _identity(everything), step, clock.trained_s))
        keep_healthy(run, step * settings.batch, account.watch)
        done = {
            "about": settings.about,
            "licence": settings.licence,
            "kimg": step * settings.batch / 1000,
            "hours": round(clock.trained_s / 3600, 2),
            "settings": {name: value for name, value in everything.items() if name not in ("about", "licence")},
        }
        task.save_model(run / MODEL_NAME, average, done)

    with account, _ctrl_c_as_flag() as interrupted, ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(task.batch, step * settings.batch, settings.batch)
        while step < total and not interrupted():
            batch, coming = _next(coming, ahead, task, step + 1, settings.batch)
            engine.seed_step(step)
            plotted = _train_step(task, engine, engine.place_batch(batch), step)
            step += 1
            shown = step * settings.batch
            update_average(
                average,
                task.nets[task.averaged],
                ema_beta(settings.batch, shown, settings.ema_kimg, settings.ema_rampup),
            )
            account.step(shown, plotted, average)
            if clock.checkpoint_due():
                with clock.apart(account.pace.add_checkpoint):
                    checkpoint()
        checkpoint()
        account.finish("finished" if step >= total else "stopped")
    return Outcome(step * settings.batch, step >= total, run / MODEL_NAME)


def _identity(everything: dict[str, Any]) -> dict[str, Any]:
    """The settings without which it would be another run."""
    return {name: value for name, value in everything.items() if name not in _FREE}


def _taken_up(
    run: Path,
    state: dict[str, Any] | None,
    task: Task,
    average: nn.Module,
    engine: Engine,
    everything: dict[str, Any],
    on_note: Callable[[str], None],
) -> tuple[int, float]:
    """Begin, go on, or roll back; `everything` learns of rollbacks. Returns (step, seconds trained so far)."""
    rollback = plan_rollback(run, state, facts_of(task, everything)) if everything.pop("rollback") else None
    if rollback is not None and rollback.state is not None:
        state = rollback.state
    if state is None:
        return 0, 0.0
    if rollbacks := state["settings"].get("rollbacks"):
        everything["rollbacks"] = rollbacks
        for phase in task.phases:
            phase.gentleness = gentleness(rollbacks, phase.name)
    resumed = _resume(run, state, task, average, engine, _identity(everything))
    if rollback is not None:
        carry_out(run, rollback)
        on_note(rollback.told)
    return resumed


def _train_step(task: Task, engine: Engine, batch: Batch, step: int) -> dict[str, Tensor]:
    """All phases that are due, once. Weights change only with gradients that are numbers."""
    plotted: dict[str, Tensor] = {}
    with engine.autocast():
        made = task.forward(batch, step)
    for phase in task.phases:
        if step < phase.first_step or not phase.due(step):
            continue
        for name, net in task.nets.items():
            net.requires_grad_(name in phase.nets)
        with engine.autocast():
            loss, numbers = task.loss(phase.name, batch, made, step)
        phase.optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        parameters = (p for name in phase.nets for p in task.nets[name].parameters())
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        phase.skipped = 0 if torch.isfinite(norm) else phase.skipped + 1
        if phase.skipped > (_MOST_SKIPPED if engine.precision == "fp16" else 0):
            raise NotNumbersError(
                phase.name,
                f"training stopped at step {step}: the {phase.name} gradients are no longer numbers (loss "
                f"{loss.item():.4g}); the last checkpoint is sound: go on from it with --rollback, with a smaller "
                "--learning-rate, or with --precision float32",
            )
        with _gently(phase):
            phase.optimizer.step()
        plotted |= {f"{phase.name}/{name}": value.detach() for name, value in numbers.items()}
        plotted[f"{phase.name}/gradient_norm"] = norm.detach()
    for net in task.nets.values():
        net.requires_grad_(True)
    return plotted


@contextmanager
def _gently(phase: Phase) -> Iterator[None]:
    """Inside, the learning rates are lowered as rollbacks have asked; outside they are the task's, bit for bit."""
    rates = [group["lr"] for group in phase.optimizer.param_groups]
    for group, rate in zip(phase.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * phase.gentleness
    yield
    for group, rate in zip(phase.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _next(
    coming: Future[Batch], ahead: ThreadPoolExecutor, task: Task, step: int, count: int
) -> tuple[Batch, Future[Batch]]:
    """This step's batch, with the next one's decoding begun."""
    batch = coming.result()
    return batch, ahead.submit(task.batch, step * count, count)


def _state(
    task: Task, average: nn.Module, engine: Engine, identity: dict[str, Any], step: int, seconds: float
) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": seconds,
        "settings": identity,
        "precision": engine.precision,
        "nets": {name: net.state_dict() for name, net in task.nets.items()},
        "optimizers": {phase.name: phase.optimizer.state_dict() for phase in task.phases},
        "average": average.state_dict(),
        "scaler": engine.scaler_state(),
    }


def _resume(
    run: Path, state: dict[str, Any], task: Task, average: nn.Module, engine: Engine, identity: dict[str, Any]
) -> tuple[int, float]:
    """Load the checkpoint into everything; returns (step, seconds trained so far)."""
    if changes := changed_settings(state["settings"], identity):
        raise UpimagineError(
            f"{run} was begun with other settings: {'; '.join(changes)}; use the old ones or another --out folder"
        )
    for name, net in task.nets.items():
        net.load_state_dict(state["nets"][name])
    for phase in task.phases:
        rates = [group["lr"] for group in phase.optimizer.param_groups]
        phase.optimizer.load_state_dict(state["optimizers"][phase.name])
        for group, rate in zip(phase.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # today's, for it may have been changed
    average.load_state_dict(state["average"])
    engine.load_scaler_state(state["scaler"])
    return int(state["step"]), float(state["seconds"])


@contextmanager
def _ctrl_c_as_flag() -> Iterator[Callable[[], bool]]:
    """Inside, the first Ctrl-C only sets a flag; a second one stops at once."""
    flag = [False]

    def handle(number: int, frame: object) -> None:
        if flag[0]:
            raise KeyboardInterrupt
        flag[0] = True

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not in the main thread: whoever started us handles signals
        yield lambda: False
        return
    try:
        yield lambda: flag[0]
    finally:
        signal.signal(signal.SIGINT, before)
