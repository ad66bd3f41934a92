"""Samples to the bytes of a picture file: the one path for whole and for streamed pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips

from upimagine.errors import PictureError
from upimagine.pixels import atomic, embedding, exif, notes, pyramid, tiff
from upimagine.pixels.formats import DEEP_ZOOM, JPEG, PNG, TIFF, WEBP, Encoding, Format
from upimagine.pixels.sink import Sink, aside, call_at_every_percent
from upimagine.pixels.spaces import profile
from upimagine.pixels.vips import SRGB, UNSTATED_DPI, enter, reason

_PNG_HEAD_BYTES = 33  # signature and IHDR, which must come first
_JPEG_HEAD_BYTES = 2
_QUALITY = 95
_STRIP_BYTES = 1 << 20  # few enough for any reader's buffer, enough for deflate to work with
_TILE_PX = 256
_CLASSIC_TIFF_BYTES = 4_000_000_000  # offsets end at 2^32; the rest is room for tables and metadata
# What noise may grow to: LZW spends up to 12 bits on every byte of it, deflate stores it as it is.
_WORST_GROWTH = {"deflate": 1.0, "lzw": 1.5, "none": 1.0}
_SAVERS = {PNG: "pngsave_target", JPEG: "jpegsave_target", TIFF: "tiffsave_target", WEBP: "webpsave_target"}


def store(
    samples: np.ndarray[Any, Any],
    path: Path,
    kind: Format,
    encoding: Encoding,
    *,
    dpi: float | None,
    recipe: str | None,
    exif_block: bytes | None,
    xmp: bytes | None,
    overwrite: bool,
    let_go: Callable[[], None] | None = None,
) -> None:
    """Write (H, W, 3 or 4) samples, uint8 or uint16, in the encoding's colour space, whole or not at all.

    `samples` may lie in a memory map: they are read once from top to bottom, and `let_go` is called at every percent,
    so that the map can give back pages that were read. EXIF and XMP that are damaged or too large are dropped.

    Raises:
        PictureError: libvips refuses, or the recipe does not fit.
        UpimagineError: as `atomic.replacing`.
    """
    enter()
    height, width, bands = samples.shape
    sixteen = samples.dtype == np.uint16
    image = pyvips.Image.new_from_memory(samples.reshape(-1), width, height, bands, "ushort" if sixteen else "uchar")
    per_mm = (dpi or UNSTATED_DPI) / 25.4
    image = image.copy(interpretation="rgb16" if sixteen else "srgb", xres=per_mm, yres=per_mm)
    if encoding.space != "srgb":
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile(encoding.space))
    try:
        if recipe is not None:
            notes.check(recipe)
        slip_in = notes.png_chunks(recipe, xmp, height, width) if kind is PNG else b""
        if kind in (JPEG, TIFF, WEBP):
            image = notes.attach(image, recipe, xmp, kind.name)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    if let_go is not None:
        call_at_every_percent(image, let_go)
    if kind is DEEP_ZOOM:
        pyramid.build(image, path, encoding, recipe, overwrite)
        return
    said = exif.parse(exif_block) if exif_block is not None else None
    if said is not None:
        said = exif.adjusted(said, height, width, dpi or UNSTATED_DPI, encoding.space == "srgb")
    with atomic.replacing(path, overwrite) as file:
        if kind is TIFF and encoding.compression == "deflate":
            _deflate(samples, file, image, encoding, dpi or UNSTATED_DPI, let_go)
            if said is not None:
                embedding.add_to_tiff(file, said)
        else:
            _encode(image, file, path, kind, encoding, slip_in, said)


def _encode(
    image: pyvips.Image,
    file: BinaryIO,
    path: Path,
    kind: Format,
    encoding: Encoding,
    slip_in: bytes,
    said: exif.Exif | None,
) -> None:
    if said is not None and kind is PNG:
        slip_in += embedding.png_chunk(b"eXIf", exif.to_bytes(said))
    if said is not None and kind is JPEG:
        slip_in = embedding.jpeg_segment(said)
        said = said if slip_in else None
    options = _options(kind, image, encoding)
    if encoding.space == "srgb":  # others are attached to the image
        options["profile"] = SRGB
    if said is not None and kind is not TIFF:
        options["keep"] = pyvips.enums.ForeignKeep.ICC | pyvips.enums.ForeignKeep.XMP  # and no EXIF of libvips' own
    sink = Sink(file, slip_in, _JPEG_HEAD_BYTES if kind is JPEG else _PNG_HEAD_BYTES)
    try:
        aside(image, partial(getattr(image, _SAVERS[kind]), sink.target, **options), sink.stop)
    except pyvips.Error as error:
        if sink.error is None:
            raise PictureError(f"{path}: cannot be encoded ({reason(error)})") from error
    if sink.error is not None:  # some encoders hide a failed last write
        raise sink.error
    if said is not None and kind is WEBP:
        embedding.add_to_webp(file, said)
    if said is not None and kind is TIFF:
        embedding.add_to_tiff(file, said)


def _deflate(
    samples: np.ndarray[Any, Any],
    file: BinaryIO,
    image: pyvips.Image,
    encoding: Encoding,
    dpi: float,
    let_go: Callable[[], None] | None,
) -> None:
    """Write a TIFF without libvips, which would compress on one core; `image` holds what is to be said with it."""

    def field(name: str) -> Any:
        return image.get(name) if image.get_typeof(name) else None

    said = tiff.Said(profile(encoding.space), dpi, field("image-description"), field("xmp-data"))
    tiff.write_deflated(
        file,
        samples,
        said,
        tile_px=_TILE_PX if encoding.tiled else None,
        rows_a_strip=_rows_a_strip(image),
        big=_needs_bigtiff(image, encoding),
        let_go=let_go,
    )


def _rows_a_strip(image: pyvips.Image) -> int:
    return max(1, min(64, _STRIP_BYTES // (int(image.width) * _pixel_bytes(image))))


def _needs_bigtiff(image: pyvips.Image, encoding: Encoding) -> bool:
    height, width = image.height, image.width
    if encoding.tiled:
        height, width = -(-height // _TILE_PX) * _TILE_PX, -(-width // _TILE_PX) * _TILE_PX
    return bool(height * width * _pixel_bytes(image) * _WORST_GROWTH[encoding.compression] > _CLASSIC_TIFF_BYTES)


def _pixel_bytes(image: pyvips.Image) -> int:
    bands: int = image.bands
    return bands * (2 if image.format == "ushort" else 1)


def _options(kind: Format, image: pyvips.Image, encoding: Encoding) -> dict[str, object]:
    """Choose the encoder's settings, by processor time and size of a 4096 x 4096 print with fine noise.

    PNG, 16 bits: level 3 makes 72 MB in 1.6 s with the filter "up" and in 3.1 s
    with all filters; 8 bits: 21 MB in 0.6 s with "up", 20 MB in 0.9 s with all, 19 MB in 2.1 s with all at level 6.
    """
    sixteen = image.format == "ushort"
    if kind is JPEG:
        return {"Q": encoding.quality or _QUALITY, "subsample_mode": "off", "optimize_coding": True}
    if kind is WEBP:
        return {"Q": encoding.quality or _QUALITY, "smart_subsample": True}
    if kind is PNG:
        return {"compression": 3, "filter": "up" if sixteen else "all", "bitdepth": 16 if sixteen else 8}
    layout: dict[str, object] = {"tile_height": _rows_a_strip(image)}
    if encoding.tiled:
        layout = {"tile": True, "tile_width": _TILE_PX, "tile_height": _TILE_PX}
    if encoding.compression != "none":
        layout["predictor"] = "horizontal"
    bigtiff = _needs_bigtiff(image, encoding)
    return {"compression": encoding.compression, "resunit": "inch", "bigtiff": bigtiff, **layout}
