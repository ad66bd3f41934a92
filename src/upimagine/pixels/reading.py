"""Picture files to tensors: decoded strictly, upright, in sRGB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyvips
import torch
from torch import Tensor

from upimagine.errors import PictureError
from upimagine.pixels import exif, notes, tiles, xmp
from upimagine.pixels.colour import to_srgb
from upimagine.pixels.picture import Picture
from upimagine.pixels.vips import UNSTATED_DPI, enter, reason

_JPEG = "jpegload_source"

# How files begin; the suffix is never believed. The sizes of strips are TIFF's own business: max_pixels guards memory.
_LOADERS: tuple[tuple[re.Pattern[bytes], str, dict[str, object]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _JPEG, {}),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "pngload_source", {}),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "tiffload_source", {"unlimited": True}),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webpload_source", {}),
    (re.compile(rb"GIF8"), "gifload_source", {}),
    (re.compile(rb"....ftyp(avif|heic|heix|mif1)", re.DOTALL), "heifload_source", {}),
)


def read(
    path: str | Path,
    *,
    max_pixels: int = 400_000_000,
    content: bytes | None = None,
    least_px: int | None = None,
) -> Picture:
    """Read a JPEG, PNG, TIFF, WebP, GIF or AVIF picture (of several pages, the first).

    Args:
        path: the file.
        max_pixels: refuse a header that declares more, before anything is decoded.
        content: the file as bytes, when it lies in an archive; `path` is then only what errors call it.
        least_px: a look is enough: a JPEG may be decoded, several times faster, at a half, quarter or eighth of its
            size as long as its shorter side keeps so many pixels. Other formats come whole. `dpi` stays the file's.

    Raises:
        PictureError: missing, no picture, cut short, damaged, too large; one line that names the file.
        RuntimeError: in a process forked after pictures were read.
    """
    enter()
    with opened(Path(path), max_pixels, content, least_px) as image:
        bit_depth = 16 if image.format == "ushort" else 8
        dpi, recipe, turned = _dpi(image), notes.find(image), orientation(image)
        said = _exif(image, Path(path), content, recipe), _blob(image, "xmp-data", xmp.MOST_BYTES)
        converted, has_alpha = to_srgb(image)
        samples = torch.from_numpy(converted.numpy())  # (h, w, 3 or 4), as the camera lay
    straight = upright(samples.permute(2, 0, 1), turned)  # (3 or 4, H, W)
    half = 127.5 if samples.dtype == torch.uint8 else 32767.5
    plain = torch.contiguous_format
    pixels = straight[:3].to(torch.float32, memory_format=plain).div_(half).sub_(1)
    alpha = straight[3:].to(torch.float32, memory_format=plain).div_(2 * half) if has_alpha else None
    return Picture(pixels, alpha, bit_depth, dpi, recipe, *said)


def read_rows(path: str | Path, rows_px: int = 256) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Read a picture of any size from top to bottom, never all of it: (3, h, W) in [-1, 1] and alpha (1, h, W) if any.

    h is `rows_px` for all strips but the last. Together they are what `read` gives.

    Raises:
        PictureError: as `read`, while reading; also for a picture that lies turned, as EXIF tells.
    """
    enter()
    with opened(Path(path), None) as image:
        if orientation(image) != 1:
            raise PictureError("lies turned, which strips cannot follow; save it upright")
        converted, has_alpha = to_srgb(image)
        half = 32767.5 if converted.format == "ushort" else 127.5
        kind = np.uint16 if converted.format == "ushort" else np.uint8
        region = pyvips.Region.new(converted)
        for top in range(0, converted.height, rows_px):
            height = min(rows_px, converted.height - top)
            samples = np.frombuffer(region.fetch(0, top, converted.width, height), kind)
            strip = torch.from_numpy(samples.reshape(height, converted.width, -1).astype(np.float32)).permute(2, 0, 1)
            yield strip[:3].div(half).sub_(1), strip[3:].div(2 * half) if has_alpha else None


def read_size(path: str | Path) -> tuple[int, int]:
    """Read (height, width) of the upright picture from the header alone.

    Raises:
        PictureError: missing or no picture.
    """
    with opened(Path(path), None) as image:
        turned = orientation(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_recipe(path: str | Path) -> str | None:
    """Read the embedded recipe from the header alone, or that of a .dzi; None where there is none.

    Raises:
        PictureError: missing, no picture, or a damaged recipe.
    """
    if tiles.is_pyramid(Path(path)):
        return tiles.read_recipe(Path(path))
    with opened(Path(path), None) as image:
        return notes.find(image)


@contextmanager
def opened(
    path: Path, max_pixels: int | None, content: bytes | None = None, least_px: int | None = None
) -> Iterator[pyvips.Image]:
    """Open a file and parse its header; what goes wrong inside the block becomes one line with the file's name."""
    try:
        # Opened here and not by libvips, which takes "a[1].png" for a name with options.
        with _bytes(path, content) as file:
            head = file.read(16)
            file.seek(0)
            if content is None and tiles.is_pyramid(path):
                raise PictureError("is a pyramid of tiles, which is only written; open the picture it was made with")
            loader, options = _loader(head)
            source = _source(file, content)
            load = getattr(pyvips.Image, loader)
            # libvips' default shows half a picture in grey; "error" is the level at which every format speaks up.
            image = load(source, access="sequential", fail_on="error", **options)
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise PictureError(
                    f"declares {image.width} x {image.height} pixels, more than {max_pixels} at most; make it smaller"
                )
            shrink = _shrink(image, least_px) if loader == _JPEG else 1
            if shrink > 1:
                file.seek(0)
                image = load(_source(file, content), access="sequential", fail_on="error", shrink=shrink)
            yield image
    except FileNotFoundError as error:
        raise PictureError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise PictureError(f"{path}: is a folder, not a picture") from error
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    except pyvips.Error as error:
        raise PictureError(
            f"{path}: is damaged, cut short or of a rare kind ({reason(error)}); fetch or save it again"
        ) from error


def _bytes(path: Path, content: bytes | None) -> BinaryIO:
    return path.open("rb") if content is None else BytesIO(content)


def _source(file: BinaryIO, content: bytes | None) -> pyvips.Source:
    if content is None:
        return pyvips.Source.new_from_descriptor(file.fileno())
    return pyvips.Source.new_from_memory(content)


def _loader(head: bytes) -> tuple[str, dict[str, object]]:
    if not head:
        raise PictureError("is empty; fetch it again")
    for beginning, loader, options in _LOADERS:
        if beginning.match(head):
            return loader, options
    raise PictureError("is no JPEG, PNG, TIFF, WebP, GIF or AVIF picture, whatever its name says")


def _shrink(image: pyvips.Image, least_px: int | None) -> int:
    """The largest reduction, of those that JPEG's transform gives for nothing, that leaves so many pixels."""
    shorter = min(image.width, image.height)
    return next((by for by in (8, 4, 2) if least_px is not None and shorter // by >= least_px), 1)


def orientation(image: pyvips.Image) -> int:
    """EXIF orientation, 1 to 8; anything else counts as upright."""
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return int(value) if 1 <= value <= 8 else 1


def _blob(image: pyvips.Image, name: str, most_bytes: int) -> bytes | None:
    """Metadata as the file holds it, if it has any, and no more than that."""
    content = bytes(image.get(name)) if image.get_typeof(name) else b""
    return content if 0 < len(content) <= most_bytes else None


def _exif(image: pyvips.Image, path: Path, content: bytes | None, recipe: str | None) -> bytes | None:
    if image.get("vips-loader") != "tiffload_source":
        block = _blob(image, "exif-data", exif.MOST_BYTES)
        return block.removeprefix(exif.HEADING) if block is not None else None
    # libvips passes over it; opened anew, for the decoder reads at its own pace from the other one.
    with _bytes(path, content) as file:
        said = exif.parse(file)
    if said is not None and recipe is not None:
        said = exif.without_description(said, recipe)
    return exif.to_bytes(said) if said is not None else None


def upright(samples: Tensor, orientation: int) -> Tensor:
    """Turn (C, h, w) as stored to (C, H, W) as meant (Exif 2.3, tag 274). Views only."""
    if orientation >= 5:  # the stored rows are the picture's columns
        samples = samples.transpose(1, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples.flip(2)
    if orientation in (3, 4, 7, 8):
        samples = samples.flip(1)
    return samples


def _dpi(image: pyvips.Image) -> float | None:
    dpi = float(image.xres) * 25.4
    if image.get_typeof("exif-ifd0-XResolution"):  # the only place a WebP keeps it
        unit = image.get("exif-ifd0-ResolutionUnit") if image.get_typeof("exif-ifd0-ResolutionUnit") else ""
        stated = re.match(r"(\d+)/([1-9]\d*) ", image.get("exif-ifd0-XResolution"))
        if stated is not None and image.xres == 1:
            dpi = int(stated[1]) / int(stated[2]) * (2.54 if unit.startswith("3 ") else 1)
    # 25.4 and 72 are what libvips, and most programs, put where nobody said: no print is meant by them.
    return None if min(abs(dpi - 25.4), abs(dpi - UNSTATED_DPI)) < 0.1 else round(dpi, 2)
