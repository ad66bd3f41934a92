"""Flags: which measure each one watches, on which side of which threshold it is raised. Thresholds may be moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Flag:
    """A reason not to train on a picture."""

    measure: str
    side: Literal["above", "below"]
    """Raised where the measure is at the threshold or on this side of it."""
    threshold: float
    """To begin with; from then on the catalog's own counts."""
    meaning: str
    """What the measure says, with its range or unit."""


# Set on planted pictures: portraits of 192 and 768 px, sound and spoilt in known ways.
FLAGS = {
    "small": Flag("side_px", "below", 127, "shorter side in pixels"),
    "blurred": Flag("blur", "above", 0.70, "share of edges that one more blur leaves, 0 to 1"),
    "upscaled": Flag("detail", "below", 0.42, "detail lost by halving, against that of the half; sound: 0.5 to 1"),
    "compressed": Flag("blocks", "above", 1.45, "steepness of JPEG's block borders; none: 1"),
    "duplicate": Flag("twin_bits", "below", 28, "bits of 256 between its hash and a better picture's, 0 to 31"),
    "halftone": Flag("halftone", "above", 18, "height of the print's dots in the spectrum, dB"),
    "drawing": Flag("drawing", "above", 0.08, "flat areas times hard outlines, 0 to 1"),
    "grey": Flag("colourfulness", "below", 5, "colourfulness in levels of 255; greyscale: 0"),
    "overexposed": Flag("clipped", "above", 0.1, "burnt-out share of the middle, 0 to 1"),
    "underexposed": Flag("highlights", "below", 65, "luma that nine tenths stay under, 0 to 255"),
    "faceless": Flag("faces", "below", 0, "faces found"),
    "crowded": Flag("faces", "above", 2, "faces found"),
    "turned": Flag("turn", "above", 0.9, "largest face: 0 straight ahead, 0.9 about 30 degrees aside"),
    "hidden": Flag("face_score", "below", 0.84, "largest face: how sure the finder is, 0 to 1"),
    "framed": Flag("frame", "above", 0.02, "thickness of plain borders, for the side"),
    "lettered": Flag("lettering", "above", 0.2, "longest line of letters along a border, for the width"),
}
