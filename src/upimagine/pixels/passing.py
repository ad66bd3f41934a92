"""Pictures of any size, passed through in strips and never held: cut into tiles to zoom into, or seen small."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyvips
import torch
from torch import Tensor

from upimagine.pixels import pyramid
from upimagine.pixels.colour import to_srgb
from upimagine.pixels.formats import Encoding
from upimagine.pixels.reading import opened, orientation, upright
from upimagine.pixels.vips import enter

MOST_PIXELS = 2_000_000_000
"""A print of 44,000 px a side; what claims to be larger is refused."""


def deep_zoom(source: Path, path: Path, *, quality: int | None = None, overwrite: bool = False) -> tuple[int, int]:
    """Cut a picture file, upright and in sRGB, into a pyramid `path` (.dzi); gives back its height and width.

    Transparency is left out. A picture that lies turned, as EXIF tells, is unpacked into a temporary file first.

    Raises:
        PictureError: missing, damaged or over `MOST_PIXELS`.
        UpimagineError: as `pyramid.build`.
    """
    enter()
    with opened(source, MOST_PIXELS) as image, tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        turned = orientation(image)
        colour = _eight_bits(to_srgb(image)[0])
        if turned != 1:
            unpacked = str(Path(scratch) / "upright.v")
            colour.write_to_file(unpacked)
            colour = pyvips.Image.new_from_file(unpacked).copy()
            colour.set_type(pyvips.GValue.gint_type, "orientation", turned)
            colour = colour.autorot()
        pyramid.build(colour, path, Encoding(quality=quality), None, overwrite)
        return colour.height, colour.width


def read_small(path: Path, side_px: int) -> Tensor:
    """Read (3, h, w) uint8, upright and in sRGB, with a longer side of at most `side_px`; smaller pictures stay whole.

    Raises:
        PictureError: missing, damaged or over `MOST_PIXELS`.
    """
    enter()
    with opened(path, MOST_PIXELS, least_px=side_px) as image:
        turned = orientation(image)
        colour = to_srgb(image)[0].extract_band(0, n=3)
        scale = side_px / max(colour.height, colour.width)
        if scale < 1:
            # Sides that nearly vanish keep one pixel.
            vertical = max(scale, 1 / colour.height)
            colour = colour.resize(max(scale, 1 / colour.width), vscale=vertical)
        samples = torch.from_numpy(_eight_bits(colour).numpy())
    return upright(samples.permute(2, 0, 1), turned).contiguous()


def _eight_bits(colour: pyvips.Image) -> pyvips.Image:
    """Three bands of uchar, rounded."""
    colour = colour.extract_band(0, n=3)
    if colour.format == "ushort":
        colour = (colour / 257).rint()
    return colour.cast("uchar").copy(interpretation="srgb")
