"""`upimagine sample MODEL`: pictures from noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from upimagine.cli.frame import parse, progress, tell


@dataclass(frozen=True)
class Arguments:
    """Make pictures from noise, with scores and a contact sheet in order of rank."""

    model: Positional[str]
    """a generator by name or path"""
    count: Annotated[int, arg(aliases=["-n"])] = 500
    """how many"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH", help_behavior_hint="")] = None
    """folder for the results; default: out/MODEL"""
    seed: int = 0
    """another number, other pictures"""
    overwrite: bool = False
    """replace results that are already there"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, sample, write, print."""
    chosen = parse(Arguments, "sample", arguments)
    from upimagine.make.machine import settle
    from upimagine.make.sampling import save_samples

    out = chosen.out or Path("out") / Path(chosen.model).stem
    with progress() as watch:
        saved = save_samples(
            chosen.model,
            chosen.count,
            out,
            seed=chosen.seed,
            overwrite=chosen.overwrite,
            machine=settle(chosen.device),
            watch=watch,
        )
    result = {"folder": str(out), "sampled": chosen.count, "with_face": saved.with_face, "sheet": str(saved.sheet)}
    tell(
        chosen.json,
        result,
        f"{chosen.count} pictures in {out / 'pictures'}, a face found in {saved.with_face}",
        f"{saved.sheet}: all of them, best first; scores in {saved.table}",
    )
    return 0
