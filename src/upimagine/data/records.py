"""A catalog read out, picture by picture: what exports write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from upimagine.data.catalog import Catalog
from upimagine.data.labelling import Label, labels_of

Which = Literal["all", "clean", "flagged"]


@dataclass(frozen=True)
class Record:
    """One picture with all that is known of it."""

    sha256: bytes
    path: str
    """The first of the places where it lies."""
    places: int
    """How many there are."""
    bytes: int
    height: int
    width: int
    scores: dict[str, float]
    flags: tuple[str, ...]
    """Raised ones, by name."""
    labels: list[Label]
    """With their history, oldest first."""


def records(catalog: Catalog, which: Which = "all") -> Iterator[Record]:
    """Every picture that is there, all of one moment, in the order of its paths: `which` of them, by their flags."""
    with catalog.reading() as connection:
        rows = connection.execute(
            """SELECT picture, min(path), count(*) FROM places
            WHERE vanished IS NULL AND picture IS NOT NULL GROUP BY picture ORDER BY min(path)"""
        )
        for picture, path, places in rows:
            flags = connection.execute("SELECT flag FROM raised WHERE picture = ? ORDER BY flag", (picture,))
            raised = tuple(name for (name,) in flags)
            if which != "all" and (which == "clean") == bool(raised):
                continue
            content = connection.execute("SELECT sha256, bytes, height, width FROM pictures WHERE id = ?", (picture,))
            sha256, size, height, width = content.fetchone()
            scores = connection.execute(
                """SELECT name, value FROM scores JOIN measures ON measures.id = scores.measure
                WHERE picture = ? ORDER BY name""",
                (picture,),
            )
            labels = labels_of(connection, picture)
            yield Record(sha256, path, places, size, height, width, dict(scores), raised, labels)


def clean_paths(catalog: Catalog) -> list[Path]:
    """One file of every picture without a flag."""
    return [Path(record.path) for record in records(catalog, "clean")]


def measure_names(catalog: Catalog) -> list[str]:
    """Names of all measures, sorted."""
    return [name for (name,) in catalog.connection.execute("SELECT name FROM measures ORDER BY name")]
