"""Zip archives and tar shards, read in place: nothing is unpacked, no name in them leads anywhere.

A member is read when it is asked for, whole, up to a bound; so neither many nor hugely compressed members fill memory.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from upimagine.errors import PictureError, UpimagineError

MOST_BYTES = 256 << 20
"""A member larger than this, unpacked, is not read."""

_END_BYTES = 1 << 20  # as many zeros at most are looked for at the end of a shard
#: What the standard library raises, beside its own errors, when an archive's tables are nonsense.
_NONSENSE = (EOFError, ValueError, OverflowError, RecursionError)
#: Others are not read: their decoders know no bound.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """One file in an archive."""

    path: Path  # the archive's path and the name: what it is called in messages, not where it lies
    name: str  # in the archive, with forward slashes and no ".." or "."
    read: Callable[[], bytes]  # raises PictureError, one line


def zip_members(path: Path, keep: ExitStack) -> list[Member]:
    """The files in a zip archive, sorted by name. They can be read, by several threads, until `keep` closes.

    Raises UpimagineError for an archive that is damaged or needs a password.
    """
    try:
        # Opened here, since zipfile counts its readers without a lock and closes a file of its own at zero.
        archive = zipfile.ZipFile(keep.enter_context(path.open("rb")))
    except (zipfile.BadZipFile, NotImplementedError, *_NONSENSE) as error:
        raise UpimagineError(
            f"{path} is damaged, cut short or no zip archive ({_why(error)}); fetch it again"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    files = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]  # is_dir() fails on ""
    if any(entry.flag_bits & 1 for entry in files):
        raise UpimagineError(f"{path} is encrypted; unpack it with its password and name the folder")

    def member(entry: zipfile.ZipInfo) -> Member:
        name = _confined(entry.filename)
        called = _called(path, name)
        return Member(called, name, lambda: _read_zipped(archive, entry, called))

    return _visible([member(entry) for entry in files])


def tar_members(path: Path) -> list[Member]:
    """The plain files in an uncompressed tar shard, sorted by name. Links, devices and sparse files are passed over.

    Raises UpimagineError for a damaged one, and for one that does not end as it should: all after a cut would be lost.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            entries = archive.getmembers()
            file.seek(archive.offset)
            end = file.read(_END_BYTES)
    except (tarfile.TarError, *_NONSENSE) as error:
        raise UpimagineError(
            f"{path} is damaged, cut short, compressed or no tar archive ({_why(error)}); fetch it again, or unpack it"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(end) < tarfile.BLOCKSIZE or any(end):
        raise UpimagineError(
            f"{path} is damaged, cut short or goes on as another archive after {len(entries)} files; fetch it again"
        )

    def member(entry: tarfile.TarInfo) -> Member:
        name = _confined(entry.name)
        called = _called(path, name)
        return Member(called, name, lambda: _read_slice(path, entry.offset_data, entry.size, called))

    return _visible([member(entry) for entry in entries if entry.isreg() and not entry.issparse() and entry.size >= 0])


def _confined(name: str) -> str:
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _called(archive: Path, name: str) -> Path:
    """For messages: below the archive's name, without control characters and drive letters."""
    return archive.joinpath("".join(letter if letter.isprintable() and letter != ":" else "?" for letter in name))


def _visible(members: list[Member]) -> list[Member]:
    """Sorted by name, folder by folder, without what macOS and others add for themselves."""
    shown = [
        member
        for member in members
        if not any(part.startswith(".") or part == "__MACOSX" for part in member.name.split("/"))
    ]
    return sorted(shown, key=lambda member: member.name.split("/"))


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, called: Path) -> bytes:
    _check_size(entry.file_size, called)
    if entry.compress_type not in _PACKINGS:
        raise PictureError(f"{called}: is packed in a rare way; pack it with deflate")
    try:
        with archive.open(entry) as file:
            return file.read(entry.file_size + 1)  # a bound, in case more comes out than is declared
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise PictureError(f"{called}: is damaged ({_why(error)}); pack it again") from error
    except OSError as error:
        raise _unreadable(called, error) from error


def _read_slice(path: Path, start: int, size: int, called: Path) -> bytes:
    _check_size(size, called)
    try:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(size)
    except OSError as error:
        raise _unreadable(called, error) from error
    if len(content) < size:
        raise PictureError(f"{called}: is cut short; fetch {path.name} again")
    return content


def _check_size(size: int, called: Path) -> None:
    if size > MOST_BYTES:
        raise PictureError(
            f"{called}: has {size >> 20} MiB unpacked, more than {MOST_BYTES >> 20} at most; put it into a folder"
        )


def _unreadable(path: Path, error: OSError) -> PictureError:
    return PictureError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})")


def _why(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
