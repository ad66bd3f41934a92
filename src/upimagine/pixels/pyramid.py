"""A picture as a pyramid of tiles that deep-zoom viewers open: NAME.dzi and the folder NAME_files, or neither."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyvips

from upimagine.errors import PictureError, UpimagineError
from upimagine.pixels import atomic
from upimagine.pixels.formats import Encoding
from upimagine.pixels.sink import aside
from upimagine.pixels.tiles import NEW, NEW_LEVELS, OLD, OLD_LEVELS, RECIPE, claim_folder, tiles_folder
from upimagine.pixels.vips import reason, refusal

_QUALITY = 90
_TILE_PX, _OVERLAP_PX = 254, 1  # what viewers and servers take for granted


def build(image: pyvips.Image, path: Path, encoding: Encoding, recipe: str | None, overwrite: bool) -> None:
    """Cut an image with its profile into tiles, in a hidden folder beside `path`, and move all into place at the end.

    The folder of tiles gets its name first and the .dzi last: what can be opened is whole. Tiles carry a profile
    where they are not sRGB, and no other metadata; resolution, EXIF and XMP have no place in a pyramid. The recipe
    lies beside the levels.

    Raises:
        PictureError: libvips refuses.
        UpimagineError: the output exists, or cannot be written (full disk, no permission).
    """
    path = atomic.claim(path, overwrite)
    target = atomic.final(path)
    hidden = atomic.unfinished_beside(target)
    quality = encoding.quality or _QUALITY
    suffix = ".png" if encoding.tiles == "png" else f".jpg[Q={quality},subsample_mode=off,optimize_coding]"
    held: int | None = None
    try:
        hidden.mkdir()
        if os.name == "posix":  # elsewhere a folder cannot be opened, and nobody sweeps
            held = os.open(hidden, os.O_RDONLY)
            atomic.lock(held)
        aside(
            image,
            lambda: image.dzsave(
                str(hidden / NEW.removesuffix(".dzi")),
                suffix=suffix,
                tile_size=_TILE_PX,
                overlap=_OVERLAP_PX,
                keep="none" if encoding.space == "srgb" else "icc",
            ),
        )
        levels = hidden / NEW_LEVELS
        (levels / "vips-properties.xml").unlink(missing_ok=True)  # says again what the .dzi says
        if recipe is not None:
            (levels / RECIPE).write_bytes(recipe.encode())
        _check_whole(levels, image.height, image.width, path)
        if hasattr(os, "sync"):
            os.sync()  # one call; thousands of small files synced one by one take minutes
        _settle(hidden, target, path, overwrite)
    except pyvips.Error as error:
        refused = refusal(error)
        if refused is not None:
            raise atomic.trouble(refused, path) from error
        raise PictureError(f"{path}: cannot be encoded ({reason(error)})") from error
    except OSError as error:
        raise atomic.trouble(error, path) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if held is not None:
            os.close(held)


def _check_whole(levels: Path, height: int, width: int, path: Path) -> None:
    """Count the tiles: a writer that passes over one that the disk refused must not go unnoticed."""
    level = max(height, width, 1).bit_length() - (max(height, width).bit_count() == 1)
    while level >= 0:
        wanted = -(-width // _TILE_PX) * -(-height // _TILE_PX)
        found = sum(entry.stat().st_size > 0 for entry in os.scandir(levels / str(level)))
        if found != wanted:
            raise UpimagineError(f"{path}: {wanted - found} tiles are missing; free some space and try again")
        height, width, level = -(-height // 2), -(-width // 2), level - 1


def _settle(hidden: Path, target: Path, path: Path, overwrite: bool) -> None:
    """Give both their names; what stood there waits in the hidden folder until that has worked."""
    folder, old, old_levels = tiles_folder(target), hidden / OLD, hidden / OLD_LEVELS
    claim_folder(target, overwrite)
    if target.exists() and not overwrite:  # came to be while the tiles were made
        raise UpimagineError(f"{path} exists; add --overwrite to replace it")
    try:
        if target.exists():
            target.rename(old)
        if folder.exists():
            folder.rename(old_levels)
        (hidden / NEW_LEVELS).rename(folder)
        (hidden / NEW).rename(target)
        atomic.sync_folder(target.parent)
    except BaseException:
        if old_levels.exists():
            shutil.rmtree(folder, ignore_errors=True)
            old_levels.rename(folder)
        if old.exists():
            old.rename(target)
        raise
