"""The tables of TIFF 6.0 and BigTIFF, in which EXIF keeps its entries: read with distrust, laid out anew."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

MOST_BYTES = 1 << 20
"""Tables whose values need more than this are refused; a JPEG holds 64 kB of them, a camera writes a few."""

Order = Literal["<", ">"]
SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_POINTER_BYTES = {LONG: 4, 13: 4, LONG8: 8, 18: 8}
_MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Entry:
    """One tag's value: its TIFF type, the number of items, and their bytes in the order of their file."""

    kind: int
    count: int
    data: bytes
    at: int = 0
    """Where the bytes stood in the file, 0 for those within the table."""


Table = dict[int, Entry]
"""Entries by tag."""


class Reader:
    """Reads tables at any offset of a file or block.

    Raises:
        KeyError, OSError, OverflowError, struct.error, ValueError: the file is damaged, or no such file at all.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head = self._bytes(0, 16)
        self.order: Order = "<" if {b"II": True, b"MM": False}[head[:2]] else ">"
        self.big = {42: False, 43: True}[struct.unpack(self.order + "H", head[2:4])[0]]
        self.offset = self.order + ("Q" if self.big else "I")
        self.first: int = struct.unpack_from(self.offset, head, 8 if self.big else 4)[0]
        self._room_bytes = MOST_BYTES

    def rows(self, at: int) -> dict[int, bytes]:
        """Read a table's rows as they are, by tag."""
        count_bytes, row_bytes = (8, 20) if self.big else (2, 12)
        (count,) = struct.unpack(self.order + ("Q" if self.big else "H"), self._bytes(at, count_bytes))
        if not 1 <= count <= _MOST_ENTRIES:
            raise ValueError("a table of no size")
        table = self._bytes(at + count_bytes, count * row_bytes)
        if len(table) < count * row_bytes:
            raise ValueError("a table cut short")
        rows = (table[start : start + row_bytes] for start in range(0, len(table), row_bytes))
        return {struct.unpack_from(self.order + "H", row)[0]: row for row in rows}

    def table(self, rows: dict[int, bytes]) -> Table:
        """Look up the values; those of unknown type, or beyond the file's end, are passed over."""
        table: Table = {}
        for tag, row in rows.items():
            kind, count, value, place = self._row(row)
            size = count * ITEM_BYTES.get(kind, 0)
            if size == 0:
                continue
            if size <= len(value):
                table[tag] = Entry(kind, count, value[:size])
                continue
            self._room_bytes -= size
            if self._room_bytes < 0:
                raise ValueError("more values than any camera writes")
            value = self._bytes(place, size)
            if len(value) == size:
                table[tag] = Entry(kind, count, value, place)
        return table

    def pointer(self, row: bytes) -> int:
        """Read a row whose value is another table's offset."""
        kind, _, value, _ = self._row(row)
        return int.from_bytes(value[: _POINTER_BYTES[kind]], "little" if self.order == "<" else "big")

    def _row(self, row: bytes) -> tuple[int, int, bytes, int]:
        """Split a row: type, items, the value's bytes if they fit there, and their offset if they do not."""
        _, kind, count, place = struct.unpack(self.order + "HH" + self.offset[1] * 2, row)
        return kind, count, row[-struct.calcsize(self.offset) :], place

    def _bytes(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)


class Layout:
    """Places values and tables one behind the other, from an offset on.

    One value, `pinned`, may keep the offset where it stood: the others are placed before and behind it.
    """

    def __init__(self, order: Order, big: bool, start: int, pinned: Entry | None = None) -> None:
        self._order, self._start, self._pinned = order, start, pinned
        self._offset, self._count = (order + "Q", order + "Q") if big else (order + "I", order + "H")
        self._inline_bytes = struct.calcsize(self._offset)
        self._out = bytearray()

    def table(self, entries: Table, ready_rows: dict[int, bytes]) -> int:
        """Place a table of entries and of rows that are finished, and give its offset."""
        rows = {tag: self._row(tag, entry) for tag, entry in entries.items()} | ready_rows
        table = struct.pack(self._count, len(rows)) + b"".join(row for _, row in sorted(rows.items()))
        return self._place(table + bytes(self._inline_bytes))  # no other table follows

    def pointer(self, at: int) -> Entry:
        """Make the value that leads to a table."""
        return Entry(LONG8 if self._inline_bytes == 8 else LONG, 1, struct.pack(self._offset, at))

    def content(self) -> bytes:
        """Give all that was placed, to be written at the start."""
        out = bytearray(self._out)
        if self._pinned is not None:
            at = self._pinned.at - self._start
            out.extend(bytes(max(0, at + len(self._pinned.data) - len(out))))
            out[at : at + len(self._pinned.data)] = self._pinned.data
        return bytes(out)

    def _row(self, tag: int, entry: Entry) -> bytes:
        head = struct.pack(self._order + "HH" + self._offset[1], tag, entry.kind, entry.count)
        if len(entry.data) <= self._inline_bytes:
            return head + entry.data.ljust(self._inline_bytes, b"\0")
        return head + struct.pack(self._offset, entry.at if entry is self._pinned else self._place(entry.data))

    def _place(self, data: bytes) -> int:
        at = self._start + len(self._out)
        at += at % 2  # TIFF wants even offsets
        if self._pinned is not None:
            end = self._pinned.at + len(self._pinned.data)
            if at < end and at + len(data) > self._pinned.at:
                at = end + end % 2
        self._out.extend(bytes(at - self._start - len(self._out)))
        self._out.extend(data)
        return at
