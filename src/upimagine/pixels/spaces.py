"""Colour spaces a picture can be written in: the way there from sRGB, and the profile that says so.

The curves are published ones: IEC 61966-2-1 for sRGB and Display P3, a gamma of 563/256 for Adobe RGB (1998). Between
them stands one matrix, made of the primaries that the profiles themselves state, so that a reader who goes by the
profile arrives where the colours came from. All colours of sRGB lie within the other two, but for rounding in the
profiles: nothing is clipped.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np
import pyvips
import torch
from torch import Tensor

from upimagine.pixels.formats import Space
from upimagine.pixels.vips import SRGB

_Matrix = np.ndarray[Any, np.dtype[np.float64]]

_WHITE_D65 = (0.3127, 0.3290)
_WHITE_D50 = np.array([0.9642, 1.0, 0.8249])  # of every ICC profile
_PRIMARIES: dict[Space, tuple[tuple[float, float], ...]] = {
    "adobe-rgb": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),  # Adobe RGB (1998) Color Image Encoding, 4.3.1.1
    "display-p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # SMPTE RP 431-2
}
_NAMES: dict[Space, str] = {"adobe-rgb": "Compatible with Adobe RGB (1998)", "display-p3": "Display P3"}
_CURVE_POINTS = 1024
_ADOBE_GAMMA = 563 / 256
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def from_srgb(rows: Tensor, space: Space) -> None:
    """Convert (H, W, 3) float32 samples in [-1, 1] from sRGB to the space's own encoding, in place; clamps them.

    Row by row, because vectorised powers may differ in the last bit by where in memory a number stands: a row gives
    the same numbers in whatever strip it comes. No matrix product, which global settings may round to bf16.
    """
    matrix = np.linalg.inv(_primaries(profile(space))) @ _primaries(profile("srgb"))
    matrix /= matrix.sum(axis=1, keepdims=True)  # white stays white, whatever was rounded in the profiles
    for row in rows:
        encoded = row.clamp(-1, 1).add_(1).div_(2)
        linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)  # (W, 3)
        red, green, blue = linear.unbind(1)
        moved = torch.stack([red * r + green * g + blue * b for r, g, b in matrix.tolist()], dim=1).clamp_(0, 1)
        if space == "adobe-rgb":
            encoded = moved ** (1 / _ADOBE_GAMMA)
        else:
            encoded = torch.where(moved <= 0.0031308, moved * 12.92, 1.055 * moved ** (1 / 2.4) - 0.055)
        row.copy_(encoded).mul_(2).sub_(1)


@lru_cache
def profile(space: Space) -> bytes:
    """Give the ICC profile of a space.

    That of sRGB is libvips' own (Compact-ICC-Profiles, CC0). The others are built here from published numbers, as
    version 2, which even old print software reads. (libvips' own Display P3 rounds a negative number to zero, which
    is a whole step of 8 bits in strong colours.)
    """
    if space == "srgb":
        return bytes(pyvips.Operation.call("profile_load", SRGB))
    if space == "adobe-rgb":
        curve = [round(_ADOBE_GAMMA * 256)]  # one number is a gamma in 256ths
    else:
        steps = np.linspace(0, 1, _CURVE_POINTS)
        linear = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
        curve = (linear * 65535).round().astype(int).tolist()
    return _matrix_profile(_NAMES[space], _to_d50() @ _to_xyz(space), curve)


def _primaries(icc: bytes) -> _Matrix:
    """(3, 3) from linear RGB to XYZ under D50: the columns that a profile of three primaries states."""
    (count,) = struct.unpack_from(">I", icc, 128)
    tags = (struct.unpack_from(">4sII", icc, 132 + 12 * index) for index in range(count))
    starts = {name: start for name, start, _ in tags}
    columns = [struct.unpack_from(">3i", icc, starts[name] + 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    matrix: _Matrix = np.array(columns).T / 65536
    return matrix


def _to_xyz(space: Space) -> _Matrix:
    """(3, 3) from linear RGB to XYZ under D65: primaries scaled so that their sum is white (SMPTE RP 177)."""
    columns = np.array([_xyz(xy) for xy in _PRIMARIES[space]]).T
    matrix: _Matrix = columns * np.linalg.solve(columns, _xyz(_WHITE_D65))
    return matrix


def _to_d50() -> _Matrix:
    """(3, 3) Bradford adaptation of XYZ from D65 to D50 (ICC.1:2010, annex E)."""
    gains = (_BRADFORD @ _WHITE_D50) / (_BRADFORD @ _xyz(_WHITE_D65))
    matrix: _Matrix = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return matrix


def _xyz(xy: tuple[float, float]) -> _Matrix:
    x, y = xy
    return np.array([x / y, 1, (1 - x - y) / y])


def _matrix_profile(name: str, primaries: _Matrix, curve: list[int]) -> bytes:
    """Build a display profile of three primaries (columns, D50) and one curve for all (ICC.1:2001-04, 6.3.2)."""

    def numbers(values: Any) -> bytes:
        return struct.pack(">3i", *(round(float(value) * 65536) for value in values))

    ascii_name = name.encode() + b"\0"
    tags = {
        # Name in ASCII, none in Unicode, none in Macintosh script code.
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(ascii_name)) + ascii_name + bytes(4 + 4 + 2 + 1 + 67),
        b"cprt": b"text\0\0\0\0No copyright, use freely\0",
        b"wtpt": b"XYZ \0\0\0\0" + numbers(_xyz(_WHITE_D65)),  # version 2 states the display's own white
    }
    tone = b"curv\0\0\0\0" + struct.pack(f">I{len(curve)}H", len(curve), *curve)
    for channel, column in zip(b"rgb", primaries.T, strict=True):
        tags[bytes([channel]) + b"XYZ"] = b"XYZ \0\0\0\0" + numbers(column)
    tags |= {b"rTRC": tone, b"gTRC": tone, b"bTRC": tone}
    table, body, placed = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    start = 132 + 12 * len(tags)
    for tag, content in tags.items():
        if content not in placed:  # the three curves are one
            placed[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", placed[content], len(content))
    head = struct.pack(">I4xI", start + len(body), 0x02100000) + b"mntrRGB XYZ "
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + numbers(_WHITE_D50)
    return head.ljust(128, b"\0") + table + body
