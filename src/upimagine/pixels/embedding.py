"""Where each file format keeps an EXIF block: bytes slipped in while it is written, or added when it is done.

libvips would read EXIF with libexif and write it anew, without what that does not know, with moved maker notes, and
for TIFF not at all. It is therefore asked to write none.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import BinaryIO

from upimagine.pixels.exif import HEADING, Exif, place, reordered, to_bytes, without_maker_note
from upimagine.pixels.tables import Layout, Reader

_JPEG_SEGMENT_BYTES = 65_533  # the length counts its own two bytes
_WEBP_HAS_EXIF = 0x08
_WEBP_FLAGS_AT = 20  # RIFF head 12, then the head of VP8X 8


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Build a chunk of a PNG: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpeg_segment(exif: Exif) -> bytes:
    """Build a JPEG's APP1; without the maker notes where they leave no room, and empty where nothing helps."""
    for said in (exif, without_maker_note(exif)):
        content = HEADING + to_bytes(said)
        if len(content) <= _JPEG_SEGMENT_BYTES:
            return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return b""


def add_to_webp(file: BinaryIO, exif: Exif) -> None:
    """Append a chunk to a finished WebP that has an extended head, which a colour profile sees to.

    Raises:
        OSError: the file could not be written.
        ValueError: there is no extended head.
    """
    file.seek(12)
    head = file.read(9)
    if head[:4] != b"VP8X":
        raise ValueError("a WebP without an extended head")
    content = to_bytes(exif)
    end = file.seek(0, os.SEEK_END)
    file.write(b"EXIF" + struct.pack("<I", len(content)) + content + bytes(len(content) % 2))
    end = file.tell()
    file.seek(4)
    file.write(struct.pack("<I", end - 8))
    file.seek(_WEBP_FLAGS_AT)
    file.write(bytes([head[8] | _WEBP_HAS_EXIF]))


def add_to_tiff(file: BinaryIO, exif: Exif) -> None:
    """Append tables to a finished TIFF or BigTIFF of one page: its own entries rule, EXIF says the rest.

    The main table is laid out anew at the end of the file and the head pointed to it; the old one stays as a few
    hundred bytes that nothing refers to.

    Raises:
        OSError: the file could not be written.
    """
    reader = Reader(file)
    start = file.seek(0, os.SEEK_END)
    layout = Layout(reader.order, reader.big, start)
    first = place(reordered(exif, reader.order), layout, reader.rows(reader.first))
    file.seek(start)
    file.write(layout.content())
    file.seek(8 if reader.big else 4)
    file.write(struct.pack(reader.offset, first))
