"""The one door between files and tensors: any common format to (3, H, W) in [-1, 1], sRGB, and back."""

from __future__ import annotations

from upimagine.pixels.atomic import claim, replacing, write_bytes, write_text
from upimagine.pixels.canvas import Canvas, check_room
from upimagine.pixels.formats import Encoding, best_bit_depth, check_plan, holds_alpha
from upimagine.pixels.mapped import Mapped
from upimagine.pixels.passing import deep_zoom, read_small
from upimagine.pixels.picture import Picture
from upimagine.pixels.reading import read, read_recipe, read_rows, read_size
from upimagine.pixels.writing import write

__all__ = [
    "Canvas",
    "Encoding",
    "Mapped",
    "Picture",
    "best_bit_depth",
    "check_plan",
    "check_room",
    "claim",
    "deep_zoom",
    "holds_alpha",
    "read",
    "read_recipe",
    "read_rows",
    "read_size",
    "read_small",
    "replacing",
    "write",
    "write_bytes",
    "write_text",
]
