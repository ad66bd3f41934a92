"""Verdicts out of the logs of SwipeLabel: `YYYY-MM-DD HH:MM:SS.ffffff NAME:N`, a line a swipe."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from upimagine.data.catalog import Catalog
from upimagine.data.swipes import Swipe, SwipeBook
from upimagine.data.verdicts import VERDICT, Verdict
from upimagine.errors import UpimagineError

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) (.+):(-?1|0)")
_MEANING: dict[str, Verdict] = {"1": "keep", "-1": "reject", "0": "unsure"}
_NAMES = uuid.UUID("5d3c7d0e-95a5-4f0c-8a2b-8a8f6c6a2f11")
"""Namespace of the lines' UUIDs, so that a log that is read twice counts once."""


@dataclass(frozen=True)
class Imported:
    """What a log brought."""

    swipes: int
    """Lines that are in the catalog now, those of an earlier import too."""
    older: int
    """Lines passed over, since the same person has said something later about the picture."""
    troubles: list[str]
    """One line for each that could not be used."""


def import_swipelabel(catalog: Catalog, log: Path, who: str, tool: str) -> Imported:
    """Read a log: 1 (right) is keep, -1 (left) reject, 0 (skipped) unsure; its times are this machine's.

    A picture is known by its path or the end of it (`NAME` or `FOLDER/NAME`), which must be one picture's alone.

    Raises:
        UpimagineError: the log cannot be read, or no line of it has the form.
    """
    lines = [(number, line, _parsed(line)) for number, line in _lines(log)]
    places = _places(catalog, {parsed[1].rpartition("/")[2] for _, _, parsed in lines if parsed is not None})
    troubles: list[str] = []
    swipes: list[Swipe] = []
    older = 0
    for number, line, parsed in lines:
        if parsed is None:
            troubles.append(f"{log}, line {number}: not `YYYY-MM-DD HH:MM:SS.ffffff NAME:N` with N 1, -1 or 0")
            continue
        given, name, verdict = parsed
        contents = places.get(name, set())
        if len(contents) != 1:
            what = "several pictures are called so" if contents else "no such picture in the catalog; scan it first"
            troubles.append(f"{log}, line {number}: {name}: {what}")
            continue
        (sha256,) = contents
        swipe = Swipe(uuid.uuid5(_NAMES, f"{who}\n{line}"), sha256, verdict, given=given)
        if _has_later(catalog, swipe, who):
            older += 1
        else:
            swipes.append(swipe)
    if not swipes and not older:
        raise UpimagineError(troubles[0] if troubles else f"{log} is empty; name a log of SwipeLabel")
    SwipeBook(catalog, tool).take_down(who, swipes)
    return Imported(len(swipes), older, troubles)


def _lines(log: Path) -> Iterator[tuple[int, str]]:
    try:
        text = log.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise UpimagineError(f"{log} cannot be read ({(error.strerror or str(error)).lower()})") from error
    return ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _parsed(line: str) -> tuple[str, str, Verdict] | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        given = datetime.fromisoformat(match[1]).astimezone(UTC)
    except ValueError:  # the 31st of February
        return None
    return given.isoformat(timespec="microseconds"), match[2].replace("\\", "/").lstrip("/"), _MEANING[match[3]]


def _places(catalog: Catalog, names: set[str]) -> dict[str, set[bytes]]:
    """Every end of the paths of files called so, without a slash before it, to the pictures that lie there."""
    ends: dict[str, set[bytes]] = {}
    rows = catalog.connection.execute(
        "SELECT path, sha256 FROM places JOIN pictures ON pictures.id = picture WHERE vanished IS NULL"
    )
    for path, sha256 in rows:
        parts = PurePosixPath(Path(path).as_posix().lstrip("/")).parts
        if parts[-1] not in names:
            continue
        for start in range(len(parts)):
            ends.setdefault("/".join(parts[start:]), set()).add(sha256)
    return ends


def _has_later(catalog: Catalog, swipe: Swipe, who: str) -> bool:
    row = catalog.connection.execute(
        """SELECT 1 FROM labels JOIN writers ON writers.id = labels.writer
        JOIN pictures ON pictures.id = labels.picture
        WHERE sha256 = ? AND name = ? AND who = ? AND labels.given > ?""",
        (swipe.sha256, VERDICT, who, swipe.given),
    ).fetchone()
    return row is not None
