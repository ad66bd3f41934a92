"""What cleaning is worth: a FastGAN on a set of which 30 % is dirt, on the same set cleaned by `prepare`, and on the
sound pictures alone, each in the same processor time.

    python benchmarks/cleaning.py SMALL ABSTRACTS --vgg VGG16.safetensors --out FOLDER
    python benchmarks/cleaning.py --out FOLDER --table

SMALL is a folder of single portraits with `labels.jsonl` (as for `flags.py`), ABSTRACTS one of pictures without faces.
Of the portraits that look ahead some are kept out; the others are the set, in which each kind of `dirt.py` takes the
place of equally many. The catalog scans the set with the thresholds that it begins with, and knows nothing of what was
planted. Training, its clock and its judge are those of `objectives.py`: FastGAN at 64 px, 1,000 unculled samples
against the pictures kept out. Finished runs are passed over, so the benchmark can be stopped and started again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import dirt
import flags
import numpy as np
import objectives
import torch
from dirt import Random, Rgb8

from upimagine.data.catalog import Catalog
from upimagine.data.folder import to_float
from upimagine.data.records import picture_paths
from upimagine.data.scan import scan
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_faces
from upimagine.guide.mesh import find_faces as find_in_levels
from upimagine.train.squares import decode_squares

ARMS = ("dirty", "cleaned", "sound")
_DIRT_SHARE = 0.3
_AHEAD_YAW, _ASIDE_YAW = 0.30, 0.44  # radians
_SIZE_PX = 64  # of objectives.py


def make_sets(small: Path, abstracts: Path, out: Path, held_out: int) -> dict[str, int]:
    """Write `held-out`, `dirty`, `cleaned` and `sound` under `out`; gives back what was planted, found and lost."""
    chance = np.random.default_rng(0)
    rows = [json.loads(line) for line in (small / "labels.jsonl").read_text().splitlines()]
    ahead = [small / f"{row['file']}.jpg" for row in rows if abs(row["yaw"]) < _AHEAD_YAW]
    aside = [small / f"{row['file']}.jpg" for row in rows if abs(row["yaw"]) >= _ASIDE_YAW]
    ahead = [ahead[index] for index in chance.permutation(len(ahead))]
    for name in ("held-out", *ARMS):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    for path in ahead[:held_out]:
        shutil.copy(path, out / "held-out")
    rest = ahead[held_out:]
    planted = round(_DIRT_SHARE * len(rest))
    sound, spoilt = rest[planted:], rest[:planted]
    for path in sound:
        shutil.copy(path, out / "dirty")
        shutil.copy(path, out / "sound")
    kinds = dirty(spoilt, sound, aside, flags.pieces(abstracts, 0, planted, chance), chance)
    for number, (kind, picture) in enumerate(kinds):
        cv2.imwrite(str(out / "dirty" / f"{kind}-{number}.png"), picture[..., ::-1])
    with Catalog(out / "catalog.db", create=True) as catalog:
        scan(catalog, [out / "dirty"], find_faces=find_faces, threads=1)
        clean = picture_paths(catalog, "clean")
    for path in clean:
        shutil.copy(path, out / "cleaned")
    left = Counter(path.stem.split("-")[0] for path in clean if path.suffix == ".png")
    lost = len(sound) - sum(path.suffix == ".jpg" for path in clean)
    return {"sound": len(sound), "planted": planted, "left": left.total(), "lost": lost, **left}


def dirty(
    spoilt: list[Path], sound: list[Path], aside: list[Path], pieces: list[Rgb8], chance: Random
) -> Iterator[tuple[str, Rgb8]]:
    """(kind, picture), one for each of `spoilt`, kind after kind."""
    kinds = [*dirt.SPOIL, "turned", "faceless", "hidden", "duplicate"]
    for number, path in enumerate(spoilt):
        kind = kinds[number % len(kinds)]
        picture = flags.read(path)
        if kind == "turned":
            yield kind, flags.read(aside[(number // len(kinds)) % len(aside)])
        elif kind == "faceless":
            yield kind, pieces[number]
        elif kind == "duplicate":
            yield kind, dirt.duplicate(flags.read(sound[int(chance.integers(len(sound)))]), chance)
        elif kind != "hidden":
            yield kind, dirt.SPOIL[kind](picture, chance)
        elif faces := find_in_levels(picture):
            yield kind, dirt.hidden(picture, chance, faces[0].points68)
        else:  # cannot be hidden, so that it spoils the set in another way
            yield "blurred", dirt.blurred(picture, chance)


def run_one(arm: str, seed: int, plan: objectives.Plan) -> None:
    """One training in a process of its own; appends the result."""
    torch.set_num_threads(1)
    pictures, held_out, sound = (
        decode_squares([plan.out / name], _SIZE_PX, lambda path, why: print(f"{path}: {why}", file=sys.stderr))
        for name in (arm, "held-out", "sound")
    )
    run = plan.out / f"{arm}-{seed}"
    shutil.rmtree(run, ignore_errors=True)  # begun by a process that was stopped
    result: dict[str, Any] = {"arm": arm, "seed": seed, **plan.identity(), "training": len(pictures.pictures)}
    result |= objectives.train("fastgan", seed, plan, pictures, run)
    # All arms are held against the same sound pictures.
    rows = [to_float(torch.stack(each.pictures)) for each in (sound, held_out)]
    result |= objectives.judge(run, plan, *rows, plan.out / f"{arm}-{seed}.png")
    with (plan.out / "results.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


def table(out: Path) -> str:
    """One line a finished run."""
    results = objectives.finished(out)
    if not results:
        raise UpimagineError(f"{out} holds no finished run yet")
    lines = [f"Sets: {(out / 'sets.json').read_text()}\n"]
    lines += ["| set | seed | pictures | Fréchet | kernel | faces | MS-SSIM of pairs | kimg |", "|---" * 8 + "|"]
    for r in sorted(results, key=lambda r: (ARMS.index(r["arm"]), r["seed"])):
        lines.append(
            f"| {r['arm']} | {r['seed']} | {r['training']} | {r['distance']['frechet']:.2f} "
            f"| {r['distance']['kernel']['value']:.4f} | {100 * r['faces']:.1f} % | {r['similarity']['mean']:.3f} "
            f"| {r['kimg']:.1f} |"
        )
    ideal = results[0]["training_distance"]
    lines.append(
        f"| the sound pictures themselves | | {len(list((out / 'sound').iterdir()))} | {ideal['frechet']:.2f} "
        f"| {ideal['kernel']['value']:.4f} | | {results[0]['training_similarity']['mean']:.3f} | |"
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path, nargs="?", help="folder of portraits with labels.jsonl")
    parser.add_argument("abstracts", type=Path, nargs="?", help="folder of pictures without faces")
    parser.add_argument("--vgg", type=Path, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="folder of sets, runs and results")
    parser.add_argument("--seconds", type=float, default=1500, help="processor seconds of each run")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--held-out", type=int, default=163, help="portraits never trained on")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "float32"))
    parser.add_argument("--table", action="store_true", help="only print what there is")
    given = parser.parse_args()
    try:
        if not given.table:
            if given.small is None or given.abstracts is None or given.vgg is None:
                parser.error("two folders of pictures and --vgg are needed")
            plan = objectives.Plan(given.small, given.vgg, given.out, given.seconds, given.held_out, given.precision)
            run_all(plan, given.abstracts, given.seeds)
        print(table(given.out))
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run_all(plan: objectives.Plan, abstracts: Path, seeds: int) -> None:
    """Make the sets once, then whatever has no result yet, seed by seed."""
    sets = plan.out / "sets.json"
    if not sets.exists():
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        sets.write_text(json.dumps(make_sets(plan.portraits, abstracts, plan.out, plan.held_out)))
    done = objectives.finished(plan.out)
    if any(r[key] != value for r in done for key, value in plan.identity().items()):
        raise UpimagineError(f"{plan.out} holds results of other settings; choose another --out")
    have = {(r["arm"], r["seed"]) for r in done}
    fresh = multiprocessing.get_context("spawn")
    for seed in range(seeds):
        for arm in ARMS:
            if (arm, seed) in have:
                continue
            print(f"{time.strftime('%H:%M')} {arm}, seed {seed}", flush=True)
            process = fresh.Process(target=run_one, args=(arm, seed, plan))
            process.start()
            process.join()
            if process.exitcode:
                raise UpimagineError(f"{arm}, seed {seed} ended with {process.exitcode}; start again to go on")


if __name__ == "__main__":
    sys.exit(main())
