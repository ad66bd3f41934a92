"""Pictures to learn from, out of folders, zip archives and tar shards, in one order that never changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast, get_args

from upimagine.data.archives import Member, tar_members, zip_members
from upimagine.data.catalog import Catalog, is_catalog
from upimagine.data.folder import PICTURE_SUFFIXES, no_pictures, pictures_in, subfolders
from upimagine.data.found import Found, Label
from upimagine.data.labels import DATASET, ROWS, labels_of
from upimagine.data.records import Record, Which, records
from upimagine.data.verdicts import VERDICT
from upimagine.errors import UpimagineError


@contextmanager
def opened(data: list[Path]) -> Iterator[list[Found]]:
    """All pictures of the given folders and archives, one after the other as given, each sorted by name; with labels.

    Of a folder those directly inside; if it has none, those directly inside its folders, whose names are then labels.
    Of a .zip or .tar (WebDataset) all, however deep; of a catalog the good ones (kept by who sorted them, or neither
    flagged nor rejected), or others: CATALOG:keep, :clean, :all and so on (`records.Which`). They can be read while
    the context lasts, by several threads.

    Raises UpimagineError, one line, for what is missing, damaged, encrypted or holds no picture.
    """
    if not data:
        raise UpimagineError("no folder of pictures was named; give --data one")
    with ExitStack() as keep:
        found: list[Found] = []
        for path in data:
            suffix = path.suffix.lower()
            catalog, which = _which(path)
            if path.is_dir():
                found += _in_folder(path)
            elif is_catalog(catalog):
                found += _in_catalog(catalog, which)
            elif suffix == ".zip":
                found += _in_archive(path, zip_members(path, keep), shard=False)
            elif suffix == ".tar":
                found += _in_archive(path, tar_members(path), shard=True)
            else:
                raise UpimagineError(
                    f"{path} is not a folder, nor a .zip, .tar or catalog; name pictures to learn from"
                )
        yield found


def _which(path: Path) -> tuple[Path, Which]:
    """CATALOG:keep into the file and what is meant of it; a file whose own name ends so is itself."""
    name, _, last = path.name.rpartition(":")
    if name and not path.exists() and last in get_args(Which):
        return path.with_name(name), cast(Which, last)
    return path, "good"


def _in_catalog(path: Path, which: Which) -> list[Found]:
    with Catalog(path) as catalog:
        pictures = [Found(Path(record.path), label=_said(record)) for record in records(catalog, which)]
    if not pictures:
        mend = "move its thresholds with `upimagine prepare`" if which == "good" else "sort more with `upimagine sort`"
        raise UpimagineError(f"{path} holds no picture that is {which}; {mend}, or name another choice, as {path}:all")
    return pictures


def _said(record: Record) -> Label:
    """Names of a picture's labels to what was said last, but of the verdict to what most say; None if nothing was."""
    last = {label.name: label.value for label in record.labels if label.name != VERDICT}
    said = {name: value for name, value in last.items() if value is not None}
    return said | ({VERDICT: record.verdict} if record.verdict is not None else {}) or None


def _in_folder(folder: Path) -> list[Found]:
    pictures = pictures_in(folder)
    if not pictures:
        pictures = [picture for inner in subfolders(folder) for picture in pictures_in(inner)]
    if not pictures:
        raise no_pictures(folder)
    names = [picture.relative_to(folder).as_posix() for picture in pictures]
    tables = {name: partial(_read, folder / name) for name in (DATASET, ROWS) if (folder / name).is_file()}
    labels = labels_of(names, tables, folder, beside=False)
    return [Found(picture, label=label) for picture, label in zip(pictures, labels, strict=True)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UpimagineError(f"{path} cannot be read ({(error.strerror or str(error)).lower()})") from error


def _in_archive(path: Path, members: list[Member], shard: bool) -> list[Found]:
    pictures = [member for member in members if PurePosixPath(member.name).suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise no_pictures(path)
    files = {member.name: member.read for member in members}
    labels = labels_of([picture.name for picture in pictures], files, path, beside=shard)
    return [Found(picture.path, picture.read, label) for picture, label in zip(pictures, labels, strict=True)]
