"""Files that appear whole or not at all: written beside the target, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from upimagine.errors import UpimagineError
from upimagine.pixels import tiles

UNFINISHED_SUFFIX = ".upimagine-part"
"""Ends the hidden file that is being written; one left over after a power cut or a kill goes when its output is next
written."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def claim(path: str | Path, overwrite: bool = False) -> Path:
    """Make sure before the work begins that its output can be written; gives back the path.

    Creates the parent folder. An existing file, or folder of tiles of a .dzi, is refused unless `overwrite`.

    Raises:
        UpimagineError: the output exists, is no regular file, or its folder cannot be made or written to; or there is
            a folder of other things where the tiles shall go.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UpimagineError(f"{path} is a folder; give the name of a file in it")
        _sweep(final(path))
        if path.exists() and not path.is_file():
            raise UpimagineError(f"{path} is a device, not a file; choose another output")
        if path.exists() and not overwrite:
            raise UpimagineError(f"{path} exists; add --overwrite to replace it")
        if path.suffix.lower() == tiles.SUFFIX:
            tiles.claim_folder(final(path), overwrite)
        folder = final(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        # Only a trial tells the truth: permission bits say nothing of a read-only disk, or to root.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise trouble(error, path) from error
    return path


@contextmanager
def replacing(path: str | Path, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file for `path`'s new content; it takes the name when the block ends without an exception.

    The file is seekable and can be read back. On any exception nothing remains, and a file that stood at `path`
    is as it was.

    Raises:
        UpimagineError: as `claim`, or the disk filled up meanwhile.
    """
    path = claim(path, overwrite)
    target = final(path)
    unfinished = unfinished_beside(target)
    try:
        file = unfinished.open("x+b")
        lock(file)
    except OSError as error:
        raise trouble(error, path) from error
    try:
        yield file
        _settle(file, unfinished, target, path, overwrite)
    except BaseException as error:
        # Closing flushes what is left, which fails once more on a full disk: the first error is the one to tell.
        with contextlib.suppress(OSError):
            file.close()
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (*_FULL, errno.EFBIG):
            raise trouble(error, path) from error
        raise


def write_bytes(path: str | Path, content: bytes, overwrite: bool = False) -> None:
    """Write a file whole or not at all.

    Raises:
        UpimagineError: as `replacing`.
    """
    with replacing(path, overwrite) as file:
        file.write(content)


def write_text(path: str | Path, text: str, overwrite: bool = False) -> None:
    """Write text as UTF-8 with its line ends kept, whole or not at all.

    Raises:
        UpimagineError: as `replacing`.
    """
    write_bytes(path, text.encode(), overwrite)


def make_folder(path: Path) -> None:
    """Make it with those above it, unless it is there. Raises UpimagineError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise trouble(error, path) from error


def trouble(error: OSError, path: Path) -> UpimagineError:
    """Word what the system refused, with the mend."""
    if error.errno in _FULL:
        return UpimagineError(f"{path}: the disk is full; free some space or write to another disk")
    if error.errno == errno.EFBIG:
        return UpimagineError(f"{path}: the file grows too large for this disk or a set limit; write to another disk")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UpimagineError(f"{path}: writing is not permitted there; choose another folder")
    what = (error.strerror or str(error)).lower()
    return UpimagineError(f"{path}: cannot be written ({what}); choose another name or folder")


def unfinished_beside(target: Path) -> Path:
    """A new hidden name beside an output, which tells whose it is."""
    return target.parent / f"{_mark(target)}{secrets.token_hex(6)}{UNFINISHED_SUFFIX}"


def lock(file: IO[bytes] | int) -> bool:
    """Take a file, or a folder by its descriptor, for this process until it is closed; False when another has it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _mark(target: Path) -> str:
    """How hidden names of this output begin: of one length, however long its own name is."""
    return f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def _sweep(target: Path) -> None:
    """Remove what processes that were killed left of this output; what a living one writes is locked, and stays."""
    if os.name != "posix":  # where nothing is locked nobody can tell
        return
    for left in target.parent.glob(f"{glob.escape(_mark(target))}*{UNFINISHED_SUFFIX}"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:  # its writer was just done
            continue
        try:
            if not lock(descriptor):
                continue
            if left.is_dir():
                tiles.go_through(left, target)
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _settle(file: BinaryIO, unfinished: Path, target: Path, path: Path, overwrite: bool) -> None:
    """Bring the bytes to the disk, then the name to the file, then the name to the disk."""
    try:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        if not overwrite and target.exists():  # came to be while this one was written
            raise UpimagineError(f"{path} exists; add --overwrite to replace it")
        unfinished.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise trouble(error, path) from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.

    Raises:
        OSError: the disk refused.
    """
    if os.name != "posix":  # elsewhere a folder cannot be opened, and renaming is journalled by the system
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks sync no folders
            raise
    finally:
        os.close(descriptor)


def final(path: Path) -> Path:
    """Follow a link, so that what it points to is replaced, as by plain writing."""
    return path.resolve() if path.is_symlink() else path
