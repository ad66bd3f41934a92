"""Share of pictures with a face the landmarker finds: the plainest test of a portrait generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.pixels.resizing import resize_antialiased

FaceFinder = Callable[[Tensor], object | None]
"""(1, 3, H, W) in [-1, 1] to a face, or None where there is none."""


@dataclass(frozen=True)
class FaceShare:
    """How many pictures have a face, and which."""

    found: list[bool]

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return sum(self.found) / len(self.found)


def face_share(pictures: Tensor, *, find: FaceFinder = find_face, size_px: int = 256) -> FaceShare:
    """Look for a face in every picture of (N, 3, H, W) in [-1, 1], brought to `size_px` on its shorter side first.

    The finders were trained on photographs: at 64 or 128 px they miss faces that are there. Raises UpimagineError when
    there are no pictures.
    """
    if len(pictures) == 0:
        raise UpimagineError("no pictures to look for faces in; sample some first")
    height, width = pictures.shape[-2:]
    scale = size_px / min(height, width)
    size = round(height * scale), round(width * scale)
    with torch.inference_mode():
        found = [find(resize_antialiased(picture.cpu(), size)) is not None for picture in torch.split(pictures, 1)]
    return FaceShare(found)
