"""Labels that people and programs give to pictures: only ever added, so that who said what, and when, is kept."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from upimagine.data.catalog import Catalog, now
from upimagine.errors import UpimagineError


@dataclass(frozen=True)
class Label:
    """One saying about one picture."""

    name: str
    value: str | None
    """None takes back what the same person said before."""
    who: str
    tool: str
    given: str
    """UTC, ISO 8601."""


def give_label(catalog: Catalog, sha256: bytes, name: str, value: str | None) -> None:
    """Say something about a picture, in the name of whoever opened the catalog.

    Raises:
        UpimagineError: the catalog does not know the picture.
    """
    with catalog.writing() as connection:
        row = connection.execute("SELECT id FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise UpimagineError(f"{catalog.path} knows no picture {sha256.hex()[:12]}; scan it first")
        connection.execute(
            "INSERT INTO labels (picture, name, value, writer, given) VALUES (?, ?, ?, ?, ?)",
            (row[0], name, value, catalog.writer(), now()),
        )


def label_history(catalog: Catalog, sha256: bytes) -> list[Label]:
    """All that was ever said about a picture, oldest first."""
    row = catalog.connection.execute("SELECT id FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
    return [] if row is None else labels_of(catalog.connection, row[0])


def labels_of(connection: sqlite3.Connection, picture: int) -> list[Label]:
    """The same by the picture's number, on a connection of one's own."""
    rows = connection.execute(
        """SELECT name, value, who, tool, given FROM labels JOIN writers ON writers.id = labels.writer
        WHERE picture = ? ORDER BY labels.id""",
        (picture,),
    )
    return [Label(*row) for row in rows]


def current_labels(history: list[Label]) -> dict[tuple[str, str], str]:
    """(name, who) to what that person said last about it, and has not taken back."""
    last = {(label.name, label.who): label.value for label in history}
    return {key: value for key, value in last.items() if value is not None}
