"""Pictures of a catalog as rows of numbers to learn a taste from: how they look, and what was measured of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from upimagine import pixels
from upimagine.choose.features import picture_features
from upimagine.choose.logistic import Reals
from upimagine.data.catalog import Catalog
from upimagine.data.folder import to_uint8
from upimagine.data.look import MOST_PIXELS
from upimagine.errors import PictureError

VERSION = 1
"""Of the features as they are stored; others are made anew."""
TASTE = "taste"
"""The score that is learned, and so never learned from."""
_SIDE_PX = 128
_AXES, _SAMPLE = 48, 4000
_BATCH, _AHEAD = 200, 4

Watch = Callable[[str, int, int], None]


def fill_features(catalog: Catalog, threads: int = 0, watch: Watch = lambda what, done, total: None) -> list[str]:
    """Look at all pictures that are there and have no features yet; called again after a kill, it goes on.

    Gives back one line for each that cannot be read. Features are `picture_features` of the picture at 128 px square,
    stored as float16.
    """
    waiting = catalog.connection.execute(
        """SELECT picture, min(path) FROM places WHERE vanished IS NULL AND picture IS NOT NULL
        AND picture NOT IN (SELECT picture FROM features WHERE version = ?) GROUP BY picture ORDER BY min(path)""",
        (VERSION,),
    ).fetchall()
    troubles: list[str] = []
    batch: list[tuple[int, int, bytes]] = []
    for done, (picture, found) in enumerate(_looked_at(waiting, threads), 1):
        if isinstance(found, bytes):
            batch.append((picture, VERSION, found))
        else:
            troubles.append(str(found))
        if len(batch) == _BATCH or done == len(waiting):
            with catalog.writing() as connection:
                connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", batch)
            batch = []
        watch("looking", done, len(waiting))
    return troubles


def picture_rows(catalog: Catalog) -> tuple[list[int], Reals]:
    """Numbers of all pictures with features, and their rows (N, D).

    First their places along the 48 main axes of the features (of at most 4000 of them), in units of the first axis's
    spread, so that fine differences weigh less; then half the robust z-score of every measure, 0 where there is none.
    """
    found = catalog.connection.execute(
        "SELECT picture, vector FROM features WHERE version = ? ORDER BY picture", (VERSION,)
    ).fetchall()
    numbers = [picture for picture, _ in found]
    if not found:
        return numbers, np.empty((0, 0))
    vectors = np.stack([np.frombuffer(vector, np.float16) for _, vector in found])
    return numbers, np.column_stack([along_axes(vectors), 0.5 * _measures(catalog, numbers)])


def _looked_at(waiting: Sequence[tuple[int, str]], threads: int) -> Iterator[tuple[int, bytes | PictureError]]:
    """Features in the order asked for, some threads ahead."""
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    jobs: deque[tuple[int, Future[bytes | PictureError]]] = deque()
    try:
        for picture, path in waiting:
            jobs.append((picture, pool.submit(_features, Path(path))))
            if len(jobs) > _AHEAD * (threads or os.cpu_count() or 1):
                number, job = jobs.popleft()
                yield number, job.result()
        for number, job in jobs:
            yield number, job.result()
    finally:
        pool.shutdown(cancel_futures=True)


def features_of(picture: Tensor) -> np.ndarray:
    """(3, H, W) in [-1, 1] to (896,) float16: `picture_features` of the picture at 128 px square."""
    rgb = to_uint8(picture).permute(1, 2, 0).numpy()
    square = np.asarray(cv2.resize(rgb, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA))
    seen = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 127.5 - 1
    return np.asarray(picture_features(seen)[0].numpy().astype(np.float16))


def _features(path: Path) -> bytes | PictureError:
    try:
        return features_of(pixels.read(path, max_pixels=MOST_PIXELS, least_px=_SIDE_PX).pixels).tobytes()
    except PictureError as error:
        return error


def along_axes(vectors: np.ndarray) -> Reals:
    """(N, F) to (N, at most 48): principal components, in units of the first one's spread."""
    chosen = np.random.default_rng(0).permutation(len(vectors))[:_SAMPLE]
    sample = vectors[chosen].astype(np.float64)
    middle = sample.mean(0)
    _, spread, axes = np.linalg.svd(sample - middle, full_matrices=False)
    unit = spread[0] / np.sqrt(len(sample)) or 1.0
    axes = axes[:_AXES].T / unit
    # In parts, since 100,000 rows of 896 in float64 would take 700 MB.
    parts: list[Reals] = [(part - middle) @ axes for part in np.array_split(vectors, len(vectors) // 5000 + 1)]
    return np.concatenate(parts)


def _measures(catalog: Catalog, numbers: list[int]) -> Reals:
    """(N, M): (x - median) / (1.4826 MAD), clipped to +-3; measures that are the same for most say nothing."""
    place = {picture: row for row, picture in enumerate(numbers)}
    names = [name for (name,) in catalog.connection.execute("SELECT name FROM measures ORDER BY name") if name != TASTE]
    values = np.full((len(numbers), len(names)), np.nan)
    for column, name in enumerate(names):
        rows = catalog.connection.execute(
            "SELECT picture, value FROM scores JOIN measures ON measures.id = measure WHERE name = ?", (name,)
        )
        for picture, value in rows:
            if picture in place:
                values[place[picture], column] = value
    return np.column_stack([np.empty((len(numbers), 0)), *map(_robust, values.T)])


def _robust(column: Reals) -> Reals:
    known = column[np.isfinite(column)]
    if not len(known):
        return np.zeros(len(column))
    middle = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - middle)) or known.std()
    if not spread > 0:
        return np.zeros(len(column))
    return np.asarray(np.nan_to_num(np.clip((column - middle) / spread, -3, 3)))
