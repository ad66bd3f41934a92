"""EXIF: what a camera said about a picture, read from its file and made true for another one.

Entries are copied as bytes, known or not, so that nothing is lost on the way; what described the old file's samples
(strips, thumbnail, size, orientation) is dropped or put right. Maker notes stay at the very place where they were,
because their makers count offsets from the beginning of the whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

from upimagine.pixels import tables
from upimagine.pixels.tables import ITEM_BYTES, LONG, RATIONAL, SHORT, Entry, Layout, Order, Reader, Table

MOST_BYTES = tables.MOST_BYTES
"""An EXIF block of more bytes than this is dropped."""

HEADING = b"Exif\0\0"
"""Stands before the block in a JPEG, and nowhere else."""

DESCRIPTION = 270
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 283, 296
_EXIF_TABLE, _GPS_TABLE, _INTEROPERABILITY_TABLE = 34665, 34853, 40965
_MAKER_NOTE, _COLOUR_SPACE, _WIDTH, _HEIGHT = 37500, 40961, 40962, 40963
_INCH = 2
# Tags that say how samples lie in the file they stand in, point into it, or hold another kind of metadata. The table
# of the thumbnail follows the main one, and is never read.
_STRUCTURE = frozenset(
    [*range(254, 260), 262, *range(263, 267), 273, *range(277, 282), 284, *range(288, 294), 297, 301]
)
_STRUCTURE |= {*range(317, 348), *range(512, 522), *range(529, 533), 700, 33723, 34377, 34675, 37724}
_STRUCTURE |= {*range(50706, 51200)}  # raw photographs in DNG
_POINTERS = frozenset([_EXIF_TABLE, _GPS_TABLE, _INTEROPERABILITY_TABLE])


@dataclass(frozen=True)
class Exif:
    """The tables of one EXIF block."""

    order: Order
    main: Table
    camera: Table
    place: Table


def parse(source: bytes | BinaryIO) -> Exif | None:
    """Read an EXIF block, with or without JPEG's heading, or a whole TIFF or BigTIFF file.

    Single values that are damaged are passed over. None where there is no EXIF, its tables are damaged, or it has more
    than 1 MiB.
    """
    if isinstance(source, bytes) and len(source) > MOST_BYTES:
        return None
    try:
        reader = Reader(BytesIO(source.removeprefix(HEADING)) if isinstance(source, bytes) else source)
        rows = {tag: row for tag, row in reader.rows(reader.first).items() if tag not in _STRUCTURE}
        below = {tag: reader.rows(reader.pointer(rows[tag])) for tag in (_EXIF_TABLE, _GPS_TABLE) if tag in rows}
        main, camera, place = (
            reader.table({tag: row for tag, row in table.items() if tag not in _POINTERS})
            for table in (rows, below.get(_EXIF_TABLE, {}), below.get(_GPS_TABLE, {}))
        )
    except (KeyError, OSError, OverflowError, ValueError, struct.error):
        return None
    return Exif(reader.order, main, camera, place) if main or camera or place else None


def adjusted(exif: Exif, height: int, width: int, dpi: float, srgb: bool) -> Exif:
    """Make EXIF true for an upright picture of this size, resolution and colour space."""

    def number(value: int, kind: int = SHORT) -> Entry:
        return Entry(kind, 1, struct.pack(exif.order + ("H" if kind == SHORT else "I"), value))

    resolution = Entry(RATIONAL, 1, struct.pack(exif.order + "II", round(dpi * 100), 100))
    main = {_X_RESOLUTION: resolution, _Y_RESOLUTION: resolution, _RESOLUTION_UNIT: number(_INCH)}
    camera = {_WIDTH: number(width, LONG), _HEIGHT: number(height, LONG), _COLOUR_SPACE: number(1 if srgb else 0xFFFF)}
    return replace(
        exif,
        main=exif.main | main | {_ORIENTATION: number(1)},
        camera=exif.camera | {tag: entry for tag, entry in camera.items() if tag in exif.camera},
    )


def to_bytes(exif: Exif) -> bytes:
    """Lay the tables into one block that begins with a TIFF header, without JPEG's heading."""
    head = struct.pack(exif.order + "2sH", b"II" if exif.order == "<" else b"MM", 42)
    note = exif.camera.get(_MAKER_NOTE)
    pinned = note if note is not None and 8 <= note.at <= MOST_BYTES else None
    layout = Layout(exif.order, False, 8, pinned)
    start = place(exif, layout, {})
    return head + struct.pack(exif.order + "I", start) + layout.content()


def place(exif: Exif, layout: Layout, ready_rows: dict[int, bytes]) -> int:
    """Place all tables; `ready_rows` go before the main table's own entries. Gives the main table's offset."""
    main = {tag: entry for tag, entry in exif.main.items() if tag not in ready_rows}
    for tag, table in ((_EXIF_TABLE, exif.camera), (_GPS_TABLE, exif.place)):
        if table and tag not in ready_rows:
            main[tag] = layout.pointer(layout.table(table, {}))
    return layout.table(main, ready_rows)


def without_maker_note(exif: Exif) -> Exif:
    """Drop the longest entry there is, which few but its maker can read."""
    return replace(exif, camera={tag: entry for tag, entry in exif.camera.items() if tag != _MAKER_NOTE})


def without_description(exif: Exif, text: str) -> Exif | None:
    """Drop the description if it is this very text; None if nothing is left."""
    said = exif.main.get(DESCRIPTION)
    if said is None or said.data.rstrip(b"\0") != text.encode():
        return exif
    main = {tag: entry for tag, entry in exif.main.items() if tag != DESCRIPTION}
    return replace(exif, main=main) if main or exif.camera or exif.place else None


def reordered(exif: Exif, order: Order) -> Exif:
    """Turn the numbers to another byte order."""
    if order == exif.order:
        return exif

    def turned(table: Table) -> Table:
        return {tag: replace(entry, data=_swapped(entry)) for tag, entry in table.items()}

    return Exif(order, turned(exif.main), turned(exif.camera), turned(exif.place))


def _swapped(entry: Entry) -> bytes:
    item_bytes = 4 if entry.kind in (5, 10) else ITEM_BYTES[entry.kind]  # fractions are two numbers
    numbers = (entry.data[start : start + item_bytes] for start in range(0, len(entry.data), item_bytes))
    return b"".join(number[::-1] for number in numbers)
