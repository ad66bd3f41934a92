"""What a found face is, and the eight-bit picture every finder looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from upimagine.errors import PictureError

Points = NDArray[np.float32]
"""(P, 2) points as (y, x) in pixels. The picture spans [0, H] x [0, W]; the first pixel's centre is (0.5, 0.5), so
points scale with the picture by plain multiplication and mirror by ``W - x``."""

Rgb8 = NDArray[np.uint8]
"""(H, W, 3) RGB, sRGB-encoded, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face, in pixels of the picture it was found in."""

    points68: Points
    """(68, 2) float32 (y, x) in the iBUG order; may lie outside the picture where the face does."""
    score: float
    """How sure the finder is; larger is surer. 0 to 1 for MediaPipe, an open scale around 1 for dlib."""
    box: tuple[float, float, float, float]
    """(y0, x0, y1, x1), tight around everything the finder located."""

    @property
    def size_px(self) -> float:
        """Longer side of the box."""
        y0, x0, y1, x1 = self.box
        return max(y1 - y0, x1 - x0)


def rgb8(picture: Tensor) -> Rgb8:
    """(3, H, W) or (1, 3, H, W) in [-1, 1] to (H, W, 3) uint8.

    Raises:
        PictureError: the tensor is no single RGB picture.
    """
    if picture.ndim == 4 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim != 3 or picture.shape[0] != 3 or 0 in picture.shape:
        raise PictureError(
            f"face finding takes one RGB picture (3, H, W), got {tuple(picture.shape)}: pass pictures one by one"
        )
    levels = picture.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy().astype(np.uint8))
