"""Pictures as training data: listed in a folder, decoded once, drawn by position."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upimagine.data.found import Found, Label
from upimagine.errors import PictureError, UpimagineError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})


def list_pictures(folders: list[Path]) -> list[Path]:
    """Picture files directly inside the given folders, each folder sorted by name.

    Raises UpimagineError when a folder is missing or holds no picture.
    """
    if not folders:
        raise UpimagineError("no folder of pictures was named; give --data one")
    found: list[Path] = []
    for folder in folders:
        here = pictures_in(folder)
        if not here:
            raise no_pictures(folder)
        found += here
    return found


def pictures_in(folder: Path) -> list[Path]:
    """Picture files directly inside a folder, sorted by name; maybe none. Raises UpimagineError when it is missing."""
    return [path for path in _entries(folder) if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]


def subfolders(folder: Path) -> list[Path]:
    """Folders directly inside a folder, sorted by name, without hidden ones."""
    return [path for path in _entries(folder) if path.is_dir() and not path.name.startswith(".")]


def no_pictures(where: Path) -> UpimagineError:
    """The complaint about a folder or an archive without pictures."""
    kinds = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
    return UpimagineError(f"{where} holds no pictures ({kinds}); name a folder that does")


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UpimagineError(f"{folder} is not a folder; name a folder of pictures")
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UpimagineError(f"{folder} cannot be read ({(error.strerror or str(error)).lower()})") from error


@dataclass(frozen=True)
class Decoded:
    """Pictures in memory: each (3, H, W) uint8, and the files that could not be read with the reason."""

    pictures: list[Tensor]
    labels: list[Label]  # of the pictures, None where nothing is said
    paths: list[Path]
    skipped: list[tuple[Path, str]]


def decode(found: list[Found], prepare: Callable[[Found], Tensor], threads: int = 2) -> Decoded:
    """Run `prepare` (to (3, H, W) uint8) over all pictures; those that cannot be used are passed over and named.

    Raises UpimagineError when none can be used.
    """

    def attempt(picture: Found) -> Tensor | PictureError:
        try:
            return prepare(picture)
        except PictureError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(attempt, found))
    both = list(zip(results, found, strict=True))
    good = [(pixels, picture) for pixels, picture in both if isinstance(pixels, Tensor)]
    bad = [(picture.path, str(error)) for error, picture in both if isinstance(error, PictureError)]
    if not good:
        raise UpimagineError(f"none of the {len(found)} pictures could be used; the first: {bad[0][1]}")
    pixels, used = [pixels for pixels, _ in good], [picture for _, picture in good]
    return Decoded(pixels, [picture.label for picture in used], [picture.path for picture in used], bad)


def to_uint8(pixels: Tensor) -> Tensor:
    """(…) float in [-1, 1] to uint8, rounded."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_float(pixels: Tensor) -> Tensor:
    """(…) uint8 to float32 in [-1, 1]."""
    return pixels.to(torch.float32) / 127.5 - 1


def drawn_at(position: int, count: int, seed: int) -> tuple[int, np.random.Generator]:
    """Which of `count` pictures stands at this position of an endless shuffled stream, with its own random numbers.

    Every epoch is a fresh permutation. The stream has no state but the position, so that a resumed run reads on
    exactly where the first one stopped, with any number of decoding threads.
    """
    epoch, offset = divmod(position, count)
    order = _permutation(count, seed, epoch)
    return int(order[offset]), np.random.default_rng((seed, 1, position))


_LAST: dict[tuple[int, int, int], np.ndarray] = {}


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    key = (count, seed, epoch)
    order = _LAST.get(key)  # held here, since the preview's thread may clear the table meanwhile
    if order is None:
        if len(_LAST) > 4:
            _LAST.clear()
        _LAST[key] = order = np.random.default_rng((seed, 0, epoch)).permutation(count)
    return order
