"""The catalog: one SQLite file that knows pictures by their content, for several writers at a time."""

from __future__ import annotations

import getpass
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from upimagine.data.flags import FLAGS
from upimagine.data.schema import upgrade
from upimagine.errors import UpimagineError

WAIT_S = 60.0
"""How long a writer waits for another one."""

_HEADING = b"SQLite format 3\0"


class Catalog:
    """An open catalog; it belongs to the thread that opened it.

    What `writing` has brought to its end stays, whatever happens to the process or the machine; what it has not,
    leaves no trace.
    """

    def __init__(self, path: Path, *, create: bool = False, who: str | None = None, tool: str = "upimagine") -> None:
        """Open a file, and bring an older one to the newest version.

        Args:
            path: the file.
            create: make it where there is none.
            who: in whose name things are written; default: the user's.
            tool: with what.

        Raises:
            UpimagineError: it is missing, no catalog, too new, or cannot be opened.
        """
        self.path = path
        self._who, self._tool = who or user(), tool
        self._writer: int | None = None
        if not create and not path.is_file():
            raise UpimagineError(f"{path}: there is no such catalog; make one with `upimagine prepare`")
        if create:
            _claim_folder(path)
        try:
            self.connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise _trouble(path, error) from error
        try:
            self._set_up()
        except BaseException as error:
            self.connection.close()
            if isinstance(error, sqlite3.Error):
                raise _trouble(path, error) from error
            if isinstance(error, UpimagineError):
                raise UpimagineError(f"{path}: {error}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; afterwards there is nothing beside it unless another writer is at work."""
        self.connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is written inside the block, or, after an exception, nothing of it.

        Waits up to `WAIT_S` for other writers. Raises UpimagineError when that is not enough or the disk is full.
        """
        writer = self._writer
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                self._writer = writer  # its row may be gone with the rest
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise _trouble(self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Everything read inside the block is of one moment, whatever others, or this catalog, write meanwhile."""
        connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()

    def writer(self) -> int:
        """The row that says who writes, made at the first need. Only inside `writing`."""
        if self._writer is None:
            self._writer = self.connection.execute(
                "INSERT INTO writers (who, tool, began) VALUES (?, ?, ?)", (self._who, self._tool, now())
            ).lastrowid
            assert self._writer is not None
        return self._writer

    def measure(self, name: str) -> int:
        """The number of a measure, given at the first need. Only inside `writing`."""
        connection = self.connection
        connection.execute("INSERT OR IGNORE INTO measures (name) VALUES (?)", (name,))
        return int(connection.execute("SELECT id FROM measures WHERE name = ?", (name,)).fetchone()[0])

    def _set_up(self) -> None:
        connection = self.connection
        connection.execute("PRAGMA foreign_keys = ON")
        upgrade(connection)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise UpimagineError("its disk cannot be shared by several writers; put the catalog on a local disk")
        connection.execute("PRAGMA synchronous = FULL")  # what was said to be saved outlives a power cut, too
        if missing := [name for name, flag in FLAGS.items() if self._known_measure(name) != flag.measure]:
            self._introduce(missing)

    def _known_measure(self, flag: str) -> str | None:
        row = self.connection.execute(
            "SELECT measures.name FROM flags JOIN measures ON measures.id = flags.measure WHERE flags.name = ?", (flag,)
        ).fetchone()
        return None if row is None else str(row[0])

    def _introduce(self, flags: Iterable[str]) -> None:
        """Write down flags that the file does not know, or by another measure, with the thresholds they begin with."""
        with self.writing() as connection:
            for name in flags:
                flag = FLAGS[name]
                measure = self.measure(flag.measure)
                new = connection.execute(
                    """INSERT INTO flags (name, measure, side, meaning) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
                    SET measure = excluded.measure, side = excluded.side, meaning = excluded.meaning
                    WHERE measure <> excluded.measure""",
                    (name, measure, flag.side, flag.meaning),
                ).rowcount
                if new:
                    connection.execute(
                        "INSERT INTO thresholds (flag, value, writer, given) VALUES (?, ?, ?, ?)",
                        (name, flag.threshold, self.writer(), now()),
                    )


def is_catalog(path: Path) -> bool:
    """Whether a path is a SQLite file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEADING)) == _HEADING


def now() -> str:
    """The time in UTC, as it is written into the catalog: ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def user() -> str:
    """Who runs this program."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


def _claim_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UpimagineError(f"{path}: its folder cannot be made ({error.strerror}); choose another") from error


def _trouble(path: Path, error: sqlite3.Error) -> UpimagineError:
    """What SQLite complains of, with the mend."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the lower byte is the kind
    mend = {
        sqlite3.SQLITE_BUSY: f"another program has kept it for {WAIT_S:.0f} s; wait for it or end it",
        sqlite3.SQLITE_FULL: "the disk is full; free some space",
        sqlite3.SQLITE_NOTADB: "is no catalog; name a catalog or a new file",
        sqlite3.SQLITE_READONLY: "writing is not permitted there; copy it to a folder of your own",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; name a file in a folder that you may write to",
        sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a copy, or make a new one",
    }.get(code, f"cannot be used ({error})")
    return UpimagineError(f"{path}: {mend}")
