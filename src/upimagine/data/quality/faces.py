"""Faces: how many there are, how far the largest is turned, how sure the finder is of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


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

FACE_COUNT = "faces"
"""The measure that tells whether faces were looked for at all."""

_NOSE_TIP = 30
_EYES = (slice(36, 42), slice(42, 48))
_TEMPLES = (slice(0, 3), slice(14, 17))  # the ends of the jaw line


def face_scores(faces: Sequence[FoundFace]) -> dict[str, float | None]:
    """`faces`, their number, and of the largest `turn` and `face_score`, None where there is no face."""
    return {
        FACE_COUNT: float(len(faces)),
        "turn": turn(faces[0].points68) if faces else None,
        "face_score": float(faces[0].score) if faces else None,
    }


def turn(points68: NDArray[np.float32]) -> float:
    """How far a face looks aside: 0 straight ahead, 1 where the tip of the nose stands over one end of the jaw.

    Along the line of the eyes, the difference of the nose's distances to both ends of the jaw, for their sum. 0.5
    is a turn of about 17 degrees, 0.9 one of about 30.
    """
    eyes = points68[_EYES[1]].mean(axis=0) - points68[_EYES[0]].mean(axis=0)
    along = points68 @ (eyes / max(float(np.linalg.norm(eyes)), 1e-6))
    right, left = along[_TEMPLES[0]].mean(), along[_TEMPLES[1]].mean()
    width = max(float(left - right), 1e-6)
    return min(abs(float(left + right - 2 * along[_NOSE_TIP])) / width, 2.0)
