"""A folder of links to chosen pictures of a catalog, for programs that want a folder."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from upimagine.data.records import Record
from upimagine.errors import UpimagineError
from upimagine.pixels.atomic import UNFINISHED_SUFFIX, trouble


@dataclass(frozen=True)
class Linked:
    """What a folder of links holds."""

    links: int
    copies: int
    """Instead of links, on disks that know none."""
    missing: list[str]
    """Files that are not there any more, one line each."""


def link_pictures(pictures: Iterable[Record], folder: Path) -> Linked:
    """Make a folder with a link to each picture, whole or not at all. Names are NAME-HASH.ENDING, so none clash.

    Raises:
        UpimagineError: the folder exists and is not empty, or cannot be made.
    """
    check_folder(folder)
    unfinished = folder.parent / f".{secrets.token_hex(6)}{UNFINISHED_SUFFIX}"
    links, copies, missing = 0, 0, []
    try:
        unfinished.mkdir(parents=True)
        for picture in pictures:
            source = Path(picture.path)
            if not source.is_file():
                missing.append(f"{source}: is not there any more; scan again")
                continue
            target = unfinished / f"{source.stem[:100]}-{picture.sha256.hex()[:12]}{source.suffix}"
            try:
                target.symlink_to(source)
                links += 1
            except (OSError, NotImplementedError):
                shutil.copy2(source, target)
                copies += 1
        if folder.exists():
            folder.rmdir()  # empty, as was checked
        unfinished.rename(folder)
    except OSError as error:
        raise trouble(error, folder) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # removes links, not what they point to
    return Linked(links, copies, missing)


def check_folder(folder: Path) -> None:
    """Make sure that a folder of links may be made there.

    Raises:
        UpimagineError: something is there already.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UpimagineError(f"{folder} exists and is not an empty folder; name a new one for the links")
