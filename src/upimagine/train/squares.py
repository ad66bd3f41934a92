"""Training pictures for generators: the largest centred square of each, all of one size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from upimagine.data.folder import Decoded, decode, drawn_at, to_float, to_uint8
from upimagine.data.sources import opened
from upimagine.errors import PictureError
from upimagine.pixels.resizing import resize_antialiased

_SMALLEST_PX = 16  # a picture smaller than this would be nothing but blur


def decode_squares(data: list[Path], size_px: int, on_skip: Callable[[Path, str], None]) -> Decoded:
    """Read all pictures of folders and archives as (3, size_px, size_px); those that cannot be used go to `on_skip`."""
    with opened(data) as found:
        pictures = decode(found, lambda picture: to_uint8(centre_square(picture.read().pixels, size_px, picture.path)))
    for path, reason in pictures.skipped:
        on_skip(path, reason)
    return pictures


def centre_square(picture: Tensor, size_px: int, path: Path) -> Tensor:
    """(3, H, W) to (3, size_px, size_px): the largest centred square, anti-aliased. Raises PictureError if tiny."""
    _, height, width = picture.shape
    side = min(height, width)
    if side < _SMALLEST_PX:
        raise PictureError(f"{path} is only {width}x{height}; pictures below {_SMALLEST_PX} px are passed over")
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[None, :, top : top + side, left : left + side]
    if side == size_px:
        return square[0]
    return resize_antialiased(square, (size_px, size_px))[0]


def drawn_squares(pictures: list[Tensor], position: int, count: int, seed: int, flip: bool) -> tuple[Tensor, list[int]]:
    """(count, 3, S, S) from this position of the endless stream on, mirrored by chance; and which they are."""
    chosen, which = [], []
    for place in range(position, position + count):
        index, random = drawn_at(place, len(pictures), seed)
        picture = pictures[index]
        chosen.append(picture.flip(2) if flip and random.random() < 0.5 else picture)
        which.append(index)
    return to_float(torch.stack(chosen)), which
