"""Swipes become labels: each once, however often it is sent, all of a message or none, with undo."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from upimagine.data.catalog import Catalog, now
from upimagine.data.verdicts import VERDICT, Verdict


@dataclass(frozen=True)
class Swipe:
    """One movement of a thumb."""

    name: uuid.UUID
    """Its own, given where it was made."""
    sha256: bytes
    verdict: Verdict | None
    """Of an undo: not looked at."""
    undoes: uuid.UUID | None = None
    """An earlier swipe of the same person: what they said before it is said again."""
    given: str | None = None
    """UTC, ISO 8601; None: now."""


@dataclass(frozen=True)
class Taken:
    """What became of a swipe."""

    picture: int | None
    """The picture's number; None: the catalog knows no such picture, and nothing was written."""
    verdict: Verdict | None
    """What the person says of the picture now."""


class SwipeBook:
    """Takes down what several people say; for the thread that opened the catalog."""

    def __init__(self, catalog: Catalog, tool: str) -> None:
        self._catalog, self._tool = catalog, tool
        self._writers: dict[str, int] = {}

    def take_down(self, who: str, swipes: Sequence[Swipe]) -> list[Taken]:
        """Write down swipes of one person in their order; once this returns they outlive any crash.

        Raises UpimagineError when the catalog cannot be written; then none of them is.
        """
        with self._catalog.writing() as connection:
            writer = self._writers.get(who) or self._new_writer(connection, who)
            taken = [_take(connection, writer, who, swipe) for swipe in swipes]
        self._writers[who] = writer  # only now is its row sure to stay
        return taken

    def _new_writer(self, connection: sqlite3.Connection, who: str) -> int:
        row = connection.execute("INSERT INTO writers (who, tool, began) VALUES (?, ?, ?)", (who, self._tool, now()))
        assert row.lastrowid is not None
        return row.lastrowid


def _take(connection: sqlite3.Connection, writer: int, who: str, swipe: Swipe) -> Taken:
    row = connection.execute("SELECT id FROM pictures WHERE sha256 = ?", (swipe.sha256,)).fetchone()
    if row is None:
        return Taken(None, None)
    picture = int(row[0])
    if connection.execute("SELECT 1 FROM swipes WHERE uuid = ?", (swipe.name.bytes,)).fetchone() is None:
        value = swipe.verdict if swipe.undoes is None else _said_before(connection, picture, who, swipe.undoes)
        label = connection.execute(
            "INSERT INTO labels (picture, name, value, writer, given) VALUES (?, ?, ?, ?, ?)",
            (picture, VERDICT, value, writer, swipe.given or now()),
        ).lastrowid
        connection.execute("INSERT INTO swipes (uuid, label) VALUES (?, ?)", (swipe.name.bytes, label))
    return Taken(picture, _last(connection, picture, who))


def _said_before(connection: sqlite3.Connection, picture: int, who: str, undone: uuid.UUID) -> Verdict | None:
    """The person's word on the picture before that swipe; None also where that swipe never came."""
    row = connection.execute("SELECT label FROM swipes WHERE uuid = ?", (undone.bytes,)).fetchone()
    return None if row is None else _last(connection, picture, who, before=row[0])


def _last(connection: sqlite3.Connection, picture: int, who: str, before: int | None = None) -> Verdict | None:
    row = connection.execute(
        """SELECT value FROM labels JOIN writers ON writers.id = labels.writer
        WHERE picture = ? AND name = ? AND who = ? AND (? IS NULL OR labels.id < ?) ORDER BY labels.id DESC LIMIT 1""",
        (picture, VERDICT, who, before, before),
    ).fetchone()
    return None if row is None else row[0]
