"""Scanning: nothing is touched, nothing is done twice, and a killed scan goes on to the same catalog."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from planted import Rgb8, scaled, sound
from torch import Tensor

from upimagine.data import examine, filing
from upimagine.data.catalog import Catalog
from upimagine.data.scan import scan
from upimagine.data.sources import opened
from upimagine.data.thresholds import count_pictures, flag_states, set_threshold
from upimagine.errors import UpimagineError

SCRIPT = """
import sys
from pathlib import Path
from upimagine.data import scan as scanning
from upimagine.data.catalog import Catalog
scanning._BATCH = 5
with Catalog(Path(sys.argv[1]), create=True) as catalog:
    print("begun", flush=True)
    scanning.scan(catalog, [Path(folder) for folder in sys.argv[2:]], threads=2)
"""


def write(path: Path, picture: Rgb8, quality: int = 95) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine portraits, three of them in a folder below."""
    for number, picture in enumerate(sound()[:9]):
        write(tmp_path / "in" / ("sub" if number % 3 == 0 else "") / f"{number}.jpg", picture)
    return tmp_path / "in"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog.db", create=True)


def content(path: Path) -> dict[str, list[Any]]:
    """All that a catalog says, but for who wrote it and when, and in what order."""
    with Catalog(path) as catalog:
        ask = catalog.connection.execute
        return {
            "pictures": sorted(ask("SELECT sha256, bytes, height, width, phash, measured, compared FROM pictures")),
            "places": sorted(
                ask(
                    "SELECT path, sha256, places.bytes, mtime_ns, trouble, vanished IS NULL FROM places "
                    "LEFT JOIN pictures ON pictures.id = picture"
                )
            ),
            "scores": sorted(
                ask(
                    "SELECT sha256, name, value FROM scores JOIN pictures ON pictures.id = picture "
                    "JOIN measures ON measures.id = measure"
                )
            ),
            "near": sorted(
                ask(
                    "SELECT one.sha256, better.sha256, bits FROM near JOIN pictures AS one ON one.id = picture "
                    "JOIN pictures AS better ON better.id = better"
                )
            ),
        }


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def no_faces(picture: Tensor) -> list[Any]:
    return []


def test_a_second_scan_opens_no_picture_and_nothing_is_touched(
    folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".hidden.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    before = snapshot(folder)
    told: list[tuple[int, int]] = []
    first = scan(catalog, [folder], watch=lambda what, done, total: told.append((done, total)))
    assert (first.files, first.new_pictures, first.unchanged, first.troubles) == (9, 9, 0, [])
    assert told == [(done, 9) for done in range(1, 10)]
    said = content(catalog.path)
    monkeypatch.setattr(examine, "_sha256", lambda path: pytest.fail(f"{path} was opened"))
    second = scan(catalog, [folder, folder / "sub"])
    assert (second.files, second.new_pictures, second.unchanged, second.vanished) == (9, 0, 9, 0)
    assert content(catalog.path) == said
    assert snapshot(folder) == before


def test_a_renamed_file_is_the_same_picture_in_a_new_place(
    folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan(catalog, [folder])
    (folder / "1.jpg").rename(folder / "sub" / "one.jpg")
    shutil.copyfile(folder / "2.jpg", folder / "two.jpg")
    monkeypatch.setattr(examine, "look_at", lambda path: pytest.fail(f"{path} was measured again"))
    again = scan(catalog, [folder])
    assert (again.files, again.new_pictures, again.unchanged, again.vanished) == (10, 0, 8, 1)
    assert count_pictures(catalog)[0] == 9
    place = catalog.connection.execute(
        "SELECT count(*) FROM places WHERE vanished IS NULL AND picture = (SELECT picture FROM places WHERE path = ?)",
        (str(folder / "two.jpg"),),
    ).fetchone()
    assert place[0] == 2


def test_files_that_vanish_change_or_come_back(folder: Path, catalog: Catalog, tmp_path: Path) -> None:
    scan(catalog, [folder])
    full = content(catalog.path)
    shutil.move(folder / "sub", tmp_path / "away")
    assert scan(catalog, [folder]).vanished == 3
    assert count_pictures(catalog)[0] == 6
    assert scan(catalog, [folder / "1.jpg"]).vanished == 0, "only under the sources"
    shutil.move(tmp_path / "away", folder / "sub")
    assert scan(catalog, [folder]).new_pictures == 0
    assert content(catalog.path) == full
    write(folder / "1.jpg", sound()[10])
    changed = scan(catalog, [folder])
    assert (changed.new_pictures, changed.unchanged, changed.vanished) == (1, 8, 0)
    assert count_pictures(catalog)[0] == 9, "the former content lies nowhere any more"


def test_bad_files_are_named_and_tried_again(folder: Path, catalog: Catalog) -> None:
    whole = (folder / "1.jpg").read_bytes()
    (folder / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "b\udcff.jpg").write_bytes(whole)
    for _ in range(2):
        scanned = scan(catalog, [folder])
        assert [line.split(":")[0].rsplit("/")[-1] for line in scanned.troubles] == [
            "1.jpg",
            "b\ufffd.jpg",
            "empty.png",
        ]
        assert all("\n" not in line for line in scanned.troubles)
    assert count_pictures(catalog)[0] == 8
    (folder / "1.jpg").write_bytes(whole)
    (folder / "empty.png").unlink()
    (folder / "b\udcff.jpg").unlink()
    assert scan(catalog, [folder]).troubles == []
    assert count_pictures(catalog)[0] == 9
    with pytest.raises(UpimagineError, match="neither a folder nor a file"):
        scan(catalog, [folder / "nowhere"])


def test_a_file_that_changes_while_it_is_read_is_not_filed(
    folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = examine.look_at

    def growing(path: Path) -> Any:
        seen = look(path)
        if path.name == "1.jpg":
            path.write_bytes(path.read_bytes() + b"x")
        return seen

    monkeypatch.setattr(examine, "look_at", growing)
    assert "changed while it was read" in scan(catalog, [folder]).troubles[0]
    monkeypatch.undo()
    assert (scan(catalog, [folder]).troubles, count_pictures(catalog)[0]) == ([], 9)


def test_faces_are_looked_for_in_pictures_scanned_without(folder: Path, catalog: Catalog) -> None:
    scan(catalog, [folder])
    states = {state.name: state.raised for state in flag_states(catalog)}
    assert states["faceless"] == 0, "not looked for is not missing"
    assert scan(catalog, [folder], find_faces=no_faces).unchanged == 0
    assert scan(catalog, [folder], find_faces=no_faces).unchanged == 9
    assert {state.name: state.raised for state in flag_states(catalog)}["faceless"] == 9
    assert scan(catalog, [folder]).unchanged == 9


def test_new_measures_measure_again(folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    scan(catalog, [folder])
    catalog.connection.execute("UPDATE pictures SET measured = 0")
    catalog.connection.execute(
        "UPDATE scores SET value = -1 WHERE measure = (SELECT id FROM measures WHERE name = 'blur')"
    )
    again = scan(catalog, [folder])
    assert (again.unchanged, again.new_pictures) == (0, 0)
    assert catalog.connection.execute("SELECT min(value) FROM scores").fetchone()[0] >= 0
    assert filing.known_contents(catalog, with_faces=False) == {
        row[0] for row in catalog.connection.execute("SELECT sha256 FROM pictures")
    }


def test_killed_at_random_instants_it_ends_in_the_same_catalog(folder: Path, tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for number in range(24):
        write(folder / "more" / f"{number:02}.jpg", chance.integers(0, 256, (96, 96, 3), dtype=np.uint8))
    before = snapshot(folder)
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"

    def begin(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(path), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    with begin(whole) as process:
        began = time.monotonic()
        assert process.wait() == 0
        lasted = time.monotonic() - began
    moments, kills, kept = random.Random(5), 0, []
    for _ in range(3):
        with begin(killed) as process:
            try:
                assert process.wait(timeout=moments.uniform(0.2, 0.8) * lasted) == 0
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        with Catalog(killed) as catalog:
            kept.append(count_pictures(catalog)[0])
    else:
        with begin(killed) as process:
            assert process.wait() == 0
    assert kills >= 1
    assert kept == sorted(kept), "a kill takes back nothing"
    assert content(killed) == content(whole)
    assert len(content(whole)["pictures"]) == 33
    assert snapshot(folder) == before


def test_two_scans_into_one_catalog_at_a_time_lose_nothing(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for number, picture in enumerate(sound()[:9]):  # near-duplicates across the two folders
        write(other / f"{number}.jpg", scaled(picture, 0.8))
    both, one = tmp_path / "both.db", tmp_path / "one.db"
    commands = [[sys.executable, "-c", SCRIPT, str(both), str(each)] for each in (folder, other)]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [process.wait() for process in processes] == [0, 0]
    with Catalog(one, create=True) as catalog:
        scan(catalog, [folder, other])
    assert content(both) == content(one)
    assert len(content(one)["near"]) == 9


def test_memory_holds_a_few_pictures_a_thread(folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        shutil.copyfile(folder / "1.jpg", folder / f"copy{number}.jpg")
        os.utime(folder / f"copy{number}.jpg", ns=(number, number))
    begun, ended, most, lock = 0, 0, 0, threading.Lock()
    real = examine.look_at

    def counting(path: Path) -> Any:
        nonlocal begun
        with lock:
            begun += 1
        return real(path)

    def watch(what: str, done: int, total: int) -> None:
        nonlocal ended, most
        ended = done
        most = max(most, begun - ended)

    monkeypatch.setattr(examine, "look_at", counting)
    scan(catalog, [folder], threads=2, watch=watch)
    assert ended == 49
    assert most <= 2 * 4


def test_training_takes_the_clean_pictures_of_a_catalog(folder: Path, catalog: Catalog) -> None:
    write(folder / "tiny.jpg", scaled(sound()[12], 0.3))
    scan(catalog, [folder])
    paths = taken(catalog.path)
    assert len(paths) == 9 and folder / "tiny.jpg" not in paths
    set_threshold(catalog, "small", None)
    set_threshold(catalog, "upscaled", None)
    assert folder / "tiny.jpg" in taken(catalog.path)
    set_threshold(catalog, "small", 5000)
    with pytest.raises(UpimagineError, match="holds no picture that is good"):
        taken(catalog.path)


def taken(path: Path) -> list[Path]:
    with opened([path]) as found:
        return [each.path for each in found]
