"""Half-tone: the dots of a printed picture that was scanned."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from upimagine.data.quality.arrays import Grey, median

_TILE_PX = 64
_MOST_TILES = 64  # spread over the picture; more do not change the median
_RINGS = 46  # one a step of 1/64 cycle a pixel, up to the corner


def halftone(grey: Grey) -> float | None:
    """Height of the highest peak of the spectrum over what is usual at its frequency, in dB.

    A screen of dots has one frequency all over the picture and stands 25 dB and more out of it; textures, which differ
    from place to place, stay under 15. The spectrum is the median over tiles of 64 px with a Hann window; frequencies
    under 0.1 cycles a pixel and beside the axes, where edges and JPEG's blocks lie, do not count. Our own measure.
    None under 64 px.
    """
    if min(grey.shape) < _TILE_PX:
        return None
    tiles = _tiles(grey)
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * _window()
    power = np.abs(np.fft.rfft2(tiles)) ** 2
    typical = np.median(10 * np.log10(power + 1.0), axis=0)  # (64, 33) dB
    ring, counts = _frequencies()
    usual = np.array([median(typical[ring == each]) for each in range(_RINGS)])
    return float((typical - usual[ring])[counts].max())


def _tiles(grey: Grey) -> Grey:
    """(N, 64, 64): a regular grid, half-overlapping where the picture is small."""
    starts = []
    for side in grey.shape:
        count = min(int(_MOST_TILES**0.5), (side - _TILE_PX) // (_TILE_PX // 2) + 1)
        starts.append(np.linspace(0, side - _TILE_PX, count).astype(int))
    return np.stack([grey[y : y + _TILE_PX, x : x + _TILE_PX] for y in starts[0] for x in starts[1]])


@functools.cache
def _window() -> Grey:
    hann = np.hanning(_TILE_PX).astype(np.float32)
    return np.asarray(np.outer(hann, hann), np.float32)


@functools.cache
def _frequencies() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which ring each bin of the half spectrum is in, and which bins count."""
    y = np.abs(np.fft.fftfreq(_TILE_PX))[:, None]
    x = np.fft.rfftfreq(_TILE_PX)[None]
    radius = np.hypot(y, x)
    ring = np.minimum((radius * _TILE_PX).astype(np.int64), _RINGS - 1)
    return ring, (radius > 0.1) & (radius < 0.6) & (y > 0.04) & (x > 0.04)
