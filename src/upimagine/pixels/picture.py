"""A picture as the rest of the house sees it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Picture:
    """One picture read from a file: upright, sRGB, and with what the file said about itself."""

    pixels: Tensor
    """(3, H, W) float32 in [-1, 1], sRGB-encoded, upright; a grey picture has three equal channels."""
    alpha: Tensor | None
    """(1, H, W) float32 in [0, 1], straight (not premultiplied), or None for an opaque format."""
    bit_depth: int
    """Bits a channel in the file, 8 or 16 (1, 2 and 4 count as 8, 10 and 12 as 16)."""
    dpi: float | None
    """Horizontal print resolution to 0.01, or None where the file states none (72 counts as none)."""
    recipe: str | None
    """The recipe `write` or `Canvas` put into the file, or None."""
    exif: bytes | None = None
    """The file's EXIF block as it is, from its TIFF header on (without JPEG's heading); of a TIFF, its descriptive tags
    laid into such a block. It speaks of the file: its orientation has been applied to `pixels`. None where there is
    none or more than 1 MiB."""
    xmp: bytes | None = None
    """The file's XMP packet as it is, or None where there is none or more than 1 MiB."""
