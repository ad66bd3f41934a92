"""`upimagine make RECIPE`: from noise to the print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.frame import parse, progress, tell, warn
from upimagine.errors import UpimagineError


@dataclass(frozen=True)
class Arguments:
    """Walk from noise to the print, as a recipe says.

    Leaves a contact sheet, the chosen pictures enlarged, the print and recipe.toml in the output folder.
    """

    recipe: Positional[str] = "portrait"
    """a built-in recipe (abstract, enhance, portrait) or a .toml file"""
    begin: Annotated[Path | None, arg(name="from", metavar="FOLDER", help_behavior_hint="")] = None
    """begin with the pictures in a folder, in place of the recipe's own beginning"""
    model: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=FILE")] = ()
    """take FILE, or another built-in model, where the recipe names NAME; repeatable"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH", help_behavior_hint="")] = None
    """folder for the results; default: out/RECIPE"""
    seed: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """another number, other pictures; default: the recipe's"""
    overwrite: bool = False
    """replace results that are already there"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, walk, print."""
    chosen = parse(Arguments, "make", arguments)
    import time

    from upimagine.make.machine import settle
    from upimagine.make.walk import find_recipe, make

    models = dict(_pair(told) for told in chosen.model)
    recipe = find_recipe(chosen.recipe)
    out = chosen.out or Path("out") / recipe.name
    started = time.perf_counter()
    with progress() as watch:
        made = make(
            recipe, out, begin_with=chosen.begin, models=models, seed=chosen.seed,
            overwrite=chosen.overwrite, machine=settle(chosen.device), watch=watch,
        )  # fmt: skip
    seconds = time.perf_counter() - started
    for line in made.skipped:
        warn(f"upimagine make: passed over: {line}")
    if made.resumed:
        warn(f"upimagine make: {out}: went on where it had stopped")
    for done in made.enlarged:
        if done.guided is False:
            warn(f"upimagine make: {done.path}: no face found, enlarged without a guide")
    result = {
        "folder": str(made.folder),
        "sampled": made.sampled,
        "with_face": made.with_face,
        "chosen": list(made.chosen),
        "pictures": [str(path) for path in made.pictures],
        "skipped": list(made.skipped),
        "print": str(made.print) if made.print else None,
        "seconds": round(seconds, 1),
        "rendering_seconds": round(made.rendering_s, 2),
        "outside_networks": round(made.outside_share, 3),
    }
    faces = "" if made.with_face is None else f", a face found in {made.with_face}"
    lines = [
        f"{made.sampled} candidates{faces}; chosen {', '.join(map(str, made.chosen))}",
        *(f"{done.path}  {done.size_px[1]}x{done.size_px[0]}" for done in made.enlarged),
        f"{made.folder}: contact sheet and recipe.toml beside them, {seconds:.0f} s in all",
    ]
    tell(chosen.json, result, *lines)
    return 3 if made.skipped else 0


def _pair(told: str) -> tuple[str, str]:
    name, equals, model = told.partition("=")
    if not (name and equals and model):
        raise UpimagineError(f"--model {told} cannot be read; write NAME=FILE, as in detail-x8=mine.safetensors")
    return name, model
