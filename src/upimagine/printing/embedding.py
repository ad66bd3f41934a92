"""A picture file as a PDF holds it: compressed samples, taken over as they are where that can be.

JPEG and PNG compress as PDF does (DCTDecode; FlateDecode with PNG's row predictors, ISO 32000-1, 7.4), so most files
go in untouched. All others are decoded and compressed strip by strip: only compressed bytes are ever whole in memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyvips

from upimagine.errors import PictureError
from upimagine.pixels import read_size
from upimagine.pixels.colour import to_srgb
from upimagine.pixels.vips import SRGB, enter, reason

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIDE_PX = 65_500


@dataclass(frozen=True)
class Samples:
    """A picture's compressed samples, 3 channels of RGB, and what is needed to read them."""

    size_px: tuple[int, int]  # height, width
    data: bytes
    filter: Literal["DCTDecode", "FlateDecode"]  # the latter with PNG predictors
    bits: int  # a channel
    profile: bytes  # ICC, of the samples
    how: Literal["as it is", "lossless", "JPEG"]


def embed(path: Path, jpeg_quality: int | None = None) -> Samples:
    """Make PDF samples of a picture file: upright RGB, transparent places laid on white.

    RGB pictures keep their colour space, with its profile; CMYK and grey ones become sRGB. Upright RGB JPEGs and
    plain RGB PNGs are taken over byte for byte. With a `jpeg_quality` (1 to 100) everything but such a JPEG becomes
    a JPEG of 8 bits; without one, lossless samples of 8 or 16 bits.

    Raises:
        PictureError: missing, no picture, damaged (it is decoded once in any case), or too large for a JPEG.
    """
    enter()
    size_px = read_size(path)  # says in one line what is wrong with a file that is no picture
    if jpeg_quality is not None and max(size_px) > _JPEG_SIDE_PX:
        raise PictureError(f"{path}: JPEG ends at {_JPEG_SIDE_PX} pixels a side; embed it lossless")
    try:
        image = _open(path)
        profile = _rgb_profile(image)
        if profile is not None and image.bands == 3 and _orientation(image) == 1:
            samples = _as_it_is(path, size_px, profile, jpeg_quality)
            if samples is not None:
                image.avg()  # damage must be found here, not on paper
                return samples
        upright = _on_white(image, profile is None).autorot()
        profile = profile or _srgb_profile()
        if jpeg_quality is not None:
            options = {"Q": jpeg_quality, "subsample_mode": "off", "optimize_coding": True, "keep": "none"}
            return Samples(size_px, _eight_bits(upright).jpegsave_buffer(**options), "DCTDecode", 8, profile, "JPEG")
        png = _from_png(upright.pngsave_buffer(compression=3, filter="up", keep="none"), profile, "lossless")
        assert png is not None
        return png
    except pyvips.Error as error:
        raise PictureError(
            f"{path}: is damaged, cut short or of a rare kind ({reason(error)}); fetch or save it again"
        ) from error
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def _srgb_profile() -> bytes:
    return bytes(pyvips.Operation.call("profile_load", SRGB))


def _as_it_is(path: Path, size_px: tuple[int, int], profile: bytes, jpeg_quality: int | None) -> Samples | None:
    """Take a file of three upright RGB channels over byte for byte, None where PDF has no room for its kind."""
    with path.open("rb") as file:
        head = file.read(len(_PNG_SIGNATURE))
    if head.startswith(b"\xff\xd8\xff"):
        return Samples(size_px, path.read_bytes(), "DCTDecode", 8, profile, "as it is")
    if head != _PNG_SIGNATURE or jpeg_quality is not None:
        return None
    return _from_png(path.read_bytes(), profile, "as it is")


def _from_png(data: bytes, profile: bytes, how: Literal["as it is", "lossless"]) -> Samples | None:
    """Take the compressed rows out of a PNG, None when it has a palette or is interlaced."""
    width, height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if colour != 2 or interlaced:
        return None
    rows, start = [], len(_PNG_SIGNATURE)
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind == b"IDAT":
            rows.append(memoryview(data)[start + 8 : start + 8 + length])
        start += length + 12
    return Samples((height, width), b"".join(rows), "FlateDecode", bits, profile, how)


def _open(path: Path) -> pyvips.Image:
    """Open for one pass from top to bottom; turned pictures, whose rows lie across, for any order."""
    with path.open("rb") as file:
        tiff = file.read(2) in (b"II", b"MM")
    options = {"unlimited": True} if tiff else {}  # strips may be as large as they like
    for access in ("sequential", "random"):
        source = pyvips.Source.new_from_file(str(path))  # unlike Image.new_from_file, takes "a[1].png" for a name
        image = pyvips.Image.new_from_source(source, "", access=access, fail_on="error", **options)
        if _orientation(image) == 1:
            break
    return image


def _orientation(image: pyvips.Image) -> int:
    return int(image.get("orientation")) if image.get_typeof("orientation") else 1


def _rgb_profile(image: pyvips.Image) -> bytes | None:
    """The profile of an 8 or 16-bit RGB picture, sRGB's where it has none, None for other pictures."""
    if image.interpretation not in ("srgb", "rgb16", "rgb") or image.format not in ("uchar", "ushort"):
        return None
    if not image.get_typeof("icc-profile-data"):
        return _srgb_profile()
    profile = bytes(image.get("icc-profile-data"))
    fine = len(profile) > 128 and profile[36:40] == b"acsp" and profile[16:20] == b"RGB "
    return profile if fine else _srgb_profile()  # as browsers do, and `pixels.read`


def _on_white(image: pyvips.Image, convert: bool) -> pyvips.Image:
    """3 bands of uchar or ushort without transparency, in sRGB if `convert`, else in the colour space they have."""
    if not convert:
        image = image.copy()
        image.remove("icc-profile-data")
    colour, has_alpha = to_srgb(image)
    top = 65535 if colour.format == "ushort" else 255
    flat = colour.flatten(background=[top] * 3, max_alpha=top) if has_alpha else colour
    return flat.copy(interpretation="rgb16" if top == 65535 else "srgb")


def _eight_bits(image: pyvips.Image) -> pyvips.Image:
    if image.format == "uchar":
        return image
    return (image / 257).rint().cast("uchar").copy(interpretation="srgb")
