"""Training pairs for up-imagining: aligned tiles of large pictures and of their low-res planes with guides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from upimagine.data.degrade import blur, checkerboard, jpeg, quantised
from upimagine.data.folder import drawn_at, to_float, to_uint8
from upimagine.data.found import Found
from upimagine.data.rasters import Rasters
from upimagine.errors import PictureError
from upimagine.pixels.resizing import resize_antialiased, shrink_area
from upimagine.roles import Guide


@dataclass(frozen=True)
class TileSource:
    """One large picture and its low-res plane, both uint8, the plane with guide channels behind the colours."""

    high: Tensor  # (3, 8h, 8w)
    low: Tensor  # (3 + guide, h, w)
    staged: Tensor | None = None  # (3, h, w): the plane's colours as an earlier stage makes them of a smaller one


@dataclass(frozen=True)
class TileAugment:
    """How training tiles are varied. Colour changes are the same for both members of a pair."""

    flip: bool = True  # mirror tile and guide together
    hue_degrees: float = 20.0  # rotation of the colours about the grey axis, up to this either way
    saturation: float = 0.3  # chroma times 1 +- this
    contrast: float = 0.15  # times 1 +- this about mid-grey
    brightness: float = 0.1  # plus or minus this, pixels being in [-1, 1]
    blur_px: float = 0.7  # Gaussian blur of the low-res tile alone, sigma up to this in low-res pixels
    noise: float = 0.02  # Gaussian noise on the low-res tile alone, sigma up to this
    checkerboard: float = 0.0  # on every second low-res tile what deconvolutions leave, amplitude up to this
    levels: int = 0  # every second low-res tile in as few levels a colour as this, or more; 0: as it is
    jpeg: int = 0  # every second low-res tile through JPEG, quality down to this; 0: never

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        for name in ("hue_degrees", "saturation", "contrast", "brightness", "blur_px", "noise", "checkerboard"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        if self.levels and not 2 <= self.levels <= 256:
            return f"--levels {self.levels} cannot work; use 2 to 256, or 0 for none"
        if not 0 <= self.jpeg <= 100:
            return f"--jpeg {self.jpeg} cannot work; use a quality of 1 to 100, or 0 for none"
        return None


def low_plane(high: Tensor, factor: int = 8) -> Tensor:
    """(N, 3, 8h, 8w) to (N, 3, h, w) by the way a generated picture goes: area-reduced to 4/3 of the plane, then an
    anti-aliased step onto it (128 to 96 for a picture of 768), which smooths what a generator leaves."""
    return resize_antialiased(between_plane(high, factor), (high.shape[2] // factor, high.shape[3] // factor))


def between_plane(high: Tensor, factor: int = 8) -> Tensor:
    """(N, 3, 8h, 8w) to (N, 3, 4h/3, 4w/3): the size of a generator's picture, where landmarks are looked for."""
    size = tuple(round(side / factor * 4 / 3) for side in high.shape[2:])
    return shrink_area(high, (size[0], size[1]))


def tile_source(
    found: Found,
    scale: float,
    guide: Guide | None,
    window_px: int = 32,
    factor: int = 8,
    rasters: Rasters | None = None,
) -> TileSource:
    """Read a picture, shrink it by `scale`, and make its low-res plane and guide: drawn by one, or of the user's.

    A picture in which the guide finds nothing gets an empty guide (all -1), as when it is enlarged without one.
    Raises PictureError when it is too small for one tile, or its raster is missing or does not fit.
    """
    picture = found.read().pixels[None]
    full_px = (picture.shape[2], picture.shape[3])
    unit = factor * 3  # so that the plane's 4/3 is whole, too
    height, width = (max(round(side * scale) // unit * unit, 0) for side in picture.shape[2:])
    if min(height, width) < window_px * factor:
        raise PictureError(
            f"{found.path} is {picture.shape[3]}x{picture.shape[2]}; it is passed over, "
            f"tiles need {window_px * factor} px"
        )
    raster = None if rasters is None else rasters.of(found.path, full_px)
    if raster is not None and scale == 1.0:  # the same part of it as of the picture
        shown = [
            round(have * used / full)
            for have, used, full in zip(raster.shape[2:], (height, width), full_px, strict=True)
        ]
        raster = raster[:, :, : shown[0], : shown[1]]
    picture = picture[:, :, :height, :width] if scale == 1.0 else resize_antialiased(picture, (height, width))
    between = between_plane(picture, factor)
    low = resize_antialiased(between, (height // factor, width // factor))
    if raster is not None:
        low = torch.cat((low, resize_antialiased(raster, (low.shape[2], low.shape[3]))), 1)
    elif guide is not None:
        drawn = guide.draw(between, (low.shape[2], low.shape[3]))
        low = torch.cat(
            (low, torch.full_like(low[:, :1], -1).repeat(1, guide.channels, 1, 1) if drawn is None else drawn), 1
        )
    return TileSource(to_uint8(picture[0]), to_uint8(low[0]))


def tile_at(
    sources: list[TileSource],
    position: int,
    seed: int,
    augment: TileAugment,
    window_px: int = 32,
    factor: int = 8,
    staged_share: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The training pair at this position of the endless stream: low (C, w, w) and high (3, 8w, 8w) in [-1, 1].

    Every source is visited once an epoch; the window inside it is drawn on the low-res grid. `staged_share` of the
    tiles have the colours that an earlier stage made.
    """
    index, random = drawn_at(position, len(sources), seed)
    source = sources[index]
    y = int(random.integers(0, source.low.shape[1] - window_px + 1))
    x = int(random.integers(0, source.low.shape[2] - window_px + 1))
    low = to_float(source.low[:, y : y + window_px, x : x + window_px])
    if source.staged is not None and random.random() < staged_share:
        low = torch.cat((to_float(source.staged[:, y : y + window_px, x : x + window_px]), low[3:]))
    top, left, side = y * factor, x * factor, window_px * factor
    high = to_float(source.high[:, top : top + side, left : left + side])
    if augment.flip and random.random() < 0.5:
        low, high = low.flip(2), high.flip(2)
    matrix, offset = _colour_change(random, augment)
    colours = _degraded(_change(low[:3], matrix, offset), augment, random)
    return torch.cat((colours, low[3:])), _change(high, matrix, offset)


def low_tile_at(planes: list[Tensor], position: int, seed: int, augment: TileAugment, window_px: int = 32) -> Tensor:
    """As `tile_at`, of planes (C, h, w) uint8 whose truth nobody knows: low (C, w, w) alone."""
    index, random = drawn_at(position, len(planes), seed)
    _, height, width = planes[index].shape
    y, x = (int(random.integers(0, side - window_px + 1)) for side in (height, width))
    low = to_float(planes[index][:, y : y + window_px, x : x + window_px])
    if augment.flip and random.random() < 0.5:
        low = low.flip(2)
    # Colours change as the pairs' do, and nothing is degraded: what a stage leaves is there already.
    return torch.cat((_change(low[:3], *_colour_change(random, augment)), low[3:]))


def _degraded(colours: Tensor, augment: TileAugment, random: np.random.Generator) -> Tensor:
    """(3, w, w) with what a generator might have left; each kind on half of the tiles."""
    if augment.blur_px > 0 and random.random() < 0.5:
        colours = blur(colours, float(random.uniform(0.2, augment.blur_px)))
    if augment.noise > 0 and random.random() < 0.5:
        noise = random.standard_normal(colours.shape, dtype=np.float32) * random.uniform(0, augment.noise)
        colours = (colours + torch.from_numpy(noise.astype(np.float32))).clamp(-1, 1)
    if augment.checkerboard > 0 and random.random() < 0.5:
        colours = checkerboard(colours, float(random.uniform(0, augment.checkerboard)), random)
    if augment.levels and random.random() < 0.5:
        colours = quantised(colours, int(random.integers(augment.levels, max(4 * augment.levels, 32) + 1)))
    if augment.jpeg and random.random() < 0.5:
        colours = jpeg(colours, int(random.integers(augment.jpeg, 101)))
    return colours


def _colour_change(random: np.random.Generator, augment: TileAugment) -> tuple[Tensor, Tensor]:
    """An affine colour map (3, 3), (3, 1, 1): hue, saturation, contrast, brightness."""
    angle = math.radians(random.uniform(-augment.hue_degrees, augment.hue_degrees))
    chroma = random.uniform(1 - augment.saturation, 1 + augment.saturation)
    contrast = random.uniform(1 - augment.contrast, 1 + augment.contrast)
    offset = random.uniform(-augment.brightness, augment.brightness)
    grey = np.full((3, 3), 1 / 3)  # projection on the grey axis
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # axis x v
    rotated = math.cos(angle) * (np.eye(3) - grey) + math.sin(angle) * cross  # Rodrigues about (1, 1, 1)
    matrix = contrast * (grey + chroma * rotated)
    return torch.from_numpy(matrix.astype(np.float32)), torch.full((3, 1, 1), float(offset))


def _change(picture: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """(3, H, W) through the colour map, clamped to [-1, 1]."""
    return ((matrix @ picture.flatten(1)).view_as(picture) + offset).clamp_(-1, 1)
