"""What a scan found, written into the catalog; and what the catalog knew before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from upimagine.data.catalog import Catalog, now
from upimagine.data.duplicates import TWIN_MEASURE
from upimagine.data.examine import Examined, Stamp
from upimagine.data.landmarks import keep_faces
from upimagine.data.measures import VERSION
from upimagine.data.quality.faces import FACE_COUNT

# A picture is done when it was measured by these measures, and for faces where they are asked for.
_DONE = f"""pictures.measured = {VERSION} AND (NOT :faces OR EXISTS
    (SELECT 1 FROM scores JOIN measures ON measures.id = scores.measure
     WHERE scores.picture = pictures.id AND measures.name = '{FACE_COUNT}'))"""


def known_contents(catalog: Catalog, with_faces: bool) -> set[bytes]:
    """SHA-256 of every picture that need not be measured again."""
    rows = catalog.connection.execute(f"SELECT sha256 FROM pictures WHERE {_DONE}", {"faces": with_faces})
    return {row[0] for row in rows}


def is_unchanged(catalog: Catalog, path: Path, stamp: Stamp, with_faces: bool) -> bool:
    """Whether this file is in the catalog as it is, not vanished, and its picture is done."""
    row = catalog.connection.execute(
        f"""SELECT 1 FROM places JOIN pictures ON pictures.id = places.picture
        WHERE path = :path AND places.bytes = :bytes AND mtime_ns = :time AND vanished IS NULL AND {_DONE}""",
        {"path": str(path), "bytes": stamp.bytes, "time": stamp.mtime_ns, "faces": with_faces},
    ).fetchone()
    return row is not None


def file_away(catalog: Catalog, found: Iterable[Examined]) -> int:
    """Write files and their pictures, all or none of them; gives back how many pictures are new to the catalog."""
    new = 0
    with catalog.writing():
        for each in found:
            picture = None
            if each.sha256 is not None:
                new += _put_picture(catalog, each)
                picture = _number_of(catalog, each.sha256)
                assert picture is not None  # nothing is ever deleted from pictures
                _put_scores(catalog, picture, each)
            _put_place(catalog, each, picture)
    return new


def mark_vanished(catalog: Catalog, sources: Iterable[Path], seen: set[Path]) -> int:
    """Mark files under the sources that are gone; gives back how many."""
    connection, gone = catalog.connection, []
    for source in sources:
        # Every path below "folder/" sorts before "folder0", for 0 follows the slash.
        rows = connection.execute(
            "SELECT path FROM places WHERE vanished IS NULL AND (path = ? OR (path > ? AND path < ?))",
            (str(source), f"{source}/".replace("//", "/"), f"{source}0" if str(source) != "/" else "0"),
        )
        # What the listing did not see may have come after it, written by another scan.
        gone += [path for (path,) in rows if Path(path) not in seen and _is_gone(Path(path))]
    with catalog.writing():
        connection.executemany("UPDATE places SET vanished = ? WHERE path = ?", [(now(), path) for path in gone])
    return len(gone)


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a folder that may not be opened tells nothing
        return False
    return False


def _put_picture(catalog: Catalog, each: Examined) -> bool:
    """Insert or renew the picture; True where it is new."""
    if each.measured is None:
        return False
    row = catalog.connection.execute("SELECT id, measured FROM pictures WHERE sha256 = ?", (each.sha256,)).fetchone()
    if row is not None and row[1] != VERSION:
        _forget_measures(catalog, row[0])
    catalog.connection.execute(
        """INSERT INTO pictures (sha256, bytes, height, width, phash, measured, writer, added)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET
        compared = compared AND phash IS excluded.phash, phash = excluded.phash, measured = excluded.measured""",
        (
            each.sha256,
            each.stamp.bytes,
            *each.measured.size_px,
            each.measured.phash,
            VERSION,
            catalog.writer(),
            now(),
        ),
    )
    return row is None


def _forget_measures(catalog: Catalog, picture: int) -> None:
    """Of an older version: what is not measured anew must not pass for the newest."""
    catalog.connection.execute(
        "DELETE FROM scores WHERE picture = ? AND measure <> (SELECT id FROM measures WHERE name = ?)",
        (picture, TWIN_MEASURE),
    )
    catalog.connection.execute("DELETE FROM faces WHERE picture = ?", (picture,))


def _put_scores(catalog: Catalog, picture: int, each: Examined) -> None:
    if each.measured is None:
        return
    for name, value in each.measured.scores.items():
        key = picture, catalog.measure(name)
        if value is None:  # where an older version may have had something to say
            catalog.connection.execute("DELETE FROM scores WHERE picture = ? AND measure = ?", key)
        else:
            catalog.connection.execute(
                "INSERT OR REPLACE INTO scores (picture, measure, value, writer) VALUES (?, ?, ?, ?)",
                (*key, value, catalog.writer()),
            )
    if each.measured.faces is not None:
        keep_faces(catalog, picture, each.measured.faces)


def _put_place(catalog: Catalog, each: Examined, picture: int | None) -> None:
    catalog.connection.execute(
        """INSERT INTO places (path, picture, bytes, mtime_ns, trouble, writer) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (path) DO UPDATE SET picture = excluded.picture, bytes = excluded.bytes,
        mtime_ns = excluded.mtime_ns, trouble = excluded.trouble, vanished = NULL, writer = excluded.writer""",
        (str(each.path), picture, each.stamp.bytes, each.stamp.mtime_ns, each.trouble, catalog.writer()),
    )


def _number_of(catalog: Catalog, sha256: bytes) -> int | None:
    row = catalog.connection.execute("SELECT id FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else int(row[0])
