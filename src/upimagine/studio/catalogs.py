"""The catalogs that the studio may look into: the one it was given, and those that lie in the opened folder."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from upimagine.data.catalog import Catalog, is_catalog
from upimagine.errors import UpimagineError
from upimagine.studio.catalog_thread import CatalogThread
from upimagine.studio.opened import Opened

T = TypeVar("T")
TOOL = "upimagine studio"


@dataclass(frozen=True)
class Shelved:
    """A catalog with its number."""

    id: str
    path: Path
    name: str
    given: bool
    """By name: whatever it knows may be seen. Of one that just lies there, only what lies in the folder, too."""


class Catalogs:
    """Opens a catalog when it is first asked. Methods may be called from any thread."""

    def __init__(self, opened: Opened, given: Path | None = None) -> None:
        """Raises UpimagineError where the given one cannot be opened."""
        self._opened = opened
        self._given = None if given is None else given.resolve()
        self._threads: dict[Path, CatalogThread] = {}
        self._lock = threading.Lock()
        if self._given is not None:
            self._thread(self._given)

    def all(self) -> list[Shelved]:
        """The given one first, then those of the folder, newest first."""
        found = []
        if self._given is not None:
            name = hashlib.sha256(os.fsencode(f"given\0{self._given}")).hexdigest()
            found.append(Shelved(name, self._given, self._given.name, True))
        return found + [
            Shelved(thing.id, thing.path, thing.name, False)
            for thing in self._opened.things("catalog")
            if thing.path.resolve() != self._given and is_catalog(thing.path)
        ]

    def get(self, catalog_id: str) -> Shelved | None:
        """The one with this number."""
        return next((shelved for shelved in self.all() if shelved.id == catalog_id), None)

    def ask(self, shelved: Shelved, question: Callable[[Catalog], T]) -> T:
        """Ask a catalog. Raises UpimagineError where it cannot be opened."""
        return self._thread(shelved.path).now(question)

    def under(self, shelved: Shelved) -> Path | None:
        """Where its pictures must lie; None: anywhere."""
        return None if shelved.given else self._opened.folder

    def find(self, content_id: str) -> list[Path]:
        """Files that hold a content, of the catalogs that were opened so far, unchanged since they were scanned."""
        with self._lock:
            threads = dict(self._threads)
        for path, thread in threads.items():
            found = [file for file in thread.now(lambda catalog: _unchanged(catalog, content_id)) if file.is_file()]
            if path != self._given:
                found = [file for file in found if self._opened.holds(file)]
            if found:
                return found
        return []

    def close(self) -> None:
        """Close what was opened."""
        for thread in self._threads.values():
            thread.close()

    def _thread(self, path: Path) -> CatalogThread:
        with self._lock:
            if path not in self._threads:
                try:
                    self._threads[path] = CatalogThread(path, TOOL)
                except OSError as error:
                    raise UpimagineError(f"{path.name} cannot be opened ({error.strerror})") from error
            return self._threads[path]


def _unchanged(catalog: Catalog, content_id: str) -> list[Path]:
    rows = catalog.connection.execute(
        """SELECT path, places.bytes, mtime_ns FROM places JOIN pictures ON pictures.id = places.picture
        WHERE sha256 = ? AND vanished IS NULL ORDER BY path""",
        (bytes.fromhex(content_id),),
    )
    return [Path(path) for path, size, time_ns in rows if _stamp(Path(path)) == (size, time_ns)]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # gone, or in a folder that may no longer be read: no picture of ours
        return None
    return status.st_size, status.st_mtime_ns
