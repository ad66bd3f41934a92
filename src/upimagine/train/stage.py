"""What an earlier stage really makes, as low-res planes for training the one behind it."""

from __future__ import annotations

import torch
from torch import Tensor

from upimagine.data.folder import to_uint8
from upimagine.errors import UpimagineError
from upimagine.guide.kinds import guide_named
from upimagine.models.loaded import LoadedGenerator, LoadedUpscaler
from upimagine.pixels.resizing import resize_antialiased, shrink_area
from upimagine.roles import Guide

_WINDOW_PX = 32  # of a J-net's tile
_AT_ONCE = 16


def restaged(stage: LoadedUpscaler, low: Tensor) -> Tensor:
    """A plane (1, 3, h, w) as the stage makes it of one so many times smaller: same shape, whose truth is known.

    The stage's tiles overlap by half and are blended by ramps, as they are when it enlarges. Raises UpimagineError when
    the plane is smaller than one of its tiles.
    """
    height, width = low.shape[2:]
    scale, window = stage.scale, stage.window_px
    small_px = (height // scale, width // scale)
    if min(small_px) < window:
        raise UpimagineError(
            f"--from-stage {stage.file.path.name} makes {window * scale} px at least, the low-res plane here is "
            f"{width}x{height}; give larger pictures or a stage with smaller tiles"
        )
    seen = shrink_area(low, small_px)
    if stage.guide_channels:
        guide = guide_named(stage.guide_kind)
        drawn = None if guide is None else guide.draw(low, small_px)
        empty = low.new_full((1, stage.guide_channels, *small_px), -1.0)
        seen = torch.cat((seen, empty if drawn is None else drawn), dim=1)
    places = [(y, x) for y in _starts(small_px[0], window) for x in _starts(small_px[1], window)]
    ramp = 1 - (torch.arange(window * scale) * 2 + 1 - window * scale).abs() / (window * scale)
    weight = ramp[:, None] * ramp
    total, weights = (
        low.new_zeros(3, small_px[0] * scale, small_px[1] * scale),
        low.new_zeros(small_px[0] * scale, small_px[1] * scale),
    )
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        made = stage.upscale(torch.cat([seen[:, :, y : y + window, x : x + window] for y, x in some])).float().cpu()
        for (y, x), tile in zip(some, made, strict=True):
            rows, columns = (slice(start * scale, (start + window) * scale) for start in (y, x))
            total[:, rows, columns] += weight * tile
            weights[rows, columns] += weight
    return resize_antialiased((total / weights)[None], (height, width))


def _starts(side: int, window: int) -> list[int]:
    """Where windows begin, half a window apart, the last one at the end."""
    return sorted({*range(0, side - window, max(1, window // 2)), side - window})


def sampled_planes(stage: LoadedGenerator, guide: Guide | None, count: int, seed: int) -> list[Tensor]:
    """Low-res planes (3 + guide channels, h, w) uint8 of pictures that a generator makes, whose truth nobody knows.

    The way they go when they are enlarged: guided at their own size, then reduced to three quarters of it. Raises
    UpimagineError when that is smaller than a tile.
    """
    side = stage.size_px * 3 // 4
    if side < _WINDOW_PX:
        raise UpimagineError(
            f"--from-stage {stage.file.path.name} makes pictures of {stage.size_px} px; tiles of {_WINDOW_PX} px need "
            f"{_WINDOW_PX * 4 // 3 + 1} px at least"
        )
    random = torch.Generator().manual_seed(seed)
    planes: list[Tensor] = []
    for first in range(0, count, _AT_ONCE):
        latents = torch.randn(min(_AT_ONCE, count - first), stage.latent_dim, generator=random)
        for picture in stage.generate(latents).float().cpu():
            low = resize_antialiased(picture[None], (side, side))
            if guide is not None:
                drawn = guide.draw(picture[None], (side, side))
                empty = low.new_full((1, guide.channels, side, side), -1.0)
                low = torch.cat((low, empty if drawn is None else drawn), dim=1)
            planes.append(to_uint8(low[0]))
    return planes
