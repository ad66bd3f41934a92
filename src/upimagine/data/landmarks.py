"""Faces with their landmarks: what a finder gives, and what the catalog keeps."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from upimagine.data.catalog import Catalog

_STORED = np.dtype("<f4")
_COLUMNS = "points68, score, features, y0, x0, y1, x1"


class FoundFace(Protocol):
    """A face as a finder gives it, in pixels of the picture it was shown."""

    @property
    def points68(self) -> NDArray[np.float32]:
        """(68, 2) as (y, x), in the iBUG 300-W order."""
        ...

    @property
    def score(self) -> float:
        """How sure the finder is; larger is surer."""
        ...

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(y0, x0, y1, x1)."""
        ...


FaceFinder = Callable[[Tensor], Sequence[FoundFace]]
"""(3, H, W) in [-1, 1] to its faces, largest first; called from several threads."""


@dataclass(frozen=True)
class Landmarks:
    """A face in pixels of its upright picture, as the catalog keeps it; it is itself a `FoundFace`."""

    points68: NDArray[np.float32]
    score: float
    box: tuple[float, float, float, float]
    features: float | None = None
    """How clearly eyes and mouth are seen, as `quality.faces.features` says."""


def located(face: FoundFace, shown_px: tuple[int, ...], size_px: tuple[int, int], features: float | None) -> Landmarks:
    """A face found in a reduced picture, both (height, width), where it stands in the whole one."""
    y, x = size_px[0] / shown_px[0], size_px[1] / shown_px[1]
    y0, x0, y1, x1 = face.box
    points = face.points68 * np.array([y, x], np.float32)
    return Landmarks(points.astype(np.float32), float(face.score), (y0 * y, x0 * x, y1 * y, x1 * x), features)


def keep_faces(catalog: Catalog, picture: int, faces: Sequence[Landmarks]) -> None:
    """Write a picture's faces in place of those it had. Only inside `writing`."""
    catalog.connection.execute("DELETE FROM faces WHERE picture = ?", (picture,))
    catalog.connection.executemany(
        f"INSERT INTO faces ({_COLUMNS}, picture, number, writer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (_stored(face.points68), face.score, face.features, *face.box, picture, number, catalog.writer())
            for number, face in enumerate(faces, start=1)
        ],
    )


def faces_of(connection: sqlite3.Connection, sha256: bytes) -> list[Landmarks]:
    """A picture's faces, largest first; none where it is unknown or faces were not looked for."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM faces JOIN pictures ON pictures.id = faces.picture
        WHERE sha256 = ? ORDER BY number""",
        (sha256,),
    )
    return [
        Landmarks(np.frombuffer(points, _STORED).reshape(68, 2).astype(np.float32), score, (y0, x0, y1, x1), clear)
        for points, score, clear, y0, x0, y1, x1 in rows
    ]


def _stored(points68: NDArray[np.float32]) -> bytes:
    return points68.astype(_STORED).tobytes()
