"""The catalog's tables, as the steps by which a file of any version becomes one of the newest."""

from __future__ import annotations

import sqlite3

from upimagine.errors import UpimagineError

APPLICATION_ID = 0x55504943
"""Marks a SQLite file as a catalog ("UPIC")."""

_FIRST = (
    # One row a sitting: who gave what the rows that name it hold, with which tool.
    """CREATE TABLE writers (
        id INTEGER PRIMARY KEY, who TEXT NOT NULL, tool TEXT NOT NULL, began TEXT NOT NULL)""",
    # A picture is its content; where it lies is another matter. `measured` is the version of the measures, 0 for none.
    """CREATE TABLE pictures (
        id INTEGER PRIMARY KEY,
        sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
        bytes INTEGER NOT NULL, height INTEGER NOT NULL, width INTEGER NOT NULL,
        measured INTEGER NOT NULL, writer INTEGER NOT NULL REFERENCES writers, added TEXT NOT NULL)""",
    # A file that cannot be read has a place and a trouble, but no picture.
    """CREATE TABLE places (
        path TEXT PRIMARY KEY, picture INTEGER REFERENCES pictures,
        bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        trouble TEXT, vanished TEXT, writer INTEGER NOT NULL REFERENCES writers,
        CHECK ((picture IS NULL) <> (trouble IS NULL)))""",
    "CREATE INDEX places_by_picture ON places (picture)",
    "CREATE TABLE measures (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE scores (
        picture INTEGER NOT NULL REFERENCES pictures, measure INTEGER NOT NULL REFERENCES measures,
        value REAL NOT NULL, writer INTEGER NOT NULL REFERENCES writers,
        PRIMARY KEY (picture, measure)) WITHOUT ROWID""",
    "CREATE INDEX scores_by_value ON scores (measure, value)",
    """CREATE TABLE flags (
        name TEXT PRIMARY KEY, measure INTEGER NOT NULL REFERENCES measures,
        side TEXT NOT NULL CHECK (side IN ('above', 'below')), meaning TEXT NOT NULL)""",
    # Thresholds and labels are only ever added: the last one counts, the others are the history.
    """CREATE TABLE thresholds (
        id INTEGER PRIMARY KEY, flag TEXT NOT NULL REFERENCES flags, value REAL,
        writer INTEGER NOT NULL REFERENCES writers, given TEXT NOT NULL)""",
    """CREATE TABLE labels (
        id INTEGER PRIMARY KEY, picture INTEGER NOT NULL REFERENCES pictures, name TEXT NOT NULL, value TEXT,
        writer INTEGER NOT NULL REFERENCES writers, given TEXT NOT NULL)""",
    "CREATE INDEX labels_by_picture ON labels (picture, name)",
    *(
        f"""CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table}
        BEGIN SELECT RAISE(ABORT, '{table} are only added, never changed'); END"""
        for table in ("thresholds", "labels")
        for verb in ("UPDATE", "DELETE")
    ),
    # NULL switches a flag off.
    """CREATE VIEW limits AS
        SELECT flags.name AS flag, flags.measure, flags.side, thresholds.value
        FROM flags JOIN thresholds
        ON thresholds.id = (SELECT max(id) FROM thresholds WHERE thresholds.flag = flags.name)""",
    """CREATE VIEW raised AS
        SELECT scores.picture, limits.flag, scores.value
        FROM limits JOIN scores ON scores.measure = limits.measure
        WHERE CASE limits.side WHEN 'above' THEN scores.value >= limits.value ELSE scores.value <= limits.value END""",
    """CREATE VIEW live AS
        SELECT id FROM pictures
        WHERE EXISTS (SELECT 1 FROM places WHERE places.picture = pictures.id AND places.vanished IS NULL)""",
)

_NEAR = (
    "ALTER TABLE pictures ADD COLUMN phash BLOB CHECK (phash IS NULL OR length(phash) = 32)",
    # Whether it has been held against all others. One without a file has not: it may come back.
    "ALTER TABLE pictures ADD COLUMN compared INTEGER NOT NULL DEFAULT 0",
    # Of each picture, the nearest better one: one row a picture, however many are alike.
    """CREATE TABLE near (
        picture INTEGER PRIMARY KEY REFERENCES pictures, better INTEGER NOT NULL REFERENCES pictures,
        bits INTEGER NOT NULL)""",
    "CREATE INDEX near_by_better ON near (better)",
    "UPDATE pictures SET measured = 0",  # so that the next scan finds their hashes
)

_FACES = (
    # Every face that was found, largest first; numbers are pixels of the upright picture. `points68`: (68, 2) as
    # (y, x), float32, little-endian, in the iBUG order.
    """CREATE TABLE faces (
        picture INTEGER NOT NULL REFERENCES pictures, number INTEGER NOT NULL, score REAL NOT NULL, features REAL,
        y0 REAL NOT NULL, x0 REAL NOT NULL, y1 REAL NOT NULL, x1 REAL NOT NULL,
        points68 BLOB NOT NULL CHECK (length(points68) = 544),
        writer INTEGER NOT NULL REFERENCES writers, PRIMARY KEY (picture, number))""",
    "UPDATE pictures SET measured = 0",  # so that the next scan finds them
)

_SWIPES = (
    # A swipe has a name of its own, so that one that is sent twice, after a lost answer, counts once.
    """CREATE TABLE swipes (
        uuid BLOB PRIMARY KEY CHECK (length(uuid) = 16), label INTEGER NOT NULL UNIQUE REFERENCES labels)
        WITHOUT ROWID""",
    # Everybody's last word on each picture, counted. As many keeps as rejects are no verdict, but a doubt.
    """CREATE VIEW verdicts AS
        SELECT picture, total(value = 'keep') AS keep, total(value = 'reject') AS reject,
            CASE WHEN total(value = 'keep') > total(value = 'reject') THEN 'keep'
                WHEN total(value = 'keep') < total(value = 'reject') THEN 'reject' ELSE 'unsure' END AS verdict
        FROM (SELECT picture, value, row_number() OVER (PARTITION BY picture, who ORDER BY labels.id DESC) AS back
            FROM labels JOIN writers ON writers.id = labels.writer WHERE name = 'verdict')
        WHERE back = 1 AND value IS NOT NULL GROUP BY picture""",
    # What a picture looks like in numbers, as float16, for whoever learns from verdicts.
    """CREATE TABLE features (
        picture INTEGER PRIMARY KEY REFERENCES pictures, version INTEGER NOT NULL, vector BLOB NOT NULL)""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _NEAR, _FACES, _SWIPES)
"""Step i takes version i to version i + 1. Steps are only ever added at the end."""


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring an open file to the newest version, whole or not at all; an empty file becomes a catalog.

    Raises:
        UpimagineError: the file is another program's, or a newer version's (half a line, without the file's name).
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")  # one at a time: the others find the work done
    try:
        for step in MIGRATIONS[_version(connection) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    mark: int = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if mark != APPLICATION_ID and not (empty and version == 0 and mark == 0):
        raise UpimagineError("is another program's database; name a catalog or a new file")
    if version > len(MIGRATIONS):
        raise UpimagineError(f"is of version {version}, newer than this program knows; update upimagine")
    return version
