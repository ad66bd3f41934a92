"""A print that arrives row by row and is never all in memory."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.pixels import atomic, notes
from upimagine.pixels.encoding import store
from upimagine.pixels.formats import Encoding, plan
from upimagine.pixels.samples import to_samples


def check_room(
    path: Path, height: int, width: int, *, alpha: bool, bit_depth: int, dpi: float | None, there_bytes: int = 0
) -> None:
    """Raise UpimagineError, before any work, where a picture is too large for its format or for the disk.

    there_bytes: of its rows that are on the disk already.
    """
    plan(path, height, width, bit_depth, alpha, dpi)
    needed_bytes = height * width * (4 if alpha else 3) * bit_depth // 8 - there_bytes
    free_bytes = shutil.disk_usage(path.parent).free
    if free_bytes < needed_bytes:
        raise UpimagineError(
            f"{path}: the disk is too full, {needed_bytes / 1e6:,.0f} MB are needed and {free_bytes / 1e6:,.0f} MB "
            "free; free some space or write to another disk"
        )


class Canvas:
    """Collects rows from top to bottom, then writes the same file `write` would.

    Rows wait as final samples in a nameless file beside the output (6 bytes a pixel at 16 bits, 8 with alpha), which
    the system removes even if the process is killed. `commit` encodes them into place; leaving the ``with`` block
    before that, by an exception or not, leaves nothing behind.

    Raises:
        PictureError: the format cannot hold such a picture, a pixel is NaN or infinite.
        UpimagineError: the output exists, or its disk has no room for the rows.
    """

    def __init__(
        self,
        path: str | Path,
        height: int,
        width: int,
        *,
        alpha: bool = False,
        bit_depth: int = 16,
        dpi: float | None = None,
        recipe: str | None = None,
        exif: bytes | None = None,
        xmp: bytes | None = None,
        overwrite: bool = False,
        quality: int | None = None,
        encoding: Encoding | None = None,
        spool: Path | None = None,
        keep_rows: int = 0,
    ) -> None:
        """Check that the output can be written and open the spool; arguments as for `write`.

        `alpha` says whether rows of transparency will come with the colours. With a `spool` rows wait in a file of that
        name, which outlives a process that was killed: another canvas of the same make may keep its first `keep_rows`.
        Whoever named it removes it.
        """
        self.path = Path(path)
        self.height, self.width = height, width
        self.rows_written = 0
        self._channels = 4 if alpha else 3
        self._kind = plan(self.path, height, width, bit_depth, alpha, dpi)
        self._bit_depth, self._dpi, self._recipe = bit_depth, dpi, recipe
        self._exif, self._xmp, self._overwrite = exif, xmp, overwrite
        self._encoding = encoding or Encoding()
        if quality is not None:
            self._encoding = replace(self._encoding, quality=quality)
        if recipe is not None:
            notes.check(recipe)
        atomic.claim(self.path, overwrite)
        there_bytes = spool.stat().st_size if spool is not None and spool.exists() else 0
        check_room(self.path, height, width, alpha=alpha, bit_depth=bit_depth, dpi=dpi, there_bytes=there_bytes)
        try:
            self._spool = self._open(spool, keep_rows)
        except OSError as error:
            raise atomic.trouble(error, self.path) from error

    def _open(self, spool: Path | None, keep_rows: int) -> IO[bytes]:
        if spool is None:
            return tempfile.TemporaryFile(dir=self.path.parent)
        kept_bytes = keep_rows * self.width * self._channels * self._bit_depth // 8
        file = os.fdopen(os.open(spool, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+b")
        if not atomic.lock(file):
            file.close()
            raise UpimagineError(f"{self.path} is being made by another process; wait for it, or use another name")
        if file.seek(0, os.SEEK_END) < kept_bytes:
            file.close()
            raise UpimagineError(f"{spool} is shorter than it was; remove it to begin anew")
        file.truncate(kept_bytes)
        file.seek(kept_bytes)
        self.rows_written = keep_rows
        return file

    def sync(self) -> int:
        """Bring all rows so far to the disk; gives back how many there are."""
        try:
            self._spool.flush()
            os.fsync(self._spool.fileno())
        except OSError as error:
            raise atomic.trouble(error, self.path) from error
        return self.rows_written

    def write_rows(self, rows: Tensor, alpha: Tensor | None = None) -> None:
        """Add the next rows below those already there: (3, h, W) in [-1, 1], sRGB-encoded, clamped.

        `alpha` is (1, h, W) in [0, 1], clamped, on a canvas that was opened for it. The file's bytes do not depend on
        how many rows come at a time.

        Raises:
            PictureError: a pixel is NaN or infinite.
            UpimagineError: the disk filled up.
            ValueError: another width, more rows than the canvas has, or alpha where none was declared, or none.
        """
        if rows.ndim != 3 or rows.shape[0] != 3 or rows.shape[2] != self.width:
            raise ValueError(f"rows of this canvas are (3, h, {self.width}), not {tuple(rows.shape)}")
        if self.rows_written + rows.shape[1] > self.height:
            raise ValueError(f"row {self.rows_written + rows.shape[1]} of a canvas of {self.height} rows")
        if (alpha is not None) != (self._channels == 4):
            raise ValueError("alpha rows come with every strip of a canvas opened with alpha=True, and with no other")
        if alpha is not None and alpha.shape != (1, *rows.shape[1:]):
            raise ValueError(f"alpha of these rows is (1, {rows.shape[1]}, {self.width}), not {tuple(alpha.shape)}")
        if rows.shape[1] == 0:
            return
        samples = to_samples(rows, alpha, self._bit_depth, self.path, self._encoding, self.rows_written)
        try:
            self._spool.write(samples.data.cast("B"))
        except OSError as error:
            raise atomic.trouble(error, self.path) from error
        self.rows_written += rows.shape[1]

    def commit(self, recipe: str | None = None) -> None:
        """Encode all rows and put the finished file in its place; the canvas is closed then.

        `recipe` takes the place of the one given at the start, for what is known only when all rows are made.

        Raises:
            UpimagineError: the disk filled up, or the output came to exist meanwhile.
            ValueError: rows are missing.
        """
        if recipe is not None:
            notes.check(recipe)
            self._recipe = recipe
        if self.rows_written != self.height:
            raise ValueError(f"canvas has {self.rows_written} of {self.height} rows")
        try:
            try:
                self._spool.flush()
            except OSError as error:
                raise atomic.trouble(error, self.path) from error
            mapped = mmap.mmap(self._spool.fileno(), 0, access=mmap.ACCESS_READ)
            samples = np.frombuffer(mapped, np.uint8 if self._bit_depth == 8 else np.uint16)
            store(
                samples.reshape(self.height, self.width, self._channels),
                self.path,
                self._kind,
                self._encoding,
                dpi=self._dpi,
                recipe=self._recipe,
                exif_block=self._exif,
                xmp=self._xmp,
                overwrite=self._overwrite,
                let_go=partial(_give_back, mapped),
            )
        finally:
            self.close()

    def close(self) -> None:
        """Drop what was not committed. May be called twice."""
        # On a full disk closing tries once more to flush rows that nobody wants now.
        with contextlib.suppress(OSError):
            self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _give_back(mapped: mmap.mmap) -> None:
    """Let the system take back the pages of the spool that were read, which would count as ours otherwise."""
    if hasattr(mapped, "madvise"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)
