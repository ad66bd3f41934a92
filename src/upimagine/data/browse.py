"""A catalog to look through: lists of tens of thousands of pictures, in the order of names or of what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upimagine.data.catalog import Catalog
from upimagine.data.labelling import Label, labels_of
from upimagine.data.records import Which, belongs
from upimagine.data.verdicts import verdicts
from upimagine.errors import UpimagineError


@dataclass(frozen=True)
class Listed:
    """Pictures in columns of one length."""

    sha256: list[bytes]
    paths: list[str]
    values: list[float | None]
    """Of the measure asked for; None where it says nothing."""


@dataclass(frozen=True)
class Known:
    """One picture with all that is known of it."""

    path: str
    height: int
    width: int
    scores: dict[str, float]
    flags: list[str]
    labels: list[Label]


def list_pictures_of(
    catalog: Catalog, which: Which = "all", flag: str | None = None, under: Path | None = None
) -> Listed:
    """Pictures that are there, by name or, with a flag, the worst by its measure first.

    Args:
        catalog: whose.
        which: of them, by flags and verdicts.
        flag: whose measure decides the order.
        under: only what lies in this folder, as far as paths tell; links are for the caller to follow.

    Raises:
        UpimagineError: there is no such flag.
    """
    measure, order = None, "path"
    if flag is not None:
        row = catalog.connection.execute("SELECT measure, side FROM flags WHERE name = ?", (flag,)).fetchone()
        if row is None:
            raise UpimagineError(f"there is no flag {flag!r}")
        measure, order = row[0], f"value IS NULL, value {'DESC' if row[1] == 'above' else 'ASC'}, path"
    inside = "" if under is None else "AND path >= :low AND path < :high"
    rows = catalog.connection.execute(
        f"""SELECT sha256, min(path) AS path, value, pictures.id FROM places
        JOIN pictures ON pictures.id = places.picture
        LEFT JOIN scores ON scores.picture = pictures.id AND scores.measure = :measure
        WHERE vanished IS NULL {inside} GROUP BY pictures.id ORDER BY {order}""",
        # Every path below "folder/" sorts before "folder0", for 0 follows the slash.
        {"measure": measure} | ({} if under is None else {"low": f"{under}/".replace("//", "/"), "high": f"{under}0"}),
    ).fetchall()
    if which != "all":
        raised = {picture for (picture,) in catalog.connection.execute("SELECT DISTINCT picture FROM raised")}
        said = verdicts(catalog.connection)
        rows = [row for row in rows if belongs(which, row[3] in raised, said.get(row[3]))]
    return Listed([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def known_of(catalog: Catalog, sha256: bytes) -> Known | None:
    """All about one picture; None where the catalog does not know it or it has vanished."""
    connection = catalog.connection
    row = connection.execute(
        """SELECT pictures.id, min(path), height, width FROM pictures JOIN places ON places.picture = pictures.id
        WHERE sha256 = ? AND vanished IS NULL GROUP BY pictures.id""",
        (sha256,),
    ).fetchone()
    if row is None:
        return None
    picture, path, height, width = row
    scores = connection.execute(
        """SELECT name, value FROM scores JOIN measures ON measures.id = scores.measure
        WHERE picture = ? ORDER BY name""",
        (picture,),
    )
    flags = connection.execute("SELECT flag FROM raised WHERE picture = ? ORDER BY flag", (picture,))
    return Known(path, height, width, dict(scores), [name for (name,) in flags], labels_of(connection, picture))
