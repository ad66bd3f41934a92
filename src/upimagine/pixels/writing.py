"""Tensors to a picture file, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from upimagine.pixels.encoding import store
from upimagine.pixels.formats import Encoding, plan
from upimagine.pixels.samples import to_samples


def write(
    path: str | Path,
    pixels: Tensor,
    *,
    alpha: Tensor | None = None,
    bit_depth: int = 8,
    dpi: float | None = None,
    recipe: str | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    overwrite: bool = False,
    quality: int | None = None,
    encoding: Encoding | None = None,
) -> None:
    """Write a picture as PNG or TIFF (8 or 16 bits), JPEG, WebP or a pyramid of tiles (.dzi, 8 bits), by suffix.

    Args:
        path: the file; its folder is made if need be. NAME.dzi gets a folder NAME_files beside it.
        pixels: (3, H, W) or (1, 3, H, W) in [-1, 1], sRGB-encoded; values beyond are clamped.
        alpha: (1, H, W) or (1, 1, H, W) in [0, 1], straight; not for JPEG and tiles.
        bit_depth: bits a channel, 8 or 16.
        dpi: print resolution to state in the file; a pyramid has none.
        recipe: text to embed, which `read_recipe` gives back.
        exif: EXIF block to carry over, as `Picture.exif` gives it or with JPEG's heading. Orientation, size, resolution
            and colour space are put right, the thumbnail is dropped, all else stays, places included. Damaged or too
            large, it is dropped. Not for pyramids.
        xmp: XMP packet to carry over, in the same way; the recipe becomes a guest in it.
        overwrite: replace an existing file.
        quality: short for `encoding.quality`.
        encoding: colour space, dithering, compression and layout; None is sRGB, undithered, deflate.

    Raises:
        PictureError: the format cannot hold it, or a pixel is NaN or infinite.
        UpimagineError: the file exists, or cannot be written (full disk, no permission).
        ValueError: shapes that are no picture.
    """
    path = Path(path)
    encoding = encoding or Encoding()
    if quality is not None:
        encoding = replace(encoding, quality=quality)
    pixels = _one(pixels, 3)
    height, width = pixels.shape[1:]
    kind = plan(path, height, width, bit_depth, alpha is not None, dpi)
    if alpha is not None:
        alpha = _one(alpha, 1)
        if alpha.shape[1:] != pixels.shape[1:]:
            raise ValueError(f"alpha {tuple(alpha.shape)} does not cover pixels {tuple(pixels.shape)}")
    samples = to_samples(pixels, alpha, bit_depth, path, encoding)  # (H, W, 3 or 4)
    store(samples, path, kind, encoding, dpi=dpi, recipe=recipe, exif_block=exif, xmp=xmp, overwrite=overwrite)


def _one(tensor: Tensor, channels: int) -> Tensor:
    """Take the one picture out of a batch of one."""
    single = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if single.ndim != 3 or single.shape[0] != channels:
        raise ValueError(f"one picture is ({channels}, H, W) or (1, {channels}, H, W), not {tuple(tensor.shape)}")
    return single
