"""`upimagine cull DIR --keep 4`: thousands of candidates to the few worth enlarging."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.frame import parse, progress, tell, warn


@dataclass(frozen=True)
class Arguments:
    """Score pictures, rank them and keep the best that differ, as copies with a contact sheet and a table of scores.

    Scores, larger is better: realism (the critic of the model that made them), face (how sure it is found), sharpness,
    symmetry (of the face), grid and blotches (how free of them), novelty (with --data: distance from the nearest
    training picture; a copy of one is never kept), taste (with --taste: how likely you would keep it).
    The pictures themselves are only read.
    """

    folder: Positional[Path]
    """made by `upimagine sample`, or any folder of pictures"""
    keep: Annotated[int, arg(aliases=["-k"])] = 4
    """how many"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="FOLDER", help_behavior_hint="")] = None
    """a new folder; default: FOLDER-kept"""
    weight: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="SCORE=NUMBER")] = ()
    """how much a score counts; 0 leaves it out, less than 0 turns it round; repeatable"""
    diversity: Literal["farthest", "dpp", "none"] = "farthest"
    """how the kept are spread: farthest-first, a determinantal point process, or not at all"""
    share: float = 0.2
    """of the ranking that competes for being kept"""
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="PATH")] = ()
    """what the model was trained on: folders, archives, catalogs; repeatable"""
    taste: Annotated[Path | None, arg(metavar="CATALOG", help_behavior_hint="")] = None
    """a catalog whose verdicts (`upimagine sort`) say what you like"""
    faces: bool = True
    """look for faces; without them, a third of the time"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the result as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, measure, choose, write, print."""
    chosen = parse(Arguments, "cull", arguments)
    from upimagine.data.links import check_folder
    from upimagine.errors import UpimagineError
    from upimagine.make.culling import candidates_in, choose, write_choice
    from upimagine.make.machine import settle
    from upimagine.make.measuring import measure_folder

    weights = dict(_weight(text) for text in chosen.weight)
    if chosen.keep < 1 or not 0 < chosen.share <= 1:
        raise UpimagineError(f"--keep {chosen.keep} --share {chosen.share} cannot work; give 1 or more, and 0 to 1")
    out = chosen.out or chosen.folder.with_name(f"{chosen.folder.resolve().name}-kept")
    check_folder(out)  # better known now than after a minute
    paths = candidates_in(chosen.folder)
    with progress() as watch:
        machine = settle(chosen.device)
        measured = measure_folder(paths, machine, data=chosen.data, faces=chosen.faces, taste=chosen.taste, watch=watch)
    for line in measured.skipped:
        warn(f"upimagine cull: {line}")
    choice = choose(measured, chosen.keep, weights=weights, diversity=chosen.diversity, share=chosen.share)
    result = write_choice(measured, choice, out)
    lines = [f"{out}: {len(choice.kept)} of {len(measured.paths)} pictures"]
    lines += [f"  {kept['file']}  {kept['total']:+.2f}" for kept in result["kept"]]
    if result["copies_of_training"]:
        lines.append(f"{result['copies_of_training']} pictures are copies of training pictures; see scores.csv")
    if measured.sureness is not None:
        lines.append(f"taste: {measured.sureness}")
    lines.append(f"compare them in pairs: upimagine studio {shlex.quote(str(out))}")
    tell(chosen.json, {"folder": str(out)} | result, *lines)
    return 3 if measured.skipped else 0


def _weight(text: str) -> tuple[str, float]:
    import math

    from upimagine.errors import UpimagineError

    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UpimagineError(f"--weight {text} cannot work; give SCORE=NUMBER, as sharpness=2")
    return name, number
