"""A catalog read out, picture by picture: what exports write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from upimagine.data.catalog import Catalog
from upimagine.data.labelling import Label, labels_of
from upimagine.data.verdicts import verdicts

Which = Literal["all", "clean", "flagged", "good", "keep", "reject", "unsure", "unsorted"]
"""Pictures by flags (clean: without one), by the verdicts of those who sorted them, or good by both: kept, or clean and
not rejected, for a person's word outranks a measure's."""


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
    verdict: str | None
    """keep, reject or unsure, by all who sorted it together."""


def records(catalog: Catalog, which: Which = "all") -> Iterator[Record]:
    """Every picture that is there, all of one moment, in the order of its paths: `which` of them."""
    with catalog.reading() as connection:
        said = verdicts(connection)
        rows = connection.execute(
            """SELECT picture, min(path), count(*) FROM places
            WHERE vanished IS NULL AND picture IS NOT NULL GROUP BY picture ORDER BY min(path)"""
        )
        for picture, path, places in rows:
            flags = connection.execute("SELECT flag FROM raised WHERE picture = ? ORDER BY flag", (picture,))
            raised = tuple(name for (name,) in flags)
            verdict = said.get(picture)
            if not belongs(which, bool(raised), verdict):
                continue
            content = connection.execute("SELECT sha256, bytes, height, width FROM pictures WHERE id = ?", (picture,))
            sha256, size, height, width = content.fetchone()
            scores = connection.execute(
                """SELECT name, value FROM scores JOIN measures ON measures.id = scores.measure
                WHERE picture = ? ORDER BY name""",
                (picture,),
            )
            labels = labels_of(connection, picture)
            yield Record(sha256, path, places, size, height, width, dict(scores), raised, labels, verdict)


def belongs(which: Which, flagged: bool, verdict: str | None) -> bool:
    """Whether a picture is among those meant, by whether a flag is raised on it and what people say of it."""
    if which == "good":
        return verdict == "keep" or not (flagged or verdict == "reject")
    if which in ("clean", "flagged"):
        return flagged == (which == "flagged")
    return which in ("all", verdict or "unsorted")


def picture_paths(catalog: Catalog, which: Which) -> list[Path]:
    """One file of every picture meant."""
    return [Path(record.path) for record in records(catalog, which)]


def measure_names(catalog: Catalog) -> list[str]:
    """Names of all measures, sorted."""
    return [name for (name,) in catalog.connection.execute("SELECT name FROM measures ORDER BY name")]
