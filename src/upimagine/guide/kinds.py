"""The guides that are drawn from the picture itself, by the names that settings and models give them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from upimagine.guide.edges import EdgeGuide
from upimagine.guide.faces import Backend, FaceGuide
from upimagine.roles import Guide

Drawn = Literal["face", "face-channels", "edges"]


def guide_named(kind: str, finder: Backend = "mediapipe", dlib_model: Path | None = None) -> Guide | None:
    """ "face" (landmarks in colours), "face-channels" (a channel a feature) or "edges"; None for any other word."""
    if kind == "edges":
        return EdgeGuide()
    if kind in ("face", "face-channels"):
        return FaceGuide("rgb" if kind == "face" else "channels", finder, dlib_model=dlib_model)
    return None
