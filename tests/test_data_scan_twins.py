"""Near-duplicates while a catalog grows: the better picture stays, and the order of scans does not count."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from planted import saved, scaled, sound
from test_data_scan import content, write

from upimagine.data.catalog import Catalog
from upimagine.data.scan import scan
from upimagine.data.thresholds import set_threshold


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog.db", create=True)


def duplicates(catalog: Catalog) -> dict[str, str]:
    """Name of each flagged near-duplicate to the name of the better picture."""
    rows = catalog.connection.execute(
        """SELECT worse.path, better.path FROM raised JOIN near ON near.picture = raised.picture
        JOIN places AS worse ON worse.picture = near.picture JOIN places AS better ON better.picture = near.better
        WHERE flag = 'duplicate' AND worse.vanished IS NULL AND better.vanished IS NULL"""
    )
    return {Path(worse).name: Path(better).name for worse, better in rows}


def test_of_near_duplicates_the_larger_stays_and_the_next_takes_its_place(catalog: Catalog, tmp_path: Path) -> None:
    portraits = sound()
    folder = tmp_path / "in"
    for number in (0, 1, 2):
        write(folder / f"{number}.jpg", portraits[number])
    write(folder / "half.jpg", scaled(portraits[0], 0.5))
    scan(catalog, [folder])
    assert duplicates(catalog) == {"half.jpg": "0.jpg"}
    write(folder / "poor.jpg", portraits[0], quality=30)  # of the same size, with fewer bytes
    write(folder / "large.jpg", scaled(portraits[1], 2))  # better than one that was there before
    scan(catalog, [folder])
    assert duplicates(catalog).keys() == {"half.jpg", "poor.jpg", "1.jpg"}
    (folder / "0.jpg").unlink()
    (folder / "large.jpg").unlink()
    scan(catalog, [folder])
    assert duplicates(catalog) == {"half.jpg": "poor.jpg"}
    write(folder / "0.jpg", portraits[0])
    scan(catalog, [folder])
    assert duplicates(catalog)["poor.jpg"] == "0.jpg"
    set_threshold(catalog, "duplicate", None)
    assert duplicates(catalog) == {}


def test_step_by_step_or_at_once_the_twins_are_the_same(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    chance = random.Random(2)
    copies = [
        (f"{number}-{copy}.jpg", saved(scaled(picture, chance.uniform(0.6, 1)), chance.randint(40, 95)))
        for number, picture in enumerate(sound()[:4])
        for copy in range(4)
    ]
    chance.shuffle(copies)
    for start in range(0, len(copies), 3):
        for name, picture in copies[start : start + 3]:
            write(folder / name, picture)
        scan(catalog, [folder])
    at_once = tmp_path / "at_once.db"
    with Catalog(at_once, create=True) as other:
        scan(other, [folder])
    assert [row[::2] for row in content(catalog.path)["near"]] == [row[::2] for row in content(at_once)["near"]]
    assert content(catalog.path)["scores"] == content(at_once)["scores"]
    assert sum(name == "twin_bits" for _, name, _ in content(at_once)["scores"]) == 12
