"""A flat folder of pictures as training data: listed, decoded once, drawn by position."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upimagine.data.catalog import Catalog, is_catalog
from upimagine.data.records import clean_paths
from upimagine.errors import PictureError, UpimagineError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})


def list_pictures(folders: list[Path]) -> list[Path]:
    """Picture files directly inside the given folders, each folder sorted by name; of a catalog, the clean pictures.

    Raises UpimagineError when a folder is missing or holds no picture.
    """
    if not folders:
        raise UpimagineError("no folder of pictures was named; give --data one")
    found: list[Path] = []
    for folder in folders:
        if is_catalog(folder):
            found += _clean(folder)
            continue
        if not folder.is_dir():
            raise UpimagineError(f"{folder} is not a folder; name a folder of pictures")
        here = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
        if not here:
            kinds = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
            raise UpimagineError(f"{folder} holds no pictures ({kinds}); name a folder that does")
        found += here
    return found


def _clean(path: Path) -> list[Path]:
    with Catalog(path) as catalog:
        clean = clean_paths(catalog)
    if not clean:
        raise UpimagineError(f"{path} holds no picture without a flag; move its thresholds with `upimagine prepare`")
    return clean


@dataclass(frozen=True)
class Decoded:
    """Pictures in memory: each (3, H, W) uint8, and the files that could not be read with the reason."""

    pictures: list[Tensor]
    paths: list[Path]
    skipped: list[tuple[Path, str]]


def decode(paths: list[Path], prepare: Callable[[Path], Tensor], threads: int = 2) -> Decoded:
    """Run `prepare` (path to (3, H, W) uint8) over all files; unreadable ones are passed over and named.

    Raises UpimagineError when none can be used.
    """

    def attempt(path: Path) -> Tensor | PictureError:
        try:
            return prepare(path)
        except PictureError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(attempt, paths))
    good = [(picture, path) for picture, path in zip(results, paths, strict=True) if isinstance(picture, Tensor)]
    bad = [(path, str(error)) for error, path in zip(results, paths, strict=True) if isinstance(error, PictureError)]
    if not good:
        raise UpimagineError(f"none of the {len(paths)} pictures could be used; the first: {bad[0][1]}")
    return Decoded([picture for picture, _ in good], [path for _, path in good], bad)


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
