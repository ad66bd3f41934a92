"""Distance between a picture and the truth as VGG16 sees them, exact on pictures of any size in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.nets.vgg import DEFAULT_LAYERS, Vgg16Features

# A relu4_3 cell over input px 8p..8p+7 reads 8p-42..8p+49; rounded up to the stride, so that tiles stay aligned.
_HALO_PX = 48
_STRIDE_PX = 8


@dataclass(frozen=True)
class FeatureDistance:
    """Two distances of one output to its truth; 0 is equality and lower is nearer."""

    l1: float
    """Mean over layers of mean |f(output) - f(truth)| / mean |f(truth)|."""
    unit: float
    """Channels normalised to unit length at every place, squared difference summed over channels, mean over places and
    layers: LPIPS (Zhang et al. 2018, 1801.03924) without its learned heads; 0 to 2."""
    l1_by_layer: dict[str, float]
    unit_by_layer: dict[str, float]


def feature_distance(
    features: Vgg16Features,
    output: Tensor,
    truth: Tensor,
    *,
    layers: Sequence[str] = DEFAULT_LAYERS,
    tile_px: int = 384,
) -> FeatureDistance:
    """Compare (1, 3, H, W) with its truth of the same shape, both in [-1, 1], each side at least 16 px.

    The picture is walked in tiles of `tile_px` (a multiple of 8) with a halo wider than the receptive field of
    relu4_3, so the result is that of the whole picture while the memory is that of a tile.

    Raises UpimagineError when the shapes differ or the pictures are too small.
    """
    if output.shape != truth.shape or output.ndim != 4 or output.shape[:2] != (1, 3):
        raise UpimagineError(
            f"output {tuple(output.shape)} and truth {tuple(truth.shape)} must both be (1, 3, H, W) and of one size"
        )
    height, width = truth.shape[-2:]
    if min(height, width) < 2 * _STRIDE_PX:
        raise UpimagineError(f"picture of {width}x{height} px is too small for VGG16 features; give at least 16x16")
    if tile_px <= 0 or tile_px % _STRIDE_PX:
        raise ValueError(f"tile_px must be a positive multiple of {_STRIDE_PX}, got {tile_px}")
    device = features.mean.device
    absolute = dict.fromkeys(layers, 0.0)
    activation = dict.fromkeys(layers, 0.0)
    squared = dict.fromkeys(layers, 0.0)
    places = dict.fromkeys(layers, 0)
    with torch.inference_mode():
        for top, bottom, core_y in _spans(height, tile_px):
            for left, right, core_x in _spans(width, tile_px):
                a = features(output[..., top:bottom, left:right].float().to(device), layers)
                b = features(truth[..., top:bottom, left:right].float().to(device), layers)
                for name in layers:
                    shrink = 2 ** (int(name[4]) - 1)  # relu{block}_{n}: each block before it halved the map
                    cut = (..., _core(core_y, top, height, shrink), _core(core_x, left, width, shrink))
                    fa, fb = a.pop(name)[cut], b.pop(name)[cut]  # popped: each map goes as soon as it is counted
                    absolute[name] += _total((fa - fb).abs().mean(1))
                    activation[name] += _total(fb.mean(1))  # behind a ReLU: never negative
                    squared[name] += _total(_unit(fa).sub_(_unit(fb)).square_().sum(1))
                    places[name] += fb.shape[-2] * fb.shape[-1]
    l1 = {name: absolute[name] / max(activation[name], 1e-12) for name in layers}
    unit = {name: squared[name] / places[name] for name in layers}
    return FeatureDistance(sum(l1.values()) / len(l1), sum(unit.values()) / len(unit), l1, unit)


def _spans(side_px: int, tile_px: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Tiles along one side: start and end of what is read, and (start, end) of the core that is counted."""
    for start in range(0, side_px, tile_px):
        end = min(start + tile_px, side_px)
        yield max(0, start - _HALO_PX), min(side_px, end + _HALO_PX), (start, end)


def _core(core: tuple[int, int], read_from: int, side_px: int, shrink: int) -> slice:
    """The core in cells of a map that is `shrink` times smaller; pooling drops a ragged last cell, and so do we."""
    start, end = core
    last = side_px // shrink if end == side_px else end // shrink
    return slice((start - read_from) // shrink, last - read_from // shrink)


def _total(values: Tensor) -> float:
    """Sum in float64, since a large picture has millions of places."""
    return float(values.sum(dtype=torch.float64))


def _unit(maps: Tensor) -> Tensor:
    """Channels at every place scaled to length 1; a place where nothing fires stays 0."""
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + 1e-10)
