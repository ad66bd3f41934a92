"""One file of a scan: its content's hash, and its measures if that content is new."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upimagine.data.landmarks import FaceFinder
from upimagine.data.look import look_at
from upimagine.data.measures import Measured, measure
from upimagine.errors import PictureError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Stamp:
    """By what a file is known to be unchanged."""

    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Examined:
    """What was found out about a file: its content, or the trouble with it."""

    path: Path
    stamp: Stamp
    sha256: bytes | None = None
    measured: Measured | None = None
    """None where the catalog has it already."""
    trouble: str | None = None


def stamp_of(path: Path) -> Stamp:
    """Size and time of the last change. Raises OSError."""
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


def examine(path: Path, is_known: Callable[[bytes], bool], find_faces: FaceFinder | None) -> Examined:
    """Hash a file and, unless its content is known, measure it. The file is only read. Troubles come back as such."""
    stamp = Stamp(0, 0)
    try:
        os.fspath(path).encode()
        stamp = stamp_of(path)
        sha256 = _sha256(path)
        measured = None if is_known(sha256) else measure(look_at(path), find_faces)
        if stamp_of(path) != stamp:
            raise PictureError(f"{path}: changed while it was read; scan again")
    except UnicodeEncodeError:
        name = os.fsencode(path).decode(errors="replace")
        return Examined(Path(name), stamp, trouble=f"{name}: its name is not UTF-8; rename it")
    except PictureError as error:
        return Examined(path, stamp, trouble=str(error))
    except OSError as error:
        return Examined(path, stamp, trouble=f"{path}: cannot be read ({(error.strerror or str(error)).lower()})")
    return Examined(path, stamp, sha256, measured)


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
