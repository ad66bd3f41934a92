"""The catalog at size: scan rate and memory, a second scan, the summary, duplicates among very many.

    python benchmarks/catalog.py [--pictures 100000] [--size 192] [--folder FOLDER] [--threads 0] [--faces]
    python benchmarks/catalog.py --hashes 100000
    python benchmarks/catalog.py --rows 100000

Pictures are made by the benchmark itself (a few rectangles and noise, JPEG) unless a folder is given. Every
step runs in a process of its own, whose peak memory is told. `--rows` fills a catalog with made-up measures and times
what a page asks of it: the 24 worst of each flag, everything about one picture, a label given, the summary. The load
of the machine is told, too: on a busy one rates mean little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upimagine.data.browse import known_of, list_pictures_of
from upimagine.data.catalog import Catalog
from upimagine.data.examine import Examined, Stamp
from upimagine.data.filing import file_away
from upimagine.data.flags import FLAGS
from upimagine.data.labelling import give_label
from upimagine.data.landmarks import faces_of
from upimagine.data.measures import Measured
from upimagine.data.near import NONE, nearest_better
from upimagine.data.scan import scan
from upimagine.data.thresholds import count_pictures, flag_states
from upimagine.data.worst import worst_pictures


def make_pictures(folder: Path, count: int, size_px: int) -> None:
    for number in range(count):
        chance = np.random.default_rng(number)
        picture = np.full((size_px, size_px, 3), chance.integers(0, 256, 3), np.uint8)
        for _ in range(12):
            (y, x), (height, width) = chance.integers(0, size_px, 2), chance.integers(4, size_px, 2)
            picture[y : y + height, x : x + width] = chance.integers(0, 256, 3)
        noisy = np.clip(picture + chance.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
        below = folder / f"{number // 1000:03}"
        below.mkdir(exist_ok=True)
        cv2.imwrite(str(below / f"{number:06}.jpg"), noisy)


def scanning(path: Path, folder: Path, threads: int, faces: bool) -> dict[str, Any]:
    from upimagine.guide.faces import find_faces

    cv2.setNumThreads(1)
    with Catalog(path, create=True) as catalog:
        return vars(scan(catalog, [folder], threads=threads, find_faces=find_faces if faces else None))


def summing_up(path: Path) -> dict[str, Any]:
    with Catalog(path) as catalog:
        live, clean = count_pictures(catalog)
        return {"pictures": live, "clean": clean, "flags": {state.name: state.raised for state in flag_states(catalog)}}


def asking(path: Path, count: int) -> dict[str, Any]:
    """Milliseconds of each question, and of the processor's work for it, asked of so many made-up pictures."""
    chance = np.random.default_rng(0)
    names = sorted({flag.measure for flag in FLAGS.values()} - {"twin_bits"})
    made: list[Examined] = []
    with Catalog(path, create=True) as catalog:
        for number in range(count):
            content = hashlib.sha256(str(number).encode()).digest()
            scores: dict[str, float | None] = dict(zip(names, chance.random(len(names)).tolist(), strict=True))
            found = Measured((512, 512), content, scores)
            made.append(Examined(Path(f"/pictures/{number:06}.jpg"), Stamp(50_000, number), content, found))
            if len(made) == 1000 or number == count - 1:
                file_away(catalog, made)
                made = []
        states = flag_states(catalog)
        contents = [hashlib.sha256(str(each).encode()).digest() for each in chance.integers(0, count, 300).tolist()]
        questions: dict[str, list[Callable[[], Any]]] = {
            "worst of a flag": [partial(worst_pictures, catalog, state, 24) for state in states] * 5,
            "all about a picture": [partial(known_of, catalog, content) for content in contents],
            "its faces": [partial(faces_of, catalog.connection, content) for content in contents],
            "names of all, worst first": [
                partial(list_pictures_of, catalog, "all", flag) for flag in ("small", "grey")
            ],
            "give a label": [partial(give_label, catalog, content, "kept", "yes") for content in contents],
            "summary": [partial(count_pictures, catalog)] * 3,
        }
        return {what: _milliseconds(asked) for what, asked in questions.items()}


def _milliseconds(questions: list[Callable[[], Any]]) -> dict[str, float]:
    took, processor = [], []
    for ask in questions:
        began, worked = time.perf_counter(), time.process_time()
        ask()
        took.append(1000 * (time.perf_counter() - began))
        processor.append(1000 * (time.process_time() - worked))
    return {
        "median": round(float(np.median(took)), 2),
        "p95": round(float(np.percentile(took, 95)), 2),
        "processor_p95": round(float(np.percentile(processor, 95)), 2),
    }


def searching(count: int) -> dict[str, Any]:
    """A tenth are copies that stray by up to 20 bits; the others are random, or alike as portraits of one layout are:
    half of the bits lean to one side, in three of four pictures on average."""
    chance = np.random.default_rng(0)
    told = {}
    for kind in ("random", "alike"):
        leaning = np.where(np.arange(256) % 2, chance.choice([0.25, 0.75], 256), 0.5) if kind == "alike" else 0.5
        hashes = np.packbits(chance.random((count, 256), np.float32) < leaning, axis=1)
        for index in range(0, count - 1, 10):
            bits = np.unpackbits(hashes[index])
            bits[chance.choice(256, 20, replace=False)] ^= 1
            hashes[index + 1] = np.packbits(bits)
        began = time.perf_counter()
        better, _ = nearest_better(hashes, np.arange(count))
        told[kind] = {"seconds": round(time.perf_counter() - began, 2), "found": int((better != NONE).sum())}
    return told


def measured(step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What a step says, its seconds, the processor's seconds, and its process's peak memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_inside, (step, arguments))


def _inside(step: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    began, processor = time.perf_counter(), time.process_time()
    told = step(*arguments)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return told | {
        "seconds": round(time.perf_counter() - began, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
        "peak_mb": round(kilobytes / 1024),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--faces", action="store_true")
    parser.add_argument("--hashes", type=int)
    parser.add_argument("--rows", type=int)
    given = parser.parse_args()
    if given.rows:
        with tempfile.TemporaryDirectory() as temporary:
            print(json.dumps(measured(asking, Path(temporary, "catalog.db"), given.rows)))
        return
    if given.hashes:
        print(json.dumps(measured(searching, given.hashes)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder
        if folder is None:
            folder = Path(temporary, "pictures")
            folder.mkdir()
            make_pictures(folder, given.pictures, given.size)
        path = Path(temporary, "catalog.db")
        for name in ("first", "second"):
            told = measured(scanning, path, folder, given.threads, given.faces)
            rate = round(told["files"] / told["seconds"], 1)
            told["troubles"] = len(told["troubles"])
            print(json.dumps({"scan": name, "a_second": rate, **told}), flush=True)
        print(json.dumps({"summary": measured(summing_up, path), "catalog_mb": round(path.stat().st_size / 1e6, 1)}))


if __name__ == "__main__":
    sys.exit(main())
