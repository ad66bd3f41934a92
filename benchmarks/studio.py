"""Latency of the studio over many pictures: python benchmarks/studio.py [COUNT].

COUNT files (hard links to a few small pictures) in a folder and in a catalog. Times are of the server's answers on this
machine, in ms: the lists first and again, and single small pictures, of which p50 and p95, not decoded before and then
kept on the disk.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles

import httpx
import torch
import uvicorn

from upimagine import pixels
from upimagine.data.catalog import Catalog
from upimagine.data.examine import Examined, stamp_of
from upimagine.data.filing import file_away
from upimagine.data.look import look_at
from upimagine.data.measures import Measured, measure
from upimagine.studio.app import studio_app
from upimagine.studio.security import Door
from upimagine.studio.server import listen

_PART = 5000


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as scratch:
        folder, catalog = Path(scratch) / "many", Path(scratch) / "catalog.db"
        _fill(folder, catalog, count)
        address = listen(0)
        app = studio_app(folder, address.hosts, Door(locked=False), Path(scratch) / "cache", catalog)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [address.listener]})
        thread.start()
        with httpx.Client(base_url=address.url, timeout=120) as client:
            _measure(client, count)
        server.should_exit = True
        thread.join()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _fill(folder: Path, file: Path, count: int) -> None:
    folder.mkdir()
    for index in range(16):
        pixels.write(folder / f"{index}.jpg", torch.rand(3, 256, 256) * 2 - 1)
    # File systems allow few tens of thousands of links to one file.
    for index in range(16, count):
        os.link(folder / f"{index % 16}.jpg", folder / f"{index}.jpg")
    measured, stamps = measure(look_at(folder / "0.jpg")), [stamp_of(folder / f"{index}.jpg") for index in range(16)]
    with Catalog(file, create=True) as catalog:
        for start in range(0, count, _PART):
            file_away(
                catalog,
                [
                    Examined(
                        folder / f"{index}.jpg",
                        stamps[index % 16],
                        hashlib.sha256(str(index).encode()).digest(),
                        Measured(measured.size_px, measured.phash, dict.fromkeys(measured.scores, index / count)),
                    )
                    for index in range(start, min(start + _PART, count))
                ],
            )


def _measure(client: httpx.Client, count: int) -> None:
    def took(path: str) -> float:
        started = time.perf_counter()
        client.get(path).raise_for_status()
        return (time.perf_counter() - started) * 1000

    catalog = client.get("/api/catalogs").json()[0]["id"]
    listed = {
        "folder": "/api/pictures",
        "catalog by name": f"/api/catalogs/{catalog}/pictures",
        "catalog by flag": f"/api/catalogs/{catalog}/pictures?flag=blurred",
        "flags": f"/api/catalogs/{catalog}",
    }
    for name, path in listed.items():
        print(f"{count} pictures, {name}: {took(path):.0f} ms, again {took(path):.0f} ms", flush=True)
    for source in ("folder", "catalog by name"):
        ids = random.Random(0).sample(client.get(listed[source]).json()["ids"], 400)
        for state in ("not looked at before", "kept on the disk"):
            times = [took(f"/picture/256/{thing}") for thing in ids]
            p50, p95 = quantiles(times, n=20)[9], quantiles(times, n=20)[18]
            print(f"small picture of the {source.split()[0]}, {state}: p50 {p50:.1f} ms, p95 {p95:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
