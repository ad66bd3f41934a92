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
    truncation: Annotated[float | None, arg(metavar="NUMBER", help_behavior_hint="")] = None
    """less is more usual and less varied: bound of a latent's numbers (0.5 to 1, say); Progressive GAN: 0 to 1"""
    label: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """of this class only, for a model trained with --labels; `upimagine models FILE` names them"""
    like: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """more like this: a picture that the model made, or a latents.safetensors (then see --numbers)"""
    numbers: tuple[int, ...] = ()
    """which of the latents in that file, each in turn; all if left away"""
    apart: float = 0.3
    """how unlike those: 0 the same, 1 any other"""
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
    from upimagine.make.samples import Like, save_samples

    out = chosen.out or Path("out") / Path(chosen.model).stem
    with progress() as watch:
        saved = save_samples(
            chosen.model,
            chosen.count,
            out,
            seed=chosen.seed,
            truncation=chosen.truncation,
            label=chosen.label,
            like=None if chosen.like is None else Like(chosen.like, chosen.numbers, chosen.apart),
            overwrite=chosen.overwrite,
            machine=settle(chosen.device),
            watch=watch,
        )
    result = {"folder": str(out), "sampled": chosen.count, "with_face": saved.with_face, "sheet": str(saved.sheet)}
    result["latents"] = str(saved.latents)
    tell(
        chosen.json,
        result,
        f"{chosen.count} pictures in {out / 'pictures'}, a face found in {saved.with_face}",
        f"{saved.sheet}: all of them, best first; scores in {saved.table}, latents in {saved.latents}",
    )
    return 0
