"""The one training loop: phases, averaging, ticks, previews, checkpoints, exact resume."""

from __future__ import annotations

import signal
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from upimagine.errors import UpimagineError
from upimagine.memory import is_out_of_memory
from upimagine.pixels.atomic import trouble
from upimagine.train.account import Account, Progress, Story, facts_of
from upimagine.train.checkpoint import changed_settings, load_checkpoint, save_checkpoint
from upimagine.train.clock import Clock
from upimagine.train.ema import ema_beta, make_average, update_average
from upimagine.train.engine import Engine
from upimagine.train.retune import retuned
from upimagine.train.rollback import carry_out, gentleness, keep_healthy, plan_rollback
from upimagine.train.settings import LoopSettings
from upimagine.train.step import Stepper
from upimagine.train.task import Batch, OwnBatches, Task

MODEL_NAME = "model.safetensors"
#: Settings of the loop that a resumed run may change without becoming another run.
_FREE = (
    *("kimg", "device", "threads", "precision", "tick_kimg", "preview_kimg", "checkpoint_minutes", "about", "licence"),
    *("learning_rate", "rollback", "retune", "accumulate", "processes"),
)


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
    With several processes each runs this; the first one alone writes and tells.
    `on_note` is told, a line each, what the watch finds, what a rollback has done, and what else a run has met.
    Raises UpimagineError for settings that do not belong to the checkpoint, for losses or gradients that are no
    longer numbers (the weights before that step are those of the last checkpoint), and when memory does not suffice.
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
    _place(task, engine)
    average = make_average(task.nets[task.averaged])
    everything = asdict(settings) | {"precision": engine.precision} | task.settings()
    step, seconds = _taken_up(run, state, task, average, engine, everything, on_note)
    del state

    shown_after = task.shown_after if isinstance(task, OwnBatches) else lambda steps: steps * settings.batch
    total, shown = _steps(settings.kimg, shown_after), shown_after(step)
    train_step = Stepper(task, engine, on_note)
    clock = Clock(settings, seconds, shown)
    story = Story(run.resolve().name, shown_after(total), everything)
    account = Account(run, task, story, clock, shown, on_tick, on_note) if engine.first else None

    def checkpoint(account: Account) -> None:
        save_checkpoint(run, _state(task, average, engine, _identity(everything), step, shown, clock.trained_s))
        keep_healthy(run, shown, account.watch)
        done = {
            "about": settings.about,
            "licence": settings.licence,
            "kimg": shown / 1000,
            "hours": round(clock.trained_s / 3600, 2),
            "settings": {name: value for name, value in everything.items() if name not in ("about", "licence")},
        }
        task.save_model(run / MODEL_NAME, average, done)

    with (
        account or nullcontext(),
        _ctrl_c_as_flag() as interrupted,
        ThreadPoolExecutor(1) as ahead,
    ):
        coming = ahead.submit(task.batch, shown, shown_after(step + 1) - shown)
        while step < total and not engine.anywhere(interrupted()):
            with clock.waiting():
                batch = _come(coming)
            before, shown = shown, shown_after(step + 1)
            coming = ahead.submit(task.batch, shown, shown_after(step + 2) - shown)
            engine.seed_step(step)
            plotted = train_step(engine.place_batch(batch), step)
            step += 1
            engine.share_buffers(task.nets.values())
            update_average(
                average,
                task.nets[task.averaged],
                ema_beta(shown - before, shown, settings.ema_kimg, settings.ema_rampup),
            )
            if account is None:
                continue
            vanished = account.step(shown, plotted, average)
            if clock.checkpoint_due() or vanished:
                with clock.apart(account.pace.add_checkpoint):
                    checkpoint(account)
        if account is not None:
            checkpoint(account)
            account.finish("finished" if step >= total else "stopped")
    return Outcome(shown, step >= total, run / MODEL_NAME)


def _steps(kimg: float, shown_after: Callable[[int], int]) -> int:
    """Steps until so many thousand pictures are shown, to the nearest step; at least one."""
    wanted = kimg * 1000
    after = bisect_left(range(1 << 40), wanted, key=shown_after)
    before = after - 1
    return max(1, before if wanted - shown_after(before) < shown_after(after) - wanted else after)


def _place(task: Task, engine: Engine) -> None:
    for net in task.nets.values():
        engine.place(net).train()
    for phase in task.phases:
        phase.optimizer = engine.setup_optimizer(phase.optimizer)


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
    asked, retune = everything.pop("rollback") and engine.first, everything.pop("retune")
    rollback = plan_rollback(run, state, facts_of(task, everything)) if asked else None
    if rollback is not None and rollback.state is not None:
        state = rollback.state
    state = engine.from_first(state)
    if state is None:
        return 0, 0.0
    if rollbacks := state["settings"].get("rollbacks"):
        everything["rollbacks"] = rollbacks
        for phase in task.phases:
            phase.gentleness = gentleness(rollbacks, phase.name)
    so_far = state["settings"].get("retunes", [])
    retunes = retuned(state["settings"], _identity(everything), state["shown"] / 1000) if retune else so_far
    if retunes:
        everything["retunes"] = retunes
    if len(retunes) > len(so_far):
        state["settings"] = _identity(everything)
        on_note(f"from here on otherwise than before: {'; '.join(retunes[-1]['changes'])}")
    resumed = _resume(run, state, task, average, engine, _identity(everything))
    if rollback is not None:
        carry_out(run, rollback)
        on_note(rollback.told)
    return resumed


def _come(coming: Future[Batch]) -> Batch:
    """The batch that was begun before. Raises UpimagineError when it is larger than memory."""
    try:
        return coming.result()
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise UpimagineError("memory does not suffice for so large a --batch; use a smaller one") from error
        raise


def _state(
    task: Task, average: nn.Module, engine: Engine, identity: dict[str, Any], step: int, shown: int, seconds: float
) -> dict[str, Any]:
    return {
        "step": step,
        "shown": shown,
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
            f"{run} was begun with other settings: {'; '.join(changes)}; use the old ones, --retune to go on with "
            "these, or another --out folder"
        )
    for name, net in task.nets.items():
        try:
            net.load_state_dict(state["nets"][name])
        except RuntimeError as error:  # retuned
            raise UpimagineError(f"{run}: these settings make another {name}; --retune cannot change a net") from error
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
