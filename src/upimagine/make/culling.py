"""A folder of pictures to the few worth keeping: measured, ranked, chosen, written into a folder of their own."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from upimagine import pixels
from upimagine.choose.cull import cull
from upimagine.choose.dpp import likely_set
from upimagine.choose.ranking import best_first, combine
from upimagine.choose.sheet import contact_sheet
from upimagine.data.folder import pictures_in
from upimagine.data.links import check_folder
from upimagine.errors import UpimagineError
from upimagine.make.measuring import Measured
from upimagine.pixels.atomic import UNFINISHED_SUFFIX, trouble

Diversity = Literal["farthest", "dpp", "none"]
WEIGHTS = {
    "realism": 1.0,
    "face": 1.0,
    "sharpness": 0.3,
    "symmetry": 0.3,
    "grid": 0.2,
    "blotches": 0.2,
    "novelty": 0.2,
    "taste": 1.0,
}
"""How much each score counts, where it could be measured and nobody says otherwise."""
SHEET, TABLE, RESULT = "contact-sheet.png", "scores.csv", "cull.json"
_SHEET_MOST = 400  # of thousands, those that anybody will look at


@dataclass(frozen=True)
class Chosen:
    """Which candidates were kept, and by what."""

    kept: list[int]  # indices, best or first-taken first
    total: Tensor  # (N,) float64, NaN is a veto
    weights: dict[str, float]


def candidates_in(folder: Path) -> list[Path]:
    """Pictures of a folder that `sample` made, or else those directly in it. Raises UpimagineError for none."""
    inner = folder / "pictures"
    found = pictures_in(inner if inner.is_dir() else folder)
    if not found:
        raise UpimagineError(
            f"{folder} holds no pictures; name a folder that `upimagine sample` made, or any with some"
        )
    return found


def choose(
    measured: Measured,
    keep: int,
    *,
    weights: Mapping[str, float] | None = None,
    diversity: Diversity = "farthest",
    share: float = 0.2,
) -> Chosen:
    """Keep the best that differ.

    `weights` overrule `WEIGHTS`; a score without weight vetoes nothing, except that a copy of a training picture is
    never kept. Of the best `share` the kept are spread by farthest-first traversal or by the likeliest set of a k-DPP;
    "none" takes the best. Raises UpimagineError for a score that was not measured, and when too few may be kept.
    """
    used = {name: weight for name, weight in WEIGHTS.items() if name in measured.scores} | dict(weights or {})
    used = {name: weight for name, weight in used.items() if weight != 0 or name not in measured.scores}
    total = combine(measured.scores, used)
    if measured.nearest is not None:
        total = total.masked_fill(measured.nearest.copies, torch.nan)
    ranked = best_first(total)
    if not 1 <= keep <= len(ranked):
        raise UpimagineError(
            f"{keep} cannot be kept: {len(ranked)} of {len(total)} pictures may be; keep from 1 to {len(ranked)}, "
            f"or give the score that rules the others out a weight of 0"
        )
    if diversity == "none":
        kept = ranked[:keep]
    elif diversity == "farthest":
        kept = cull(measured.thumbs, total, keep, measured.features, share=share)
    else:
        pool = ranked[: max(keep, math.ceil(share * len(ranked)))]
        kept = [pool[index] for index in likely_set(total[pool], measured.features[pool], keep)]
    return Chosen(kept, total, used)


def write_choice(measured: Measured, chosen: Chosen, out: Path) -> dict[str, Any]:
    """Copies of the kept, contact sheet, scores.csv and cull.json, as a new folder that appears whole or not at all.

    Copies are named PLACE-NAME and hold the same bytes, recipe included. Gives back what cull.json says. Raises
    UpimagineError when the folder holds something already, or cannot be written.
    """
    check_folder(out)
    unfinished = out.parent / f".{secrets.token_hex(6)}{UNFINISHED_SUFFIX}"
    try:
        unfinished.mkdir(parents=True)
        copies = []
        for place, index in enumerate(chosen.kept, start=1):
            source = measured.paths[index]
            copies.append(f"{place}-{source.name}")
            shutil.copyfile(source, unfinished / copies[-1])
        pixels.write(unfinished / SHEET, _sheet(measured, chosen))
        pixels.write_text(unfinished / TABLE, _table(measured, chosen))
        result = _result(measured, chosen, copies)
        pixels.write_text(unfinished / RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        if out.exists():
            out.rmdir()  # empty, as was checked
        unfinished.rename(out)
    except OSError as error:
        raise trouble(error, out) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return result


def order_of(total: Tensor) -> list[int]:
    """All indices, best first, the vetoed last."""
    ranked = best_first(total)
    return ranked + sorted(set(range(len(total))) - set(ranked))


def _sheet(measured: Measured, chosen: Chosen) -> Tensor:
    """The kept, then the best others, each with its number."""
    others = [index for index in order_of(chosen.total) if index not in set(chosen.kept)]
    order = (chosen.kept + others)[: max(_SHEET_MOST, len(chosen.kept))]
    return contact_sheet(measured.thumbs[order], range(len(chosen.kept)), numbers=order)


def _table(measured: Measured, chosen: Chosen) -> str:
    """A row a picture, best first. Names are quoted: they may hold anything."""
    names = sorted(measured.scores)
    heading = ["picture", "number", "kept", "total", *names]
    nearest = measured.nearest
    if nearest is not None:
        heading += ["nearest", "copy"]
    rows = [",".join(heading)]
    for index in order_of(chosen.total):
        place = str(chosen.kept.index(index) + 1) if index in chosen.kept else ""
        row = [_quoted(measured.paths[index].name), str(index), place, _number(chosen.total[index])]
        row += [_number(measured.scores[name][index]) for name in names]
        if nearest is not None:
            row += [_quoted(measured.training[int(nearest.index[index])].name), str(int(nearest.copies[index]))]
        rows.append(",".join(row))
    return "\n".join(rows) + "\n"


def _result(measured: Measured, chosen: Chosen, copies: Sequence[str]) -> dict[str, Any]:
    kept = [
        {
            "file": copy,
            "picture": str(measured.paths[index].resolve()),
            "total": round(float(chosen.total[index]), 4),
            "scores": {name: _plain(score[index]) for name, score in sorted(measured.scores.items())},
        }
        for copy, index in zip(copies, chosen.kept, strict=True)
    ]
    copied = None if measured.nearest is None else int(measured.nearest.copies.sum())
    return {
        "from": str(measured.paths[0].parent.resolve()),
        "candidates": len(measured.paths),
        "faces": measured.faces,
        "model": measured.model,
        "copies_of_training": copied,
        "taste": None if measured.sureness is None else str(measured.sureness),
        "weights": chosen.weights,
        "kept": kept,
        "skipped": measured.skipped,
    }


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _number(value: Tensor) -> str:
    return "" if value.isnan() else f"{float(value):.5g}"


def _plain(value: Tensor) -> float | None:
    return None if value.isnan() else float(f"{float(value):.5g}")
