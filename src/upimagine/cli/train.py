"""`upimagine train TASK`: train a model on a folder of pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction, arg, subcommand

from upimagine.cli.frame import parse, tell, warn
from upimagine.data.tiles import TileAugment
from upimagine.errors import UpimagineError
from upimagine.train.dcgan import DcganSettings, make_dcgan_task
from upimagine.train.engine import Engine
from upimagine.train.loop import Outcome, Progress, fit
from upimagine.train.progressive import ProgressiveSettings, make_progressive_task
from upimagine.train.settings import LoopSettings
from upimagine.train.task import Task
from upimagine.train.upres import UpresSettings, make_upres_task

Folders = Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="FOLDER")]


@dataclass(frozen=True)
class Dcgan:
    """A generator of small pictures (DCGAN), from some hundreds of pictures."""

    data: Folders
    """a folder of pictures, or a catalog, of which the clean ones are taken; repeatable"""
    out: Annotated[Path, arg(aliases=["-o"])]
    """folder of the run; the same folder again goes on where it stopped"""
    task: DcganSettings = field(default_factory=DcganSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    json: bool = False
    """print the result as one JSON object"""


@dataclass(frozen=True)
class Progressive:
    """A generator of small pictures that grows while it trains, from 32 px on."""

    data: Folders
    """a folder of pictures, or a catalog, of which the clean ones are taken; repeatable"""
    out: Annotated[Path, arg(aliases=["-o"])]
    """folder of the run; the same folder again goes on where it stopped"""
    task: ProgressiveSettings = field(default_factory=ProgressiveSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    json: bool = False
    """print the result as one JSON object"""


@dataclass(frozen=True)
class Upres:
    """An up-imaginer x8 (J-net), from some dozens of large pictures (512 px and more)."""

    data: Folders
    """a folder of pictures, or a catalog, of which the clean ones are taken; repeatable"""
    out: Annotated[Path, arg(aliases=["-o"])]
    """folder of the run; the same folder again goes on where it stopped"""
    task: UpresSettings = field(default_factory=UpresSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=8))
    augment: TileAugment = field(default_factory=TileAugment)
    json: bool = False
    """print the result as one JSON object"""


Arguments = (
    Annotated[Dcgan, subcommand(name="dcgan")]
    | Annotated[Progressive, subcommand(name="progressive")]
    | Annotated[Upres, subcommand(name="upres")]
)


def run(arguments: list[str]) -> int:
    """Parse, train, print."""
    chosen: Dcgan | Progressive | Upres = parse(Arguments, "train", arguments)  # type: ignore[arg-type]
    skipped: list[str] = []

    def on_skip(path: Path, reason: str) -> None:
        skipped.append(str(path))
        warn(f"upimagine train: {reason}")

    if problem := chosen.loop.problem():
        raise UpimagineError(problem)
    folders = list(chosen.data)
    make_task: Callable[[Engine], Task]
    if isinstance(chosen, Dcgan):
        make_task = make_dcgan_task(folders, chosen.task, chosen.loop.seed, on_skip)
    elif isinstance(chosen, Progressive):
        make_task = make_progressive_task(folders, chosen.task, chosen.loop.seed, chosen.loop.batch, on_skip)
    else:
        make_task = make_upres_task(folders, chosen.task, chosen.augment, chosen.loop.seed, on_skip)
    outcome = fit(make_task, chosen.loop, chosen.out, _show)
    return _report(outcome, chosen.out, chosen.json, skipped)


def _show(progress: Progress) -> None:
    """A log line a tick: kept short on a terminal, whole in log.jsonl."""
    losses = "  ".join(f"{name} {value:.3g}" for name, value in progress.numbers.items() if name.endswith("loss"))
    left = (
        f"{progress.seconds_left / 3600:.1f} h"
        if progress.seconds_left > 5400
        else f"{progress.seconds_left / 60:.0f} min"
    )
    print(f"{progress.shown / 1000:8.1f} of {progress.total / 1000:.0f} kimg  {left} left  {losses}", file=sys.stderr)


def _report(outcome: Outcome, out: Path, as_json: bool, skipped: list[str]) -> int:
    how = "finished" if outcome.finished else "stopped; the same command goes on from here"
    result = {
        "model": str(outcome.model),
        "kimg": outcome.shown / 1000,
        "finished": outcome.finished,
        "skipped": skipped,
    }
    tell(as_json, result, f"{outcome.model}  {outcome.shown / 1000:.1f} kimg, {how}; curves and previews in {out}")
    if not outcome.finished:
        return 130
    return 3 if skipped else 0
