"""The ICC profile of a printer and its paper, checked before it is believed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from upimagine.errors import PictureError
from upimagine.pixels.vips import SRGB, enter, reason

_BANDS = {b"RGB ": 3, b"CMYK": 4, b"GRAY": 1}  # bytes 16 to 20 of a profile: the space of its colours
_D50 = (0.9642, 1.0, 0.8249)  # XYZ of white in the space where profiles meet
_HEADER_BYTES = 128
_MOST_BYTES = 64 << 20  # the largest press profiles have some MB
_NOT_OUTPUTS = {  # bytes 12 to 16: the class of device (ICC.1:2010, 7.2.5)
    b"scnr": "is the profile of a camera or scanner, which only takes colours in",
    b"link": "is a device link, which joins two devices",
    b"abst": "is an abstract profile, of no device",
    b"nmcl": "is a list of named colours",
}
_FIND = "give the profile of your printer and paper (RGB, CMYK or grey), from the paper's maker or the print shop"


@dataclass(frozen=True)
class PaperProfile:
    """A profile that can take colours to paper and tell how they look there."""

    path: Path
    data: bytes
    bands: int
    """Channels of the printer: 3 RGB, 4 CMYK, 1 grey."""
    white_xyz: tuple[float, float, float]
    """The paper's own white beside a perfect one, (0.9642, 1, 0.8249)."""


def read_profile(path: str | Path) -> PaperProfile:
    """Read and check an ICC profile (ICC.1:2010) that a picture shall be printed with.

    Printer, display and colour space profiles are taken: shops give out any of them.

    Raises:
        PictureError: missing, no profile, cut short, damaged, of a camera or scanner, of a colour space other than
            RGB, CMYK and grey, or without a way from colours to inks. One line that names the file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError as error:
        raise PictureError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise PictureError(f"{path}: is a folder, not an ICC profile") from error
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    if len(data) < _HEADER_BYTES + 4 or data[36:40] != b"acsp":
        raise PictureError(f"{path}: is no ICC profile; {_FIND}")
    if len(data) < struct.unpack_from(">I", data)[0]:
        raise PictureError(f"{path}: is cut short; fetch it again")
    if data[12:16] in _NOT_OUTPUTS:
        raise PictureError(f"{path}: {_NOT_OUTPUTS[data[12:16]]}; {_FIND}")
    bands = _BANDS.get(data[16:20])
    if bands is None:
        space = data[16:20].decode("latin-1").strip()
        raise PictureError(f"{path}: is for {space!r} colours; {_FIND}")
    # Tables, or a curve for each channel (with a matrix where there is colour), lead back from colours to inks.
    if not _tags(data).keys() & {b"B2A0", b"B2A1", b"rTRC", b"kTRC"}:
        raise PictureError(f"{path}: only takes colours in, and has no table from colours to inks (B2A); {_FIND}")
    profile = PaperProfile(path, data, bands, _white(data))
    _try(profile)
    return profile


def to_paper(colours: pyvips.Image, profile: PaperProfile, intent: str, black_point_compensation: bool) -> pyvips.Image:
    """Lab (D50, relative to white) to the 16-bit channels that are sent to the printer."""
    colours = colours.copy()
    # Handed over as metadata: libvips would take some file names for those of its own profiles.
    colours.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile.data)
    return colours.icc_export(depth=16, intent=intent, pcs="lab", black_point_compensation=black_point_compensation)


def from_paper(inks: pyvips.Image, profile: PaperProfile) -> pyvips.Image:
    """16-bit channels of the printer to Lab as seen on paper, relative to its white."""
    inks = inks.copy()
    inks.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile.data)
    return inks.icc_import(embedded=True, intent="relative", pcs="lab")


def under_white(colours: pyvips.Image, profile: PaperProfile) -> pyvips.Image:
    """Lab relative to the paper's white to Lab relative to a perfect white (ICC.1:2010, 6.3.2 and D.6.1).

    libvips' own absolute intent measures the white, which profiles state for D50, against D65, and so makes every
    paper yellower than it is.
    """
    perfect = [100 * value for value in _D50]
    xyz = colours.Lab2XYZ(temp=perfect)
    dimmed = xyz * [paper / full for paper, full in zip(profile.white_xyz, _D50, strict=True)]
    return dimmed.XYZ2Lab(temp=perfect)


def _white(data: bytes) -> tuple[float, float, float]:
    """The media white point, XYZ. Displays of version 2 state their lamp's there, which is no paper's."""
    start = _tags(data).get(b"wtpt")
    if start is None or start + 20 > len(data) or (data[12:16] == b"mntr" and data[8] < 4):
        return _D50
    x, y, z = (value / 65536 for value in struct.unpack_from(">3i", data, start + 8))
    return (x, y, z) if min(x, y, z) > 0 else _D50


def _tags(data: bytes) -> dict[bytes, int]:
    """Where each tag of the table begins, as far as the file holds the table."""
    count = min(struct.unpack_from(">I", data, _HEADER_BYTES)[0], (len(data) - _HEADER_BYTES - 4) // 12)
    start = _HEADER_BYTES + 4
    return dict(struct.unpack_from(">4sI", data, start + 12 * index) for index in range(count))


def _try(profile: PaperProfile) -> None:
    """Send a few colours there and back, since only that shows damage inside."""
    enter()
    probe = pyvips.Image.new_from_array(np.full((1, 2, 3), 32768, np.uint16), interpretation="rgb16")
    try:
        lab = probe.icc_import(input_profile=SRGB, intent="relative", pcs="lab")
        for intent in ("relative", "perceptual"):
            inks = to_paper(lab, profile, intent, False)
            if inks.bands != profile.bands:
                raise PictureError(f"{profile.path}: is damaged; fetch it again")
            from_paper(inks, profile).numpy()
    except pyvips.Error as error:
        raise PictureError(f"{profile.path}: is damaged ({reason(error)}); fetch it again") from error
