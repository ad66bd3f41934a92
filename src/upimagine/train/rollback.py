"""The last healthy checkpoint, kept beside the newest, and the way back to it with a gentler setting."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upimagine.errors import UpimagineError
from upimagine.pixels.atomic import replacing, trouble
from upimagine.train.checkpoint import FILE_NAME, load_checkpoint, save_checkpoint
from upimagine.train.journal import read_log
from upimagine.train.watch import Facts, Watch

HEALTHY_NAME = "healthy.pt"
UNDONE_NAME = "before-rollback.pt"
_GENTLER = 0.5  # times the learning rate; ours


@dataclass(frozen=True)
class Rollback:
    """A way back: the state to go on from, and what has been changed."""

    state: dict[str, Any] | None
    """None: all is well since the last one, and the newest checkpoint goes on."""
    told: str
    """What was done, in one line."""


def keep_healthy(run: Path, shown: int, watch: Watch) -> None:
    """After a checkpoint was written at `shown` pictures, see whether an older one has proved to be healthy.

    What goes wrong shows only after some ticks. So a checkpoint that looks sound is first on trial, and becomes
    `healthy.pt` once enough was seen that was sound too, or when trouble is found to have begun after it. Links are
    used, which take no time; the disk holds up to two checkpoints beside the newest.
    """
    keep_proved(run, watch)
    for path, kimg in _on_trial(run):
        if kimg > shown / 1000 or watch.amiss_at(kimg):
            path.unlink()
    if not watch.active and not _on_trial(run):
        _link(run / FILE_NAME, run / f"trial-{shown:09d}.pt")


def plan_rollback(run: Path, newest: dict[str, Any] | None, facts: Facts) -> Rollback:
    """Find where to go back to, and what to make gentler: the sides that the watch blames, all where it blames none.

    The same command given again, all being well since, goes on. Nothing is written yet but that a checkpoint on trial
    may become the healthy one. The state's settings tell of every rollback.

    Raises:
        UpimagineError: there is nowhere to go back from or to.
    """
    if newest is None:
        raise UpimagineError(f"{run} has no checkpoint to roll back from; leave --rollback out to begin")
    watch, lines = Watch(facts), read_log(run)
    watch.replay(lines)
    before = newest["settings"].get("rollbacks", [])
    if before and not watch.active:
        told = f"nothing is amiss since the rollback to {before[-1]['to_kimg']:g} kimg, so the run goes on"
        return Rollback(None, f"{told}; for a still gentler setting give a smaller --learning-rate")
    keep_proved(run, watch)
    newest_kimg = _shown(newest) / 1000
    healthy = _healthy(run, newest, watch)
    if healthy is None and not watch.amiss_at(newest_kimg):
        healthy = newest
    if healthy is None:
        raise UpimagineError(
            f"{run} has no healthy checkpoint to roll back to; begin anew in another --out folder with half the "
            "--learning-rate"
        )
    sides = {found.side for found in watch.active}
    blamed = [phase for phase in facts.phases if phase in sides]
    gentler = list(facts.phases) if None in sides or not blamed else blamed
    from_kimg, to_kimg = max(newest_kimg, *(line["kimg"] for line in lines), 0.0), _shown(healthy) / 1000
    names = [found.name for found in watch.active]
    done = {
        "from_kimg": from_kimg,
        "to_kimg": to_kimg,
        "because": names,
        "learning_rate_times": dict.fromkeys(gentler, _GENTLER),
    }
    told = (
        f"rolled back from {from_kimg:g} to {to_kimg:g} kimg ({', '.join(names) or 'the watch had found nothing'}); "
        f"from here on the learning rate of {' and '.join(gentler)} is halved; what was there before is {UNDONE_NAME}"
    )
    return Rollback(healthy | {"settings": healthy["settings"] | {"rollbacks": [*before, done]}}, told)


def _shown(state: dict[str, Any]) -> int:
    """Pictures shown when it was written; older ones do not say it, since all their batches were alike."""
    return int(state.get("shown", state["step"] * state["settings"]["batch"]))


def _healthy(run: Path, newest: dict[str, Any], watch: Watch) -> dict[str, Any] | None:
    """The healthy checkpoint; before there is one, the one on trial if nothing speaks against it."""
    names = [HEALTHY_NAME, *(path.name for path, kimg in _on_trial(run) if not watch.amiss_at(kimg))]
    for name in names:
        state = load_checkpoint(run, name)
        if state is not None and state["step"] <= newest["step"]:  # others are of a run that was begun anew here
            return state
    return None


def carry_out(run: Path, rollback: Rollback) -> None:
    """Make the planned state the run's checkpoint; the newest one is kept as `before-rollback.pt`."""
    if rollback.state is None:
        return
    _link(run / FILE_NAME, run / UNDONE_NAME)
    save_checkpoint(run, rollback.state)
    for path, _ in _on_trial(run):
        path.unlink()


def gentleness(rollbacks: Iterable[dict[str, Any]], phase: str) -> float:
    """What a phase's learning rate is multiplied by, after these rollbacks."""
    times = 1.0
    for done in rollbacks:
        times *= done["learning_rate_times"].get(phase, 1.0)
    return times


def keep_proved(run: Path, watch: Watch) -> None:
    """A checkpoint on trial that has proved sound meanwhile becomes the healthy one."""
    for path, kimg in _on_trial(run):
        if watch.proves(kimg):
            path.replace(run / HEALTHY_NAME)


def _on_trial(run: Path) -> list[tuple[Path, float]]:
    """Checkpoints on trial (one, at most) and where they stand, in kimg."""
    found = ((path, re.fullmatch(r"trial-(\d+)\.pt", path.name)) for path in sorted(run.glob("trial-*.pt")))
    return [(path, int(match[1]) / 1000) for path, match in found if match]


def _link(path: Path, name: Path) -> None:
    """Give a file a second name, whole or not at all; it keeps its content when the first is replaced."""
    try:
        name.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # some disks know no links
            os.link(path, name)
            return
    except OSError as error:
        raise trouble(error, name) from error
    with path.open("rb") as source, replacing(name, overwrite=True) as copy:
        shutil.copyfileobj(source, copy)
