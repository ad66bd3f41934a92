"""Any colour space a picture file can hold, brought to sRGB."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyvips

from upimagine.errors import PictureError
from upimagine.pixels.vips import SRGB

_COLOUR_BANDS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "rgb": 3, "cmyk": 4}
_SIGNATURES = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}  # bytes 16 to 20 of an ICC profile: the space of its colours


def to_srgb(image: pyvips.Image) -> tuple[pyvips.Image, bool]:
    """Convert a decoded file to sRGB samples.

    An embedded profile rules. Without one, or with one that is broken or made for other channels (browsers pass
    those over too), RGB and grey count as sRGB and CMYK goes through libvips' built-in press profile. Conversions are
    relative colorimetric with black point compensation and give 16-bit samples even from 8-bit ones, so that nothing
    is rounded twice.

    Returns:
        The picture as 3 bands, or 4 with straight alpha, of uchar or ushort; and whether alpha is there.

    Raises:
        PictureError: samples or channels it cannot make colour of (half a line, without the file's name).
    """
    if image.format not in ("uchar", "ushort"):
        raise PictureError(f"holds {image.format} samples; save it with 8 or 16 bits a channel")
    bands = _COLOUR_BANDS.get(image.interpretation)
    if bands is None or image.bands < bands:
        raise PictureError(f"has {image.bands} channels that are no known colour; save it as RGB")
    colour = _convert(image.extract_band(0, n=bands), bands)
    # More channels than one are a layout program's masks and spot inks, not transparency.
    if image.bands != bands + 1:
        return colour, False
    alpha = image.extract_band(bands)
    if colour.format == "ushort" and alpha.format == "uchar":
        alpha = (alpha * 257).cast("ushort")
    return colour.bandjoin(alpha), True


def _convert(colour: pyvips.Image, bands: int) -> pyvips.Image:
    profile: bytes | None = colour.get("icc-profile-data") if colour.get_typeof("icc-profile-data") else None
    profile_bands = _SIGNATURES.get(profile[16:20]) if profile else None
    if bands == 4:
        return _through_profile(colour, profile if profile_bands == 4 else None)
    if profile is not None and bands == 1 and profile_bands == 1 and not _is_srgb(profile, 1):
        return _grey_to_rgb(_through_profile(colour, profile).extract_band(1))
    if bands == 1:  # many grey files keep the RGB profile they had before they were made grey
        colour = _grey_to_rgb(colour)
    if profile is not None and profile_bands == 3 and not _is_srgb(profile, 3):
        return _through_profile(colour, profile)
    return colour


def _through_profile(colour: pyvips.Image, profile: bytes | None) -> pyvips.Image:
    """Convert colours that mean what `profile` says, or the built-in CMYK press without one, to 16-bit sRGB."""
    colour = colour.copy()
    if profile is None:
        colour.remove("icc-profile-data")
    else:
        colour.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    source = {"embedded": True} if profile is not None else {"input_profile": "cmyk"}
    how = {"intent": "relative", "black_point_compensation": True}
    if colour.format == "ushort" and colour.bands == 3:
        # In one step littlecms would make 16-bit samples a coarse table of colours, and miss pure ones by up to 15
        # of 255 levels; through Lab in fractions, at five times the processor time, it computes.
        return colour.icc_import(pcs="lab", **how, **source).icc_export(output_profile=SRGB, depth=16, pcs="lab", **how)
    return colour.icc_transform(SRGB, depth=16, **how, **source)


@lru_cache(maxsize=32)
def _is_srgb(profile: bytes, bands: int) -> bool:
    """Tell whether a profile leaves colours where they are, so that such files keep their exact samples.

    Names do not tell ("linear sRGB" is another space, and sRGB has a dozen makers): a grid of colours does.
    """
    steps = np.linspace(0, 65535, 9).round().astype(np.uint16)
    grid = np.stack(np.meshgrid(*[steps] * bands, indexing="ij"), axis=-1).reshape(1, -1, bands)
    probe = pyvips.Image.new_from_array(grid, interpretation="grey16" if bands == 1 else "rgb16")
    moved = _through_profile(probe, profile).numpy().astype(np.int64)
    return bool(np.abs(moved - grid).max() <= 257)  # one step of 8 bits


def _grey_to_rgb(grey: pyvips.Image) -> pyvips.Image:
    return grey.bandjoin([grey, grey]).copy(interpretation="rgb16" if grey.format == "ushort" else "srgb")
