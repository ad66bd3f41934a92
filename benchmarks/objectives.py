"""Which objective makes the best portraits in equal time? Eight objectives with one DCGAN (BEGAN with its own networks)
and a FastGAN, several seeds each, at 64 px.

    python benchmarks/objectives.py PORTRAITS --vgg VGG16.safetensors --out FOLDER
    python benchmarks/objectives.py --out FOLDER --table

Time is processor time of the training process, all its threads together, on one thread of arithmetic: other work on the
machine does not count. Decoding of the folder, previews, checkpoints and scoring are done outside it or hardly at all.
The last `--held-out` pictures by name are never trained on. 1,000 unculled samples are judged by `measure.samples`
against these, beside the training pictures against the same; Fréchet distances are taken at equal counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from equal_time import append, finished, fit_for, run_all
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import Decoded, to_float
from upimagine.errors import UpimagineError
from upimagine.make.sampling import latent
from upimagine.measure.samples import evaluate_samples
from upimagine.models.loaded import load_generator
from upimagine.nets.vgg import load_vgg16
from upimagine.train.dcgan import DcganSettings, DcganTask
from upimagine.train.engine import Engine
from upimagine.train.fastgan import FastganSettings, FastganTask
from upimagine.train.grid import picture_grid
from upimagine.train.objectives import KINDS
from upimagine.train.settings import LoopSettings
from upimagine.train.squares import decode_squares
from upimagine.train.task import Task

_SIZE_PX = 64
_SAMPLES = 1000
_SHOWN = 12  # samples of each kind on the sheet
_BATCH = 32

Make = Callable[[Decoded, int], Callable[[Engine], Task]]


def _dcgan(settings: DcganSettings) -> Make:
    return lambda pictures, seed: lambda engine: DcganTask(settings, pictures, engine, seed)


def _fastgan(settings: FastganSettings) -> Make:
    return lambda pictures, seed: lambda engine: FastganTask(settings, pictures, engine, seed)


#: Everything but the width is each kind's own default. BEGAN's layers keep their width at every size and are the
#: dearest; with 16 channels a step of it, or of the FastGAN, still costs three to four times one of the DCGAN.
CASES: dict[str, Make] = {
    name: _dcgan(DcganSettings(size_px=_SIZE_PX, objective=name, width=16 if name == "began" else 32)) for name in KINDS
} | {"fastgan": _fastgan(FastganSettings(size_px=_SIZE_PX, width=16, max_width=256))}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all runs have in common."""

    portraits: Path
    vgg: Path
    out: Path
    seconds: float
    held_out: int
    precision: Any

    def identity(self) -> dict[str, Any]:
        """What makes results comparable."""
        return {"seconds": self.seconds, "held_out": self.held_out, "precision": self.precision, "size_px": _SIZE_PX}


def train(name: str, seed: int, plan: Plan, pictures: Decoded, run: Path) -> dict[str, float]:
    """Train until the processor has worked so many seconds for this process; gives back what was reached."""
    settings = LoopSettings(
        kimg=100_000,  # the clock ends it
        batch=_BATCH,
        seed=seed,
        precision=plan.precision,
        device="cpu",
        threads=1,
        preview_kimg=100_000,
        checkpoint_minutes=1e6,
    )
    began_wall = time.monotonic()
    outcome, spent = fit_for(plan.seconds, CASES[name](pictures, seed), settings, run)
    return {
        "kimg": outcome.shown / 1000,
        "processor_s": round(spent, 1),
        "wall_s": round(time.monotonic() - began_wall, 1),
    }


def judge(run: Path, plan: Plan, training: Tensor, held_out: Tensor, sheet: Path) -> dict[str, Any]:
    """Sample the averaged generator and score the pictures; some of them are kept as `sheet`."""
    generator = load_generator(str(run / "model.safetensors"), "cpu", "float32")
    latents = torch.stack([latent(12345, number, generator.latent_dim) for number in range(_SAMPLES)])
    samples = torch.cat([generator.generate(part) for part in latents.split(50)])
    pixels.write(sheet, picture_grid(samples[:_SHOWN], columns=_SHOWN), overwrite=True)
    report = evaluate_samples(samples, training, held_out=held_out, features=load_vgg16(plan.vgg))
    return dataclasses.asdict(report)


def run_one(name: str, seed: int, plan: Plan) -> None:
    """One run in a process of its own, whose processor time is the run's; appends the result."""
    torch.set_num_threads(1)
    pictures = decode_squares([plan.portraits], _SIZE_PX, lambda path, why: None)
    kept = len(pictures.pictures) - plan.held_out
    rows = to_float(torch.stack(pictures.pictures))
    run = plan.out / f"{name}-{seed}"
    shown = Decoded(pictures.pictures[:kept], pictures.labels[:kept], pictures.paths[:kept], [])
    result: dict[str, Any] = {"name": name, "seed": seed, **plan.identity(), "training": kept}
    try:
        result |= train(name, seed, plan, shown, run)
        result |= judge(run, plan, rows[:kept], rows[kept:], plan.out / f"{name}-{seed}.png")
    except UpimagineError as error:  # diverged: that, too, is a result
        result["failed"] = str(error)
    append(plan.out, result)


def table(out: Path) -> str:
    """Median over seeds, smallest to largest in brackets, best kernel distance first; writes the sheet beside it."""
    results = finished(out)
    sound = [r for r in results if "failed" not in r]
    if not sound:
        raise UpimagineError(f"{out} holds no finished run yet")
    ideal = sound[0]["training_distance"]
    alike = sound[0]["training_similarity"]["mean"]
    columns: dict[str, Callable[[dict[str, Any]], float]] = {
        "kernel": lambda r: r["distance"]["kernel"]["value"],
        "Fréchet": lambda r: r["distance"]["frechet"],
        "÷ training's": lambda r: r["distance"]["frechet"] / r["training_distance"]["frechet"],
        "MS-SSIM of pairs": lambda r: r["similarity"]["mean"],
        "faces": lambda r: 100 * r["faces"],
        "kimg": lambda r: r["kimg"],
    }
    digits = dict(zip(columns, (4, 2, 2, 3, 1, 1), strict=True))
    lines = [f"| objective | runs | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    by_name = {name: [r for r in sound if r["name"] == name] for name in CASES}
    order = sorted(filter(by_name.get, CASES), key=lambda name: median(map(columns["kernel"], by_name[name])))
    for name in order:
        cells = []
        for column, value in columns.items():
            values, n = [value(r) for r in by_name[name]], digits[column]
            spread = f" ({min(values):.{n}f}–{max(values):.{n}f})" if len(values) > 1 else ""
            cells.append(f"{median(values):.{n}f}{spread}")
        lines.append(f"| {name} | {len(by_name[name])} | {' | '.join(cells)} |")
    lines.append(
        f"| training pictures | | {ideal['kernel']['value']:.4f} | {ideal['frechet']:.2f} | 1 | {alike:.3f} | | |"
    )
    lines += [f"\n{r['name']}, seed {r['seed']}: {r['failed']}" for r in results if "failed" in r]
    rows = [pixels.read(out / f"{name}-{by_name[name][0]['seed']}.png").pixels for name in order]
    pixels.write(out / "samples.png", torch.cat(rows, dim=1), overwrite=True)
    lines.append(f"\n{out / 'samples.png'}, from above: {', '.join(order)}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path, nargs="?", help="folder of pictures")
    parser.add_argument("--vgg", type=Path, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--seconds", type=float, default=240, help="processor seconds of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=200, help="pictures never trained on")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "float32"))
    parser.add_argument("--only", action="append", choices=tuple(CASES), help="these alone; repeat for more")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    args = parser.parse_args()
    try:
        if not args.table:
            if args.portraits is None or args.vgg is None:
                parser.error("a folder of pictures and --vgg are needed")
            plan = Plan(args.portraits, args.vgg, args.out, args.seconds, args.held_out, args.precision)
            run_all(run_one, args.only or list(CASES), args.seeds, plan)
        print(table(args.out))
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
