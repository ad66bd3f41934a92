"""Aligned faces cut out of a catalog's pictures into a folder, each face a picture of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from upimagine import pixels
from upimagine.data.ahead import ahead
from upimagine.data.align import Points, cut_square, face_square, in_square, side_px
from upimagine.data.catalog import Catalog
from upimagine.data.examine import stamp_of
from upimagine.data.folder import to_uint8
from upimagine.data.landmarks import Landmarks, faces_of
from upimagine.data.look import MOST_PIXELS
from upimagine.data.quality.faces import turn
from upimagine.data.records import Which, belongs, records
from upimagine.data.thresholds import flag_states
from upimagine.errors import PictureError, UpimagineError
from upimagine.pixels.atomic import UNFINISHED_SUFFIX, trouble

TABLE = "faces.jsonl"
_FORMAT = "upimagine aligned faces"
_OF_FACES = {"crowded", "turned", "hidden"}  # each face is judged by itself here, and others beside it are no fault

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Cut:
    """What was cut."""

    new: int
    kept: int
    """Cut before by the same command."""
    small: int
    """Passed over: their square has less than half the side asked for."""
    unsure: int
    """Passed over: turned aside or hidden, by the catalog's thresholds."""
    troubles: list[str] = field(default_factory=list)
    """One line for each picture that could not be read."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One picture's faces that are to be cut; no more of the picture, since very many wait at a time."""

    path: Path
    sha256: bytes
    bytes: int
    size_px: tuple[int, int]
    numbered: list[tuple[int, Landmarks]]


def cut_faces(
    catalog: Catalog, folder: Path, size_px: int, which: Which = "good", threads: int = 0,
    watch: Watch = lambda what, done, total: None,
) -> Cut:  # fmt: skip
    """Cut every face out as a PNG of `size_px`, aligned as in CelebA-HQ; eyes come to lie level, mouths at one place.

    Beside them `faces.jsonl` says of each where it comes from, with its landmarks, in pixels of the cut picture. Called
    again it goes on, and a picture that was taken out of the folder stays out.

    Args:
        catalog: scanned with faces.
        folder: a new or empty one, or one of an earlier call.
        size_px: side of the result.
        which: of the pictures, where flags of faces are no fault; "good" and "clean" pass over faces that are hidden or
            turned, unless people keep the picture.
        threads: that read and write; 0: one a core.
        watch: told of the progress.

    Raises:
        UpimagineError: the folder holds something else, or faces of another size; or there is no face at all.
    """
    done = check_cutting(folder, size_px)
    if catalog.connection.execute("SELECT 1 FROM faces LIMIT 1").fetchone() is None:
        raise UpimagineError(f"{catalog.path} holds no face; scan pictures that show some, without --no-faces")
    limits = {state.name: state.threshold for state in flag_states(catalog)}
    choosy = which in ("good", "clean")
    small = unsure = kept = new = 0
    wanted: list[_Wanted] = []
    for record in records(catalog, "all"):
        if not belongs(which, bool(set(record.flags) - _OF_FACES), record.verdict):
            continue
        faces: list[tuple[int, Landmarks]] = []
        for number, face in enumerate(faces_of(catalog.connection, record.sha256), start=1):
            if (record.sha256.hex(), number) in done:
                kept += 1
            elif not side_px(face_square(face.points68)) >= size_px / 2:  # not a number: no square
                small += 1
            elif choosy and record.verdict != "keep" and not _is_sure(face, limits):
                unsure += 1
            else:
                faces.append((number, face))
        if faces:
            size = record.height, record.width
            wanted.append(_Wanted(Path(record.path), record.sha256, record.bytes, size, faces))
    troubles: list[str] = []
    with _table(folder, size_px) as table:
        jobs = (partial(_cut, each, folder, size_px) for each in wanted)
        for number, lines in enumerate(ahead(jobs, threads), start=1):
            if isinstance(lines, str):
                troubles.append(lines)
            else:
                table.writelines(json.dumps(line) + "\n" for line in lines or ())
                table.flush()
                new += len(lines or ())
            watch("cutting faces", number, len(wanted))
    return Cut(new, kept, small, unsure, troubles)


def check_cutting(folder: Path, size_px: int) -> set[tuple[str, int]]:
    """Which faces (SHA-256 of the picture, number) the folder holds already. Raises UpimagineError where it cannot go
    there, or the size is none."""
    if not 16 <= size_px <= 4096:
        raise UpimagineError(f"faces of {size_px} px cannot be cut; give 16 to 4096")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return set()
    rows = list(_rows(folder / TABLE))
    if not rows or rows[0].get("format") != _FORMAT:
        raise UpimagineError(f"{folder} holds something else than cut faces; name a new folder")
    if rows[0].get("size_px") != size_px:
        raise UpimagineError(
            f"{folder} holds faces of {rows[0].get('size_px')} px; name another folder for {size_px} px"
        )
    return {(str(row.get("sha256")), int(row.get("number", 0))) for row in rows[1:]}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """What was written whole; a kill may have cut the last line short."""
    if not path.is_file():
        return
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            return
        if isinstance(row, dict):
            yield row


def _table(folder: Path, size_px: int) -> TextIO:
    """Open the table to go on with it, rid of a line that was cut short."""
    path = folder / TABLE
    rows = list(_rows(path)) or [{"format": _FORMAT, "size_px": size_px}]
    pixels.write_text(path, "".join(json.dumps(row) + "\n" for row in rows), overwrite=True)
    return path.open("a", encoding="utf-8")


def _is_sure(face: Landmarks, limits: dict[str, float | None]) -> bool:
    aside, hidden = limits["turned"], limits["hidden"]
    return (aside is None or turn(face.points68) < aside) and (
        hidden is None or face.features is None or face.features > hidden
    )


def _cut(wanted: _Wanted, folder: Path, size_px: int) -> list[dict[str, Any]] | str:
    """Rows of the table for all faces of one picture, or the trouble with it."""
    path = wanted.path
    squares = [(number, face, face_square(face.points68)) for number, face in wanted.numbered]
    try:
        if stamp_of(path).bytes != wanted.bytes:
            raise PictureError(f"{path}: has changed since it was scanned; scan again")
        # A JPEG need not be decoded finer than the smallest face asks for.
        least = 2 * size_px * min(wanted.size_px) / min(side_px(square) for _, _, square in squares)
        colours = pixels.read(path, max_pixels=MOST_PIXELS, least_px=int(np.ceil(least))).pixels
    except PictureError as error:
        return str(error)
    except OSError as error:
        return f"{path}: cannot be read ({(error.strerror or str(error)).lower()})"
    picture = np.ascontiguousarray(to_uint8(colours).permute(1, 2, 0).numpy())
    scale = np.array(picture.shape[:2]) / wanted.size_px
    rows = []
    for number, face, square in squares:
        name = f"{path.stem[:100]}-{wanted.sha256.hex()[:12]}-{number}.png"
        _, encoded = cv2.imencode(".png", cut_square(picture, square * scale, size_px)[..., ::-1])
        _put(folder / name, encoded.tobytes())
        points = in_square(face.points68, square, size_px)
        rows.append(_row(name, wanted, number, face, side_px(square), points))
    return rows


def _put(path: Path, content: bytes) -> None:
    """Whole or not at all. The general way looks through the folder at each file, which very many do not bear."""
    unfinished = path.with_name(
        f".{path.name}{UNFINISHED_SUFFIX}"
    )  # the same name each time: a killed one's is used up
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise trouble(error, path) from error


def _row(name: str, wanted: _Wanted, number: int, face: Landmarks, side: float, points: Points) -> dict[str, Any]:
    return {
        "file": name,
        "source": str(wanted.path),
        "sha256": wanted.sha256.hex(),
        "number": number,
        "score": round(face.score, 4),
        "side_px": round(side, 1),
        "points68": [[round(float(y), 2), round(float(x), 2)] for y, x in points],
    }
