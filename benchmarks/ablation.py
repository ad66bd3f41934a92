"""What the J-net's parts are worth: each left away or exchanged, under equal processor time, on portraits kept out.

    python benchmarks/ablation.py PORTRAITS --held-out HELD --vgg VGG16.safetensors --out FOLDER [--seconds 480]

The seed post's claims are tested: that a guide helps, that only the pooled picture should be compared, that the
generator is better without batch norm; and resize-convolution against deconvolution. Every run begins anew, from the
same pictures, with one thread and the clock of its own process, and knows nothing but the adversary and the L1 (no
feature loss, which would hide the differences). Tiles of the held-out pictures are judged, always the same ones, made
small and guided as training pairs are. Finished runs are kept; start again to go on.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from equal_time import append, finished, fit_for, run_all
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import to_float
from upimagine.data.sources import opened
from upimagine.data.tiles import TileAugment, tile_source
from upimagine.errors import UpimagineError
from upimagine.guide.kinds import guide_named
from upimagine.measure.consistency import down_consistency, psnr, sharpness_ratio
from upimagine.measure.enlargement import bicubic
from upimagine.measure.features import feature_distance
from upimagine.models.loaded import load_upscaler
from upimagine.nets.vgg import load_vgg16
from upimagine.train.grid import picture_grid
from upimagine.train.settings import LoopSettings
from upimagine.train.upres import UpresSettings, make_upres_task

_BATCH = 4
_TILE_PX, _SCALE = 32, 8
#: Upper left corners of the judged tiles on a plane of 96 px: the eyes, and mouth with chin.
_PLACES = ((28, 32), (50, 32))

BASE = UpresSettings(guide="face", width=0.25, critic_width=16, warmup_steps=100, low_res_weight=100.0)
CASES: dict[str, UpresSettings] = {
    "seed's": BASE,
    "no guide": dataclasses.replace(BASE, guide="none"),
    "full L1": dataclasses.replace(BASE, low_res_weight=0.0, l1_weight=100.0),
    "batch norm": dataclasses.replace(BASE, norm="batch"),
    "resize-convolution": dataclasses.replace(BASE, up="resize"),
}
FIGURES = ("unit_share", "l1_share", "psnr_db", "sharpness", "consistency_db")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all runs have in common."""

    portraits: Path
    held_out: Path
    vgg: Path
    out: Path
    seconds: float

    def identity(self) -> dict[str, Any]:
        """What makes results comparable."""
        return {"seconds": self.seconds, "base": BASE.plain()}


def judged_tiles(held_out: Path, kind: str) -> tuple[Tensor, Tensor]:
    """Low-res tiles with their guide (N, C, 32, 32) and the truths (N, 3, 256, 256)."""
    low, high = [], []
    with opened([held_out]) as found:
        for picture in found:
            source = tile_source(picture, 1.0, guide_named(kind))
            for y, x in _PLACES:
                low.append(to_float(source.low[:, y : y + _TILE_PX, x : x + _TILE_PX]))
                top, left, side = y * _SCALE, x * _SCALE, _TILE_PX * _SCALE
                high.append(to_float(source.high[:, top : top + side, left : left + side]))
    return torch.stack(low), torch.stack(high)


def judge(model: Path, kind: str, plan: Plan, sheet: Path) -> dict[str, float]:
    """Means over all judged tiles; the sheet shows the first pictures' tiles: bicubic, made, truth."""
    upscaler = load_upscaler(model, "cpu", "float32")
    low, high = judged_tiles(plan.held_out, kind)
    eye = load_vgg16(plan.vgg)
    rows: list[dict[str, float]] = []
    shown: list[Tensor] = []
    for tile, truth in zip(low, high[:, None], strict=True):
        small = tile[None, :3]
        made, plain = upscaler.upscale(tile[None]), bicubic(small)
        ours, base = feature_distance(eye, made, truth), feature_distance(eye, plain, truth)
        rows.append(
            {
                "unit_share": ours.unit / base.unit,
                "l1_share": ours.l1 / base.l1,
                "psnr_db": psnr(made, truth),
                "sharpness": sharpness_ratio(made, truth),
                "consistency_db": down_consistency(made, small),
            }
        )
        if len(shown) < 36:
            shown += [plain[0], made[0], truth[0]]
    pixels.write(sheet, picture_grid(torch.stack(shown), columns=6), overwrite=True)
    return {name: fmean(row[name] for row in rows) for name in FIGURES}


def run_one(name: str, seed: int, plan: Plan) -> None:
    """One run in a process of its own, whose processor time is the run's; appends the result."""
    torch.set_num_threads(1)
    folder = plan.out / f"{name.replace(' ', '-').replace(chr(39), '')}-{seed}"
    make_task = make_upres_task([plan.portraits], CASES[name], TileAugment(), seed, lambda path, reason: None)
    settings = LoopSettings(
        kimg=100_000, batch=_BATCH, seed=seed, ema_kimg=1.0, device="cpu", threads=1,
        preview_kimg=100_000, checkpoint_minutes=1e6,
    )  # fmt: skip
    result: dict[str, Any] = {"name": name, "seed": seed, **plan.identity()}
    try:
        outcome, spent = fit_for(plan.seconds, make_task, settings, folder)
        result |= {"kimg": outcome.shown / 1000, "processor_s": round(spent, 1)}
        result |= judge(outcome.model, CASES[name].guide, plan, folder.with_suffix(".png"))
    except UpimagineError as error:  # diverged: that, too, is a result
        result["failed"] = str(error)
    append(plan.out, result)


def table(out: Path) -> str:
    """Means over seeds."""
    results = finished(out)
    lines = ["| J-net | runs | kimg | features, share of bicubic's (unit) | (L1) | PSNR | sharpness | consistency |"]
    lines.append("|---" * 8 + "|")
    for name in CASES:
        sound = [r for r in results if r["name"] == name and "failed" not in r]
        if sound:
            kimg, unit, l1, db, sharp, held = (fmean(r[figure] for r in sound) for figure in ("kimg", *FIGURES))
            cells = f"{kimg:.1f} | {unit:.3f} | {l1:.3f} | {db:.2f} dB | {sharp:.2f} | {held:.1f} dB"
            lines.append(f"| {name} | {len(sound)} | {cells} |")
    lines += [f"\n{r['name']}, seed {r['seed']}: {r['failed']}" for r in results if "failed" in r]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path, nargs="?", help="folder of large portraits (768x768)")
    parser.add_argument("--held-out", type=Path, help="folder of others, never trained on")
    parser.add_argument("--vgg", type=Path, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--seconds", type=float, default=480, help="processor seconds of each run")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", action="append", choices=tuple(CASES), help="these alone; repeat for more")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    args = parser.parse_args()
    try:
        if not args.table:
            if None in (args.portraits, args.held_out, args.vgg):
                parser.error("a folder of portraits, --held-out and --vgg are needed")
            plan = Plan(args.portraits, args.held_out, args.vgg, args.out, args.seconds)
            run_all(run_one, args.only or list(CASES), args.seeds, plan)
        print(table(args.out))
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
