"""Seeing and moving thresholds; how many pictures each flag is raised on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from upimagine.data.catalog import Catalog, now
from upimagine.errors import UpimagineError


@dataclass(frozen=True)
class FlagState:
    """A flag as it stands in a catalog."""

    name: str
    measure: str
    side: str
    threshold: float | None
    """None: switched off."""
    meaning: str
    raised: int
    """On how many pictures that are there."""


def flag_states(catalog: Catalog) -> list[FlagState]:
    """Every flag, in the order of the catalog."""
    rows = catalog.connection.execute(
        """SELECT limits.flag, measures.name, limits.side, limits.value, flags.meaning,
            (SELECT count(*) FROM raised JOIN live ON live.id = raised.picture WHERE raised.flag = limits.flag)
        FROM limits JOIN flags ON flags.name = limits.flag JOIN measures ON measures.id = limits.measure
        ORDER BY limits.flag"""
    )
    return [FlagState(*row) for row in rows]


def set_threshold(catalog: Catalog, flag: str, value: float | None) -> None:
    """Move a flag's threshold, None to switch it off. Nothing is measured again; the former ones are kept.

    Raises:
        UpimagineError: there is no such flag, or the value is no number.
    """
    known = [row[0] for row in catalog.connection.execute("SELECT name FROM flags ORDER BY name")]
    if flag not in known:
        raise UpimagineError(f"there is no flag {flag!r}; flags are {', '.join(known)}")
    if value is not None and not math.isfinite(value):
        raise UpimagineError(f"a threshold of {value} for {flag} cannot work; give a number, or off")
    with catalog.writing() as connection:
        connection.execute(
            "INSERT INTO thresholds (flag, value, writer, given) VALUES (?, ?, ?, ?)",
            (flag, value, catalog.writer(), now()),
        )


def count_pictures(catalog: Catalog) -> tuple[int, int]:
    """How many pictures are there, and how many of these have no flag raised."""
    connection = catalog.connection
    live: int = connection.execute("SELECT count(*) FROM live").fetchone()[0]
    bad: int = connection.execute(
        "SELECT count(*) FROM live WHERE EXISTS (SELECT 1 FROM raised WHERE raised.picture = live.id)"
    ).fetchone()[0]
    return live, live - bad
