"""How far a walk from noise to the print has come, in one hidden file in its folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.make.journal import files_of
from upimagine.pixels import atomic

NAME = ".upimagine-make"


class _State(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    identity: str
    chosen: tuple[int, ...] | None = None
    faces: int | None = None
    begun: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()


class WalkJournal:
    """Which files of a walk are begun and finished, and what was chosen; the enlargements keep journals of their own.

    It belongs to one identity: another walk into the same folder begins anew. One process at a time: leave by ``with``.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """identity: everything that the walk depends on, as text. Raises UpimagineError while another process is at
        work in the folder, and where there can be none."""
        atomic.make_folder(folder)
        self._folder, self._path = folder, folder / NAME
        self._held = self._hold()
        told = hashlib.sha256(identity.encode()).hexdigest()
        found = self._read()
        self.resumed = found is not None and found.identity == told
        """Whether an earlier process began the same walk."""
        if found is not None and not self.resumed:
            _forget_enlargements(folder, found)
        self._state = found if found is not None and self.resumed else _State(identity=told)

    @property
    def chosen(self) -> tuple[tuple[int, ...], int | None] | None:
        """Numbers of the chosen candidates, and how many had a face, once that is known."""
        return None if self._state.chosen is None else (self._state.chosen, self._state.faces)

    def choose(self, chosen: tuple[int, ...], faces: int | None) -> None:
        """Keep the choice."""
        self._update(chosen=chosen, faces=faces)

    def ours(self, out: Path) -> bool:
        """Whether a file that is there was begun by this walk, and may be replaced."""
        return out.name in self._state.begun

    def done(self, out: Path) -> bool:
        """Whether a file needs no more work."""
        return out.name in self._state.finished and out.is_file()

    def begin(self, out: Path) -> None:
        """Tell that a file will come to be."""
        if not self.ours(out):
            self._update(begun=(*self._state.begun, out.name))

    def finish(self, out: Path) -> None:
        """Tell that a file is whole and in its place."""
        if out.name not in self._state.finished:
            self._update(finished=(*self._state.finished, out.name))

    def forget(self) -> None:
        """The walk is over, or given up."""
        _forget_enlargements(self._folder, self._state)
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held is not None:
            os.close(self._held)

    def _update(self, **new: object) -> None:
        self._state = self._state.model_copy(update=new)
        pixels.write_text(self._path, self._state.model_dump_json(), overwrite=True)

    def _read(self) -> _State | None:
        try:
            return _State.model_validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):  # none, or of another version
            return None

    def _hold(self) -> int | None:
        if os.name != "posix":  # elsewhere a folder cannot be locked
            return None
        held = os.open(self._folder, os.O_RDONLY)
        if not atomic.lock(held):
            os.close(held)
            raise UpimagineError(f"another process is making pictures in {self._folder}; wait, or use another folder")
        return held


def _forget_enlargements(folder: Path, state: _State) -> None:
    for name in state.begun:
        for path in files_of(folder / name):
            path.unlink(missing_ok=True)
