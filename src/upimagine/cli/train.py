"""`upimagine train TASK`: train a model on folders or archives of pictures."""

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
from upimagine.train.account import Progress
from upimagine.train.chain import ChainSettings, make_chain_task
from upimagine.train.dcgan import DcganSettings, make_dcgan_task
from upimagine.train.engine import Engine, PeerLostError, is_further_process
from upimagine.train.enhance import EnhanceSettings, make_enhance_task
from upimagine.train.fastgan import FastganSettings, make_fastgan_task
from upimagine.train.loop import Outcome, fit
from upimagine.train.page import time_left
from upimagine.train.pix2pix import Pix2pixSettings, make_pix2pix_task
from upimagine.train.progressive import ProgressiveSettings, make_progressive_task
from upimagine.train.settings import LoopSettings
from upimagine.train.stack import StackSettings, make_stack_task
from upimagine.train.task import Task
from upimagine.train.upres import UpresSettings, make_upres_task

Folders = Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="PICTURES")]
OnSkip = Callable[[Path, str], None]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What every task is told."""

    data: Folders
    """a folder of pictures, a .zip of them, a WebDataset .tar, or a catalog: its good pictures (kept when sorted, or
    neither flagged nor rejected), or others as CATALOG:keep, :clean, :all; repeatable"""
    out: Annotated[Path, arg(aliases=["-o"])]
    """folder of the run; the same folder again goes on where it stopped"""
    json: bool = False
    """print the result as one JSON object"""


@dataclass(frozen=True, kw_only=True)
class Dcgan(_Run):
    """A generator of small pictures (DCGAN), from some hundreds of pictures."""

    task: DcganSettings = field(default_factory=DcganSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_dcgan_task(list(self.data), self.task, self.loop.seed, on_skip)


@dataclass(frozen=True, kw_only=True)
class Fastgan(_Run):
    """A generator of pictures up to 512 px (FastGAN), from some dozens of pictures."""

    task: FastganSettings = field(default_factory=FastganSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=8))

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_fastgan_task(list(self.data), self.task, self.loop.seed, on_skip)


@dataclass(frozen=True, kw_only=True)
class Progressive(_Run):
    """A generator that grows while it trains (Progressive GAN), from 4 to 1024 px, from some hundreds of pictures."""

    task: ProgressiveSettings = field(default_factory=ProgressiveSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(kimg=800.0, batch=16))

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_progressive_task(list(self.data), self.task, self.loop.seed, self.loop.batch, on_skip)


@dataclass(frozen=True, kw_only=True)
class Stack(_Run):
    """A second stage behind a generator (StackGAN): paints its pictures anew, x2 or x4 as large."""

    task: StackSettings = field(default_factory=StackSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=16))

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_stack_task(list(self.data), self.task, self.loop.seed, on_skip)


@dataclass(frozen=True, kw_only=True)
class Upres(_Run):
    """An up-imaginer x8 (J-net), from some dozens of large pictures (512 px and more)."""

    task: UpresSettings = field(default_factory=UpresSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=8))
    augment: TileAugment = field(default_factory=TileAugment)

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_upres_task(list(self.data), self.task, self.augment, self.loop.seed, on_skip)


@dataclass(frozen=True, kw_only=True)
class Chain(_Run):
    """Two enlarging models trained on together, each allowing for the other; both stand in the run's folder."""

    task: ChainSettings = field(default_factory=ChainSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(kimg=20.0, batch=8))
    augment: TileAugment = field(default_factory=TileAugment)

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_chain_task(list(self.data), self.task, self.augment, self.loop.seed, on_skip)


@dataclass(frozen=True, kw_only=True)
class Enhance(_Run):
    """An up-imaginer x4 for tiny pictures (EnhanceGAN), stage after stage, from some hundreds of pictures."""

    task: EnhanceSettings = field(default_factory=EnhanceSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures."""
        return make_enhance_task(list(self.data), self.task, self.loop.seed, on_skip)


@dataclass(frozen=True, kw_only=True)
class Pix2pix(_Run):
    """From pictures to pictures (U-Net and PatchGAN), from some hundreds of pairs; as it comes, an up-imaginer x8."""

    task: Pix2pixSettings = field(default_factory=Pix2pixSettings)
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(kimg=80.0, batch=1))

    def begin(self, on_skip: OnSkip) -> Callable[[Engine], Task]:
        """Read the pictures, or pairs of them."""
        return make_pix2pix_task(list(self.data), self.task, self.loop.seed, on_skip)


Chosen = Chain | Dcgan | Enhance | Fastgan | Pix2pix | Progressive | Stack | Upres
Arguments = (
    Annotated[Chain, subcommand(name="chain")]
    | Annotated[Dcgan, subcommand(name="dcgan")]
    | Annotated[Enhance, subcommand(name="enhance")]
    | Annotated[Fastgan, subcommand(name="fastgan")]
    | Annotated[Pix2pix, subcommand(name="pix2pix")]
    | Annotated[Progressive, subcommand(name="progressive")]
    | Annotated[Stack, subcommand(name="stack")]
    | Annotated[Upres, subcommand(name="upres")]
)


def run(arguments: list[str]) -> int:
    """Parse, train, print."""
    chosen: Chosen = parse(Arguments, "train", arguments)  # type: ignore[arg-type]
    skipped: list[str] = []

    def note(line: str) -> None:
        if not is_further_process():
            warn(f"upimagine train: {line}")

    def on_skip(path: Path, reason: str) -> None:
        skipped.append(str(path))
        note(reason)

    if problem := chosen.loop.problem():
        raise UpimagineError(problem)
    make_task = chosen.begin(on_skip)
    if skipped:
        note(f"{len(skipped)} files were passed over")
    try:
        outcome = fit(make_task, chosen.loop, chosen.out, show_tick, note)
    except PeerLostError:
        if is_further_process():  # whoever has ended says why
            return 1
        raise
    if is_further_process():
        return 0
    return _report(outcome, chosen.out, chosen.json, skipped)


def show_tick(progress: Progress) -> None:
    """A log line a tick: kept short on a terminal, whole in log.jsonl."""
    losses = "  ".join(f"{name} {value:.3g}" for name, value in progress.numbers.items() if name.endswith("loss"))
    left = time_left(progress.seconds_left)
    digits = 1 if progress.total >= 10_000 else 3
    shown, total = f"{progress.shown / 1000:8.{digits}f}", f"{progress.total / 1000:g}"
    print(f"{shown} of {total} kimg  {left} left  {losses}", file=sys.stderr)


def _report(outcome: Outcome, out: Path, as_json: bool, skipped: list[str]) -> int:
    how = "finished" if outcome.finished else "stopped; the same command goes on from here"
    result = {
        "model": str(outcome.model),
        "kimg": outcome.shown / 1000,
        "finished": outcome.finished,
        "skipped": skipped,
    }
    tell(as_json, result, f"{outcome.model}  {outcome.shown / 1000:g} kimg, {how}; curves and previews in {out}")
    if not outcome.finished:
        return 130
    return 3 if skipped else 0
