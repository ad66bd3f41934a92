"""`upimagine mix FOLDER FOLDER…`: new faces between those of two or more people."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from upimagine.cli.frame import parse, progress, tell, warn
from upimagine.cli.train import show_tick
from upimagine.make.mixing import MixSettings


@dataclass(frozen=True)
class Arguments:
    """Mix the faces of two or more people: from a folder of pictures each to enlarged mixes and a print.

    Interrupted or killed, the same command goes on where it was.
    """

    folders: Positional[tuple[Path, ...]]
    """a folder of pictures for each person, eight faces at least, some dozens are better"""
    out: Annotated[Path, arg(aliases=["-o"], metavar="PATH")] = Path("out/mix")
    """folder for faces, model and results"""
    settings: MixSettings = field(default_factory=MixSettings)
    overwrite: bool = False
    """replace results that are already there"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, mix, print."""
    chosen = parse(Arguments, "mix", arguments)
    from upimagine.make.machine import settle
    from upimagine.make.mixing import mix

    with progress() as watch:
        mixed = mix(
            list(chosen.folders), chosen.out, chosen.settings, settle(chosen.device), overwrite=chosen.overwrite,
            watch=watch, on_tick=show_tick, on_note=lambda line: warn(f"upimagine mix: {line}"),
        )  # fmt: skip
    for line in mixed.skipped:
        warn(f"upimagine mix: passed over: {line}")
    made = mixed.made
    result = {
        "faces": list(mixed.faces),
        "skipped": list(mixed.skipped),
        "model": str(mixed.model),
        "finished": made is not None,
        "chosen": list(made.chosen) if made else [],
        "pictures": [str(path) for path in made.pictures] if made else [],
        "print": str(made.print) if made and made.print else None,
    }
    people = " and ".join(map(str, mixed.faces))
    if made is None:
        tell(chosen.json, result, f"{people} faces; training stopped: the same command goes on from here")
        return 130
    lines = [
        f"mixed {people} faces; chosen {', '.join(map(str, made.chosen))} of {made.sampled}",
        *(f"{done.path}  {done.size_px[1]}x{done.size_px[0]}" for done in made.enlarged),
        f"{made.folder}: contact sheet, recipe.toml, faces and model beside them",
    ]
    tell(chosen.json, result, *lines)
    return 3 if mixed.skipped else 0
