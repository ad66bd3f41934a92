"""What each file format can hold, and how a picture may be laid into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from upimagine.errors import PictureError

_MOST_DPI = 100_000
Compression = Literal["deflate", "lzw", "none"]
Tiles = Literal["jpeg", "png"]
Space = Literal["srgb", "adobe-rgb", "display-p3"]


@dataclass(frozen=True)
class Encoding:
    """How a picture is laid into its file; what does not concern its format is passed over.

    Raises:
        ValueError: an option has a value that is none of those named.
    """

    space: Space = "srgb"
    """Colour space of the file: sRGB samples are converted to it, unrounded, and tagged with its profile."""
    dither: bool = False
    """Fine noise instead of bands where 8 bits are written; see `upimagine.pixels.dithering`."""
    quality: int | None = None
    """1 to 100, of JPEG (always 4:4:4), WebP and JPEG tiles; None is 95, for tiles 90."""
    compression: Compression = "deflate"
    """Of TIFF, always lossless. LZW is for readers older than deflate: it makes fine noise larger."""
    tiled: bool = False
    """TIFF in tiles of 256 x 256 pixels, for programs that look at parts of it, instead of strips."""
    tiles: Tiles = "jpeg"
    """What the tiles of a .dzi are: JPEG, or PNG without loss."""

    def __post_init__(self) -> None:
        for name, choices in (("space", Space), ("compression", Compression), ("tiles", Tiles)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {getattr(self, name)}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be 1 to 100, not {self.quality}")


@dataclass(frozen=True)
class Format:
    """What a file format can hold."""

    name: str
    bit_depths: tuple[int, ...]
    max_side_px: int
    alpha: bool


PNG = Format("PNG", (8, 16), 2**31 - 1, True)
JPEG = Format("JPEG", (8,), 65_500, False)
TIFF = Format("TIFF", (8, 16), 2**31 - 1, True)
WEBP = Format("WebP", (8,), 16_383, True)
DEEP_ZOOM = Format("Deep Zoom", (8,), 2**31 - 1, False)
_SUFFIXES = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": WEBP,
    ".dzi": DEEP_ZOOM,
}


def best_bit_depth(path: str | Path) -> int:
    """Say how many bits a channel the format of this file name can hold at most: 8 or 16.

    Raises:
        PictureError: no picture format is known by that suffix.
    """
    return max(_format_of(Path(path)).bit_depths)


def holds_alpha(path: str | Path) -> bool:
    """Say whether the format of this file name holds transparency.

    Raises:
        PictureError: no picture format is known by that suffix.
    """
    return _format_of(Path(path)).alpha


def check_plan(path: str | Path, bit_depth: int, dpi: float | None) -> Format:
    """Refuse, before any size is known, what the format of this file name cannot hold.

    Raises:
        PictureError: unknown suffix, a depth the format has no room for, or a resolution that is none.
    """
    kind = _format_of(Path(path))
    if bit_depth not in (8, 16):
        raise ValueError(f"bit_depth must be 8 or 16, not {bit_depth}")
    if bit_depth not in kind.bit_depths:
        raise PictureError(f"{path}: {kind.name} holds 8 bits a channel; ask for 8, or write a PNG or TIFF")
    if dpi is not None and not 1 <= dpi <= _MOST_DPI:
        raise PictureError(f"{path}: {dpi} dpi is no print resolution; choose 1 to {_MOST_DPI}")
    return kind


def plan(path: Path, height: int, width: int, bit_depth: int, alpha: bool = False, dpi: float | None = None) -> Format:
    """Choose the format by suffix and refuse, before any work, what it cannot hold.

    Raises:
        PictureError: as `check_plan`, or a size or transparency the format has no room for.
    """
    kind = check_plan(path, bit_depth, dpi)
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {height} x {width} pixels has none")
    if max(height, width) > kind.max_side_px:
        raise PictureError(f"{path}: {kind.name} ends at {kind.max_side_px} pixels a side; write a PNG or TIFF")
    if alpha and not kind.alpha:
        raise PictureError(f"{path}: {kind.name} has no transparency; write a PNG or TIFF")
    return kind


def _format_of(path: Path) -> Format:
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise PictureError(f"{path}: no picture format is known by that suffix; use {', '.join(_SUFFIXES)}")
    return kind
