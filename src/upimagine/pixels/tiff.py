"""TIFF with deflate, its strips or tiles compressed on all cores.

libvips compresses them one after another, and so the end of a print took longer than all its blending. ISA-L's deflate
makes files of the same size five times as fast on one core.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

_LEVEL = 1  # of ISA-L's 0 to 3: 2 and 3 make a noisy print no smaller
_XMP, _BYTE = 700, 1

Samples = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Said:
    """What the file says of the picture."""

    icc: bytes
    dpi: float
    description: str | None = None
    xmp: bytes | None = None


def write_deflated(
    file: BinaryIO,
    samples: Samples,
    said: Said,
    *,
    tile_px: int | None,
    rows_a_strip: int,
    big: bool,
    let_go: Callable[[], None] | None = None,
) -> None:
    """Write (H, W, 3 or 4) samples, uint8 or uint16, as a TIFF of one page with deflate and horizontal differences.

    `tile_px` lays them in square tiles of that side, None in strips of `rows_a_strip` rows. `samples` are read once
    from top to bottom; `let_go` is called after each strip or row of tiles.

    Raises:
        OSError: the file could not be written.
    """
    import tifffile

    height, width, channels = samples.shape
    layout: dict[str, Any] = {"rowsperstrip": rows_a_strip} if tile_px is None else {"tile": (tile_px, tile_px)}
    extra = [] if said.xmp is None else [(_XMP, _BYTE, len(said.xmp), said.xmp, True)]
    pieces = _strips(samples, rows_a_strip, let_go) if tile_px is None else _tiles(samples, tile_px, let_go)
    with tifffile.TiffWriter(file, bigtiff=big, byteorder="<") as writer:
        writer.write(
            _compressed(pieces),
            shape=(height, width, channels),
            dtype=samples.dtype,
            photometric="rgb",
            extrasamples=["unassalpha"] if channels == 4 else None,
            compression="adobe_deflate",
            predictor=2,
            resolution=(said.dpi, said.dpi),
            resolutionunit="inch",
            iccprofile=said.icc,
            description=None if said.description is None else said.description.encode(),
            extratags=extra,
            metadata=None,
            software=False,
            **layout,
        )


def _strips(samples: Samples, rows: int, let_go: Callable[[], None] | None) -> Iterator[Samples]:
    for top in range(0, len(samples), rows):
        yield np.array(samples[top : top + rows])  # a copy, as the pages it lies in may be given back
        if let_go is not None:
            let_go()


def _tiles(samples: Samples, side: int, let_go: Callable[[], None] | None) -> Iterator[Samples]:
    """Tiles row by row; those at the edges are filled up with their last pixels."""
    height, width, _ = samples.shape
    for top in range(0, height, side):
        band = np.array(samples[top : top + side])
        if let_go is not None:
            let_go()
        band = np.pad(band, ((0, side - len(band)), (0, -width % side), (0, 0)), mode="edge")
        for left in range(0, width, side):
            yield band[:, left : left + side]


def _compressed(pieces: Iterator[Samples]) -> Iterator[bytes]:
    """Each piece as deflated differences, in order, compressed a few pieces ahead on all cores."""
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores, thread_name_prefix="deflate") as pool:
        ahead: deque[Future[bytes]] = deque()
        for piece in pieces:
            ahead.append(pool.submit(_deflated, piece))
            if len(ahead) > 2 * cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _deflated(piece: Samples) -> bytes:
    """Each pixel less the one to its left, modulo the range, then deflate in zlib's envelope."""
    from isal import isal_zlib

    differences = piece.astype(piece.dtype.newbyteorder("<"))
    differences[:, 1:] -= piece[:, :-1]
    packed: bytes = isal_zlib.compress(differences.tobytes(), _LEVEL)
    return packed
