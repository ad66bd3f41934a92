"""The folder that is open: each thing in it has a number of its own, so that no path ever comes from outside."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from upimagine.data.folder import PICTURE_SUFFIXES
from upimagine.errors import UpimagineError
from upimagine.train.journal import FILE_NAME as LOG

_FRESH_S = 1.0
_TABLE = "scores.csv"
_MODEL, _CATALOGS = ".safetensors", {".db", ".sqlite", ".sqlite3"}
_GROWING = {"run", "catalog"}


@dataclass(frozen=True)
class Thing:
    """A file of the folder."""

    id: str  # 64 hex digits of name, size and time: a changed file is another thing
    path: Path
    name: str  # as seen from the opened folder
    mtime: float
    kind: str  # picture, run (its log), table (of scores), model or catalog


class Opened:
    """Looks again when it is asked and a second has passed. Hidden folders and links out of the folder do not exist."""

    def __init__(self, folder: Path) -> None:
        """Raises UpimagineError where there is no such folder."""
        if not folder.is_dir():
            raise UpimagineError(f"{folder} is not a folder; name the one with your pictures and runs")
        self.folder = folder.resolve()
        self._lock = threading.Lock()
        self._seen = -_FRESH_S
        self._things: dict[str, Thing] = {}

    def things(self, kind: str) -> list[Thing]:
        """All of a kind, newest first."""
        found = [thing for thing in self._look().values() if thing.kind == kind]
        return sorted(found, key=lambda thing: (-thing.mtime, thing.name))

    def get(self, thing_id: str, kind: str) -> Thing | None:
        """The thing with this number, None where there is none of this kind (any more)."""
        thing = self._known(thing_id) or self._look().get(thing_id)
        return thing if thing is not None and thing.kind == kind and self._is_there(thing) else None

    def find(self, thing_id: str) -> list[Path]:
        """The file of a picture, or none."""
        thing = self.get(thing_id, "picture")
        return [] if thing is None else [thing.path]

    def recall(self, thing_id: str) -> list[Path]:
        """The same without looking anew: what nobody has listed yet is not found."""
        thing = self._known(thing_id)
        return [] if thing is None or thing.kind != "picture" else [thing.path]

    def holds(self, path: Path) -> bool:
        """Whether a path, links followed, lies inside."""
        return path.resolve().is_relative_to(self.folder)

    def _known(self, thing_id: str) -> Thing | None:
        """As it was when last looked, if it is still so: fifty thousand files are not walked for each small picture."""
        thing = self._things.get(thing_id)
        return thing if thing is not None and self._is_there(thing) else None

    def _is_there(self, thing: Thing) -> bool:
        try:
            return self.holds(thing.path) and _number(thing.name, thing.kind, thing.path.stat()) == thing.id
        except OSError:  # gone
            return False

    def _look(self) -> dict[str, Thing]:
        with self._lock:
            if time.monotonic() - self._seen > _FRESH_S:
                self._things = {thing.id: thing for thing in self._walk(self.folder)}
                self._seen = time.monotonic()
            return self._things

    def _walk(self, folder: Path) -> Iterator[Thing]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # a folder that may not be read, or that has just gone, shows nothing
            return
        pyramids = {entry.name.removesuffix(".dzi") + "_files" for entry in entries if entry.name.endswith(".dzi")}
        for entry in entries:
            if entry.name.startswith(".") or entry.name in pyramids:
                continue
            if entry.is_symlink() and not self.holds(Path(entry.path)):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path))
            elif (kind := _kind(entry.name)) is not None and entry.is_file():
                yield self._thing(entry, kind)

    def _thing(self, entry: os.DirEntry[str], kind: str) -> Thing:
        stat, path = entry.stat(), Path(entry.path)
        name = str(path.relative_to(self.folder))
        return Thing(_number(name, kind, stat), path, name, stat.st_mtime, kind)


def _number(name: str, kind: str, stat: os.stat_result) -> str:
    # Logs and catalogs grow while they are shown: they stay the same things.
    told = name if kind in _GROWING else f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return hashlib.sha256(os.fsencode(told)).hexdigest()


def _kind(name: str) -> str | None:
    if name == LOG:
        return "run"
    if name == _TABLE:
        return "table"
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (fifty thousand times)
    if suffix in _CATALOGS:
        return "catalog"
    return "picture" if suffix in PICTURE_SUFFIXES else "model" if suffix == _MODEL else None
