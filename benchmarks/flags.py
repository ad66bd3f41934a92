"""Precision and recall of every quality flag, on planted dirt among a thousand sound pictures.

    python benchmarks/flags.py SMALL LARGE ABSTRACTS [--half judge] [--each 60] [--scores FILE]

SMALL and LARGE are folders of single portraits with `labels.jsonl` ({"file": "100000", "yaw": radians, ...}), ABSTRACTS
of pictures without faces. Every other picture belongs to the half on which thresholds were set (`--half set`), the
rest to the half that judges; scikit-image's photographs are divided as well. Precision counts sound pictures and those
of the flag's own kind; what a flag says of other kinds of dirt is told apart, since dirt often has several faults.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import dirt
import numpy as np
import skimage
import torch
from dirt import Random, Rgb8

from upimagine.data.catalog import Catalog
from upimagine.data.flags import FLAGS
from upimagine.data.look import look
from upimagine.data.measures import measure
from upimagine.data.scan import scan
from upimagine.guide.faces import find_faces
from upimagine.guide.mesh import find_faces as find_in_levels

_AHEAD_YAW, _ASIDE_YAW = 0.30, 0.44  # radians; between them a face counts neither as straight nor as turned
_PHOTOGRAPHS = (  # of scikit-image's data, with no face that could be found
    ("brick.png", "chelsea.png", "gravel.png", "motorcycle_left.png", "hubble_deep_field.jpg", "page.png"),
    ("coffee.png", "coins.png", "grass.png", "moon.png", "retina.jpg", "rocket.jpg", "ihc.png"),
)
Scores = dict[str, float | None]


def read(path: Path) -> Rgb8:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def portraits(folder: Path, half: int) -> list[tuple[Rgb8, float]]:
    """Every other portrait with the size of its yaw."""
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    return [(read(folder / f"{row['file']}.jpg"), abs(row["yaw"])) for row in rows[half::2]]


def scored(picture: Rgb8) -> Scores:
    return measure(look(np.ascontiguousarray(picture), picture.shape[:2]), find_faces).scores


def larger(picture: Rgb8, chance: Random) -> Rgb8:
    """A large portrait at 256 to 768 px."""
    factor = chance.uniform(256, 768) / picture.shape[0]
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def pieces(abstracts: Path, half: int, count: int, chance: Random) -> list[Rgb8]:
    """Pictures without a face: whole abstracts, and pieces of 160 px and more of photographs."""
    found = [larger(read(path), chance) for path in sorted(abstracts.glob("*.jpg"))[half::2]]
    data = Path(skimage.__file__).parent / "data"
    while len(found) < count:
        photograph = read(data / _PHOTOGRAPHS[half][len(found) % len(_PHOTOGRAPHS[half])])
        least = min(photograph.shape[:2])
        side = int(chance.integers(min(160, least), least + 1))
        y, x = (int(chance.integers(0, each - side + 1)) for each in photograph.shape[:2])
        found.append(dirt.saved(photograph[y : y + side, x : x + side], int(chance.integers(80, 97))))
    return found


def all_scores(given: argparse.Namespace) -> dict[str, list[Scores]]:
    """Kind to the measures of each of its pictures; the kind "sound" has no fault."""
    half, chance = ("set", "judge").index(given.half), np.random.default_rng(("set", "judge").index(given.half))
    small, large = portraits(given.small, half), portraits(given.large, half)
    kinds: dict[str, list[Scores]] = defaultdict(list)
    ahead = [picture for picture, yaw in small if yaw < _AHEAD_YAW]
    big = [picture for picture, yaw in large if yaw < _AHEAD_YAW]
    turned = [picture for picture, yaw in small + large if yaw >= _ASIDE_YAW]
    bases = [larger(big[n % len(big)], chance) if n % 10 == 0 else ahead[n % len(ahead)] for n in range(given.sound)]
    kinds["sound"] = [scored(dirt.varied(each, chance)) for each in bases]
    for kind, spoil in dirt.SPOIL.items():
        for number in range(given.each):
            source = big if number % 5 == 0 else ahead
            base = source[int(chance.integers(len(source)))]
            if source is big:
                base = larger(base, chance)
            kinds[kind].append(scored(spoil(dirt.varied(base, chance), chance)))
        print(kind, file=sys.stderr, flush=True)
    kinds["turned"] = [scored(dirt.varied(each, chance)) for each in turned * 3]
    kinds["faceless"] = [scored(each) for each in pieces(given.abstracts, half, given.each, chance)]
    while len(kinds["hidden"]) < given.each:
        base = dirt.varied(ahead[int(chance.integers(len(ahead)))], chance)
        if faces := find_in_levels(base):
            kinds["hidden"].append(scored(dirt.hidden(base, chance, faces[0].points68)))
    return kinds


def duplicates(given: argparse.Namespace) -> tuple[int, int, int, int]:
    """(sound, copies, copies flagged, others flagged) of a catalog of different pictures and copies of some."""
    half, chance = ("set", "judge").index(given.half), np.random.default_rng(7)
    pictures = [each for each, _ in portraits(given.small, half) + portraits(given.large, half)]
    pictures += [read(path) for path in sorted(given.abstracts.glob("*.jpg"))[half::2]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "in")
        folder.mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(folder / f"{number}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        for number in chance.choice(len(pictures), given.each, replace=False).tolist():
            copy = dirt.duplicate(pictures[number], chance)
            cv2.imwrite(str(folder / f"{number}-copy.jpg"), copy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        with Catalog(Path(temporary, "catalog.db"), create=True) as catalog:
            scan(catalog, [folder], threads=1)
            rows = catalog.connection.execute(
                "SELECT path FROM raised JOIN places USING (picture) WHERE flag = 'duplicate'"
            )
            copies = [Path(path).stem.endswith("-copy") for (path,) in rows]
    return len(pictures), given.each, sum(copies), len(copies) - sum(copies)


def raised(flag: str, scores: Scores) -> bool:
    """By the threshold that a new catalog begins with."""
    value, limit = scores.get(FLAGS[flag].measure), FLAGS[flag].threshold
    return value is not None and (value >= limit if FLAGS[flag].side == "above" else value <= limit)


def row(flag: str, sound: int, false: int, planted: int, true: int, others: str) -> str:
    precision = f"{true / (true + false):.3f}" if true + false else "none"
    return f"| {flag} | {planted} | {true / planted:.3f} | {precision} | {false} of {sound} | {others} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("abstracts", type=Path)
    parser.add_argument("--half", choices=("set", "judge"), default="judge")
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--sound", type=int, default=1000)
    parser.add_argument("--scores", type=Path, help="write all measures here, to set thresholds by")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    kinds = all_scores(given)
    if given.scores:
        given.scores.write_text(json.dumps(kinds))
    print("| flag | planted | recall | precision | false alarms | share of other kinds, from a fifth up |")
    print("|---|---|---|---|---|---|")
    for flag in FLAGS:
        if flag == "duplicate":
            sound, planted, true, false = duplicates(given)
            print(row(flag, sound, false, planted, true, ""))
            continue
        shares = {kind: float(np.mean([raised(flag, each) for each in found])) for kind, found in kinds.items()}
        others = {kind: share for kind, share in shares.items() if kind not in (flag, "sound") and share >= 0.2}
        said = ", ".join(f"{kind} {share:.2f}" for kind, share in others.items())
        counts = [sum(raised(flag, each) for each in kinds[kind]) for kind in ("sound", flag)]
        print(row(flag, len(kinds["sound"]), counts[0], len(kinds[flag]), counts[1], said))
    clean = [not any(raised(flag, each) for flag in FLAGS) for each in kinds["sound"]]
    print(f"\n{sum(clean)} of {len(clean)} sound pictures have no flag at all.")


if __name__ == "__main__":
    sys.exit(main())
