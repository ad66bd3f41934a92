"""Trainings compared under equal processor time: each in a process of its own, whose clock ends it.

Each finished run is a line of FOLDER/results.jsonl; finished runs are passed over, so a comparison can be stopped and
started again. Runs go seed by seed, everything with the first seed first.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from upimagine.errors import UpimagineError
from upimagine.train.engine import Engine
from upimagine.train.loop import Outcome, fit
from upimagine.train.settings import LoopSettings
from upimagine.train.task import Task


class Plan(Protocol):
    """What all runs have in common; pickled into their processes."""

    @property
    def out(self) -> Path: ...

    def identity(self) -> dict[str, Any]:
        """What makes results comparable."""
        ...


def fit_for(
    seconds: float, make_task: Callable[[Engine], Task], settings: LoopSettings, run: Path
) -> tuple[Outcome, float]:
    """Train anew until the processor has worked so long for this process; gives back the seconds it took, too.

    `settings` should name more pictures than can be reached: the clock ends it as Ctrl-C would, so the step is
    finished and the model written.
    """
    shutil.rmtree(run, ignore_errors=True)  # begun by a process that was stopped
    signal.signal(signal.SIGPROF, lambda number, frame: signal.raise_signal(signal.SIGINT))
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        outcome = fit(make_task, settings, run)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome, time.process_time() - began


def finished(out: Path) -> list[dict[str, Any]]:
    """Results so far; a line cut short by a kill is no result."""
    results = []
    path = out / "results.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"passed over in {path}: {line[:60]}", file=sys.stderr)
    return results


def run_all(run_one: Callable[[str, int, Any], None], names: list[str], seeds: int, plan: Plan) -> None:
    """Whatever has no result yet; `run_one` appends it, and must be a function of a module."""
    plan.out.mkdir(parents=True, exist_ok=True)
    done = finished(plan.out)
    if any(r[key] != value for r in done for key, value in plan.identity().items()):
        raise UpimagineError(f"{plan.out} holds results of other settings; choose another --out")
    have = {(r["name"], r["seed"]) for r in done}
    fresh = multiprocessing.get_context("spawn")
    for seed in range(seeds):
        for name in names:
            if (name, seed) in have:
                continue
            print(f"{time.strftime('%H:%M')} {name}, seed {seed}", flush=True)
            process = fresh.Process(target=run_one, args=(name, seed, plan))
            process.start()
            process.join()
            if process.exitcode:
                raise UpimagineError(f"{name}, seed {seed} ended with {process.exitcode}; start again to go on")


def append(out: Path, result: dict[str, Any]) -> None:
    """One finished run."""
    with (out / "results.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")
