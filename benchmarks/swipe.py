"""How long a swipe waits for the next picture, on a catalog of 100,000.

    python benchmarks/swipe.py [--pictures 100000] [--swipes 500]

Rows are synthetic, but the pictures that are dealt are files: JPEGs of 1500 x 1000 px with detail in them. Prints what
the server needs for a message (a swipe saved, the next picture dealt) and for a picture that nobody has seen, and what
a phone sees, from the swipe to the next picture on its screen (needs chromium and chromedriver). Run it on an otherwise
idle machine.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import cv2
import httpx
import numpy as np

from upimagine.data.catalog import Catalog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from phones import CHROMIUM, DRIVER, Server, phone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--swipes", type=int, default=500)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalog = make_catalog(Path(folder), chosen.pictures, 2 * chosen.swipes + 200)
        began = time.perf_counter()
        running = Server(catalog)
        try:
            httpx.get(f"{running.url}sort/about", timeout=120).raise_for_status()
            print(f"start: {time.perf_counter() - began:.1f} s, memory {memory_mb(running.process.pid)} MB")
            ask(running.url, chosen.swipes)
            if CHROMIUM and DRIVER:
                swipe(running.url, Path(folder) / "profile", chosen.swipes)
            print(f"memory at the end: {memory_mb(running.process.pid)} MB")
        finally:
            running.kill()


def make_catalog(folder: Path, rows: int, files: int) -> Path:
    chance = np.random.default_rng(0)
    (folder / "in").mkdir()
    colours = chance.integers(0, 255, (40, 60, 3)).astype(np.uint8)
    ground = cv2.resize(colours, (1500, 1000), interpolation=cv2.INTER_CUBIC)
    grain = chance.normal(0, 12, ground.shape)
    base = np.clip(ground + grain, 0, 255).astype(np.uint8)
    with Catalog(folder / "c.db", create=True) as catalog, catalog.writing() as connection:
        writer, blur = catalog.writer(), catalog.measure("blur")
        for number in range(rows):
            path, content = folder / "in" / f"{number:06}.jpg", number.to_bytes(32, "big")
            if number < files:
                encoded = cv2.imencode(".jpg", np.roll(base, number * 37, axis=1), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
                path.write_bytes(encoded.tobytes())
                content = hashlib.sha256(encoded.tobytes()).digest()
            connection.execute(
                "INSERT INTO pictures (id, sha256, bytes, height, width, measured, writer, added) "
                "VALUES (?, ?, 9, 1000, 1500, 1, ?, '')",
                (number + 1, content, writer),
            )
            connection.execute(
                "INSERT INTO places (path, picture, bytes, mtime_ns, writer) VALUES (?, ?, 9, 0, ?)",
                (str(path), number + 1, writer),
            )
            connection.execute("INSERT INTO scores VALUES (?, ?, ?, ?)", (number + 1, blur, 0.3, writer))
    return folder / "c.db"


def ask(url: str, count: int) -> None:
    messages, pictures, kept = [], [], []
    with httpx.Client(base_url=url, timeout=60) as client:
        catalog, held, swipes = client.get("/sort/about").json()["catalog"], [], []
        hand = str(uuid4())
        for _ in range(count):
            message = {"catalog": catalog, "hand": hand, "who": "bench", "holds": held, "swipes": swipes}
            message["want"] = 200 - len(held)
            answer = timed(messages, lambda: client.post("/sort/message", json=message))  # noqa: B023 (called at once)
            held += answer.json()["more"]
            picture = held.pop(0)
            for times in (pictures, kept):
                timed(times, lambda: client.get(f"/picture/1080/{picture}")).raise_for_status()  # noqa: B023
            swipes = [{"uuid": str(uuid4()), "picture": picture, "verdict": "keep"}]
    print(f"message (a swipe saved, the next dealt): {spread(messages)}")
    print(f"picture, new: {spread(pictures)}")
    print(f"picture, again: {spread(kept)}")


def swipe(url: str, profile: Path, count: int) -> None:
    with phone(profile) as opened:
        opened.driver.get(url)
        opened.wait_top()
        began = time.perf_counter()
        for _ in range(count):
            opened.swipe(140, 0)
        seconds = time.perf_counter() - began
        opened.wait_saved(1)
        times = opened.driver.execute_script(
            "return performance.getEntriesByName('next picture').map((each) => each.duration)"
        )
    print(f"phone, swipe to next picture on the screen: {spread([t / 1000 for t in times])}, {len(times)} swipes")
    print(f"at {len(times) / seconds * 3600:.0f} pictures an hour, by a thumb that never rests")


def timed(times: list[float], act):  # type: ignore[no-untyped-def]  # whatever it gives back
    began = time.perf_counter()
    result = act()
    times.append(time.perf_counter() - began)
    return result


def spread(times: list[float]) -> str:
    ms = np.array(times) * 1000
    return f"median {np.median(ms):.1f} ms, p95 {np.percentile(ms, 95):.1f} ms, worst {ms.max():.0f} ms"


def memory_mb(process: int) -> int:
    pages = Path(f"/proc/{process}/status").read_text().split("VmRSS:")[1].split()[0]
    return int(pages) // 1024


if __name__ == "__main__":
    main()
