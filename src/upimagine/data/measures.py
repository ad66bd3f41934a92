"""All measures of one picture together."""

from __future__ import annotations

from dataclasses import dataclass

from upimagine.data.landmarks import FaceFinder, Landmarks, located
from upimagine.data.look import Look
from upimagine.data.phash import perceptual_hash
from upimagine.data.quality.blocks import block_step
from upimagine.data.quality.blur import blur
from upimagine.data.quality.colourfulness import colourfulness
from upimagine.data.quality.detail import detail
from upimagine.data.quality.drawing import drawn
from upimagine.data.quality.exposure import clipped, highlights
from upimagine.data.quality.faces import face_scores, features
from upimagine.data.quality.frame import frame
from upimagine.data.quality.halftone import halftone
from upimagine.data.quality.lettering import lettering

VERSION = 2
"""Raised with every change of a measure: catalogued pictures are then measured again by the next scan."""


@dataclass(frozen=True)
class Measured:
    """What the catalog keeps of a picture's content."""

    size_px: tuple[int, int]
    """(height, width), upright."""
    phash: bytes
    scores: dict[str, float | None]
    """Measure to value; None where it says nothing of this picture. Faces are missing where none were looked for."""
    faces: list[Landmarks] | None = None
    """Largest first; None where none were looked for."""


def measure(look: Look, find_faces: FaceFinder | None = None) -> Measured:
    """Run every measure; those of faces only with a finder, which looks at the picture at 512 px at most."""
    small, grey = look.small_rgb, look.small_grey
    scores: dict[str, float | None] = {
        "side_px": float(min(look.size_px)),
        "blur": blur(grey),
        "detail": detail(look.grey),
        "block_step": block_step(look.grey),
        "halftone": halftone(look.grey),
        "drawn": drawn(small, grey),
        "colourfulness": colourfulness(small),
        "clipped": clipped(small),
        "highlights": highlights(grey),
        "frame": frame(small),
        "lettering": lettering(grey),
    }
    faces = None
    if find_faces is not None:
        found = find_faces(look.small_pixels)
        faces = [located(face, small.shape[:2], look.size_px, features(small, face.points68)) for face in found]
        scores |= face_scores(faces)
    return Measured(look.size_px, perceptual_hash(grey), scores, faces)
