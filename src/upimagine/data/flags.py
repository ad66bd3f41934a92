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
    "blurred": Flag("blur", "above", 0.64, "share of edges that one more blur leaves, 0 to 1"),
    "upscaled": Flag("detail", "below", 0.48, "detail lost by halving, against that of the half; sound: 0.5 to 1"),
    "compressed": Flag("block_step", "above", 1.45, "step across JPEG's block borders, in levels of 255"),
    "duplicate": Flag("twin_bits", "below", 28, "bits of 256 between its hash and a better picture's, 0 to 31"),
    "halftone": Flag("halftone", "above", 18, "height of the print's dots in the spectrum, dB"),
    "drawing": Flag("drawn", "above", 0.65, "hard outlines or few levels, 0 to 1"),
    "grey": Flag("colourfulness", "below", 15, "colourfulness in levels of 255; greyscale: 0, toned: to 13"),
    "overexposed": Flag("clipped", "above", 0.01, "burnt-out share of the middle, 0 to 1"),
    "underexposed": Flag("highlights", "below", 65, "luma that nine tenths stay under, 0 to 255"),
    "faceless": Flag("faces", "below", 0, "faces found"),
    "crowded": Flag("faces", "above", 2, "faces found"),
    "turned": Flag("turn", "above", 0.63, "largest face: 0 straight ahead, 0.63 about 25 degrees aside"),
    "hidden": Flag("features", "below", 0.6, "largest face: edges of the fainter of eyes and mouth, for the face's"),
    "framed": Flag("frame", "above", 0.02, "thickness of plain borders, for the side"),
    "lettered": Flag("lettering", "above", 0.1, "longest line of letters along a border, for the width"),
}
