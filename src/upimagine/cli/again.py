"""`upimagine again PICTURE`: the same pixels from the recipe inside a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.frame import parse, progress, tell, warn


@dataclass(frozen=True)
class Arguments:
    """Make the same pixels again from the recipe inside a picture."""

    picture: Positional[Path]
    """a picture that upimagine made"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH", help_behavior_hint="")] = None
    """the result's file; default: NAME-again beside the picture"""
    source: Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """the picture that was enlarged, where it has moved since"""
    with_model: Annotated[UseAppendAction[tuple[Path, ...]], arg(name="with", metavar="MODEL")] = ()
    """model files it was made with, where they have moved since"""
    overwrite: bool = False
    """replace a result that is already there"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, render again, print."""
    chosen = parse(Arguments, "again", arguments)
    from upimagine.make.again import again

    out = chosen.out or chosen.picture.with_stem(chosen.picture.stem + "-again")
    with progress() as watch:
        made = again(
            chosen.picture, out, source=chosen.source, models=chosen.with_model, overwrite=chosen.overwrite, watch=watch
        )
    for doubt in made.doubts:
        warn(f"upimagine again: {doubt}; the last bits may differ")
    height, width = made.enlarged.size_px
    result = {"path": str(out), "width": width, "height": height, "doubts": list(made.doubts)}
    tell(chosen.json, result, f"{out}  {width}x{height}")
    return 0
