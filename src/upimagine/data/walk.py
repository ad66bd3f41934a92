"""Which picture files lie under folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from upimagine.data.folder import PICTURE_SUFFIXES
from upimagine.errors import UpimagineError


@dataclass(frozen=True)
class Listing:
    """What lies under the sources."""

    files: list[Path]
    """Absolute, each once, folder by folder in the order of names."""
    closed: list[str]
    """Folders that could not be opened, each with the reason, one line each."""


def list_files(sources: list[Path]) -> Listing:
    """Picture files, by their endings, in folders and all folders below them; a source may also be a file.

    Hidden files and folders are passed over, links to folders are not followed.

    Raises:
        UpimagineError: a source is not there.
    """
    files: dict[Path, None] = {}
    closed: list[str] = []
    for source in sources:
        root = Path(os.path.abspath(source))  # noqa: PTH100 (resolve() would rename what a link names)
        if root.is_file():
            files[root] = None
        elif root.is_dir():
            files |= dict.fromkeys(_under(root, closed))
        else:
            raise UpimagineError(f"{source} is neither a folder nor a file; name pictures or folders of them")
    return Listing(list(files), closed)


def _under(root: Path, closed: list[str]) -> list[Path]:
    def trouble(error: OSError) -> None:
        closed.append(f"{error.filename}: cannot be opened ({(error.strerror or str(error)).lower()})")

    found: list[Path] = []
    for folder, below, names in os.walk(root, onerror=trouble):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [
            Path(folder, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES
        ]
    return found
