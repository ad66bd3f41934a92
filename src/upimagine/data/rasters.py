"""Guides drawn by the user: raster files of the same names as the pictures, in colours or with a channel a colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import pictures_in
from upimagine.errors import PictureError, UpimagineError

Palette = tuple[tuple[int, int, int], ...]
"""Colours, 0 to 255, in the order of their channels."""

_MOST_COLOURS = 32


class Rasters:
    """Guide rasters in a folder, by the names of their pictures without suffix; or one file, for any picture.

    Without a palette a raster is its three colours; with one it has a channel for each colour, 1 where it is the
    nearest and -1 elsewhere: segmentations and label maps.
    """

    def __init__(self, where: Path, palette: Palette | None = None) -> None:
        """Raises UpimagineError when nothing is there."""
        self._palette = palette
        self.channels = 3 if palette is None else len(palette)
        self._where = where
        self._only = where if where.is_file() else None
        self._named = {} if self._only else {path.stem: path for path in pictures_in(where)}
        if not self._only and not self._named:
            raise UpimagineError(f"{where} holds no guides; draw one for each picture, under its name")

    def path_of(self, picture: Path) -> Path:
        """The raster file of this picture. Raises PictureError when there is none."""
        path = self._only or self._named.get(picture.stem)
        if path is None:
            raise PictureError(f"{picture} has no guide {picture.stem} in {self._where}; it is passed over")
        return path

    def of(self, picture: Path, size_px: tuple[int, int]) -> Tensor:
        """The raster (1, channels, h, w) in [-1, 1], at its own size, of a picture of (height, width).

        Raises PictureError when there is none, it cannot be read, or has other proportions than the picture.
        """
        path = self.path_of(picture)
        raster = pixels.read(path).pixels
        (height, width), (rows, columns) = size_px, raster.shape[1:]
        # As many pixels may be lost to rounding as a reduction by that ratio loses.
        if abs(rows * width - columns * height) > max(height, width):
            raise PictureError(
                f"{path} is {columns}x{rows} for a picture of {width}x{height}: a guide has its picture's proportions; "
                "it is passed over"
            )
        return (raster if self._palette is None else one_hot(raster, self._palette))[None]


def one_hot(raster: Tensor, palette: Palette) -> Tensor:
    """(3, h, w) in [-1, 1] to (len(palette), h, w): 1 where that colour is the nearest, else -1; ties to the first."""
    colours = torch.tensor(palette, dtype=torch.float32) / 127.5 - 1
    nearest = torch.full(raster.shape[1:], torch.inf)
    label = torch.zeros(raster.shape[1:], dtype=torch.int64)
    for index, colour in enumerate(colours):
        distance = (raster - colour[:, None, None]).square().sum(0)
        label = torch.where(distance < nearest, index, label)
        nearest = torch.minimum(distance, nearest)
    return torch.nn.functional.one_hot(label, len(palette)).permute(2, 0, 1).float() * 2 - 1


def palette_of(folder: Path) -> Palette:
    """All colours of the rasters in a folder, sorted, for a channel each.

    Raises UpimagineError for rasters of more than 32 colours: soft edges or JPEG.
    """
    colours: set[tuple[int, int, int]] = set()
    for path in pictures_in(folder):
        levels = ((pixels.read(path).pixels + 1) * 127.5).round().to(torch.int64)
        codes = np.unique((levels[0] << 16 | levels[1] << 8 | levels[2]).numpy()).tolist()
        colours |= {(code >> 16, code >> 8 & 255, code & 255) for code in codes}
        if len(colours) > _MOST_COLOURS:
            raise UpimagineError(
                f"{path}: with this one the guides have {len(colours)} colours; --guide raster-channels wants up to "
                f"{_MOST_COLOURS} flat ones, without soft edges and not as JPEG (or use --guide raster)"
            )
    return tuple(sorted(colours))
