"""Scanning: folders of pictures into the catalog, from where the last scan stopped, without touching a file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from upimagine.data.ahead import ahead
from upimagine.data.catalog import Catalog
from upimagine.data.duplicates import find_twins
from upimagine.data.examine import Examined, examine, stamp_of
from upimagine.data.filing import file_away, is_unchanged, known_contents, mark_vanished
from upimagine.data.landmarks import FaceFinder
from upimagine.data.walk import list_files
from upimagine.errors import UpimagineError

_BATCH = 256
_EVERY_S = 2.0
"""Seconds of work that a kill may cost."""

Watch = Callable[[str, int, int], None]
"""Told what is done, how far it is and how far it will go."""


@dataclass(frozen=True)
class Scanned:
    """What a scan did."""

    files: int
    """Picture files there are."""
    unchanged: int
    """Of these, known already by path, size and time."""
    new_pictures: int
    """Contents that the catalog had not known."""
    vanished: int
    """Files that are not there any more."""
    troubles: list[str] = field(default_factory=list)
    """One line for each file and folder that was passed over."""


def scan(
    catalog: Catalog,
    sources: list[Path],
    *,
    find_faces: FaceFinder | None = None,
    threads: int = 0,
    watch: Watch = lambda what, done, total: None,
) -> Scanned:
    """Bring the catalog up to date with all pictures under the sources.

    Files known by path, size and time are not opened. Others are hashed, and measured where their content is new: a
    renamed file is the same picture in a new place. Work is written every two seconds, so that a killed scan, called
    again, goes on; several scans may write into one catalog at a time. At most a few pictures a thread are in memory.

    Args:
        catalog: where to.
        sources: folders, with all below, and files.
        find_faces: without it, faces are not measured.
        threads: that read and measure; 0: one a core.
        watch: told of the progress.

    Raises:
        UpimagineError: a source is not there, there are no pictures, or the catalog cannot be written.
    """
    listing = list_files(sources)
    files = listing.files
    if not files and not listing.closed:
        raise UpimagineError(f"no picture lies under {', '.join(map(str, sources))}; name a folder that holds some")
    known = known_contents(catalog, find_faces is not None)
    troubles, new, unchanged, written = list(listing.closed), 0, 0, time.monotonic()
    batch: list[Examined] = []
    jobs = (_job(catalog, path, known, find_faces) for path in files)
    for done, each in enumerate(ahead(jobs, threads), 1):
        watch("scanning", done, len(files))
        if each is None:
            unchanged += 1
            continue
        batch.append(each)
        if each.trouble is not None:
            troubles.append(each.trouble)
        if len(batch) >= _BATCH or time.monotonic() - written > _EVERY_S:
            new += file_away(catalog, batch)
            known.update(found.sha256 for found in batch if found.sha256 is not None)
            batch, written = [], time.monotonic()
    new += file_away(catalog, batch)
    roots = [Path(os.path.abspath(source)) for source in sources]  # noqa: PTH100 (as in the listing)
    vanished = mark_vanished(catalog, roots, set(files))
    find_twins(catalog)
    return Scanned(len(files), unchanged, new, vanished, troubles)


def _job(
    catalog: Catalog, path: Path, known: set[bytes], find_faces: FaceFinder | None
) -> Callable[[], Examined] | None:
    """None where the file is unchanged."""
    if _is_unchanged(catalog, path, find_faces is not None):
        return None
    return partial(examine, path, known.__contains__, find_faces)


def _is_unchanged(catalog: Catalog, path: Path, with_faces: bool) -> bool:
    try:
        return is_unchanged(catalog, path, stamp_of(path), with_faces)
    except (OSError, UnicodeEncodeError):
        return False  # examining it will tell what is wrong
