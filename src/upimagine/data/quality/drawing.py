"""Drawings and cartoons: hard outlines around flat areas, or few levels."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey, Rgb8

_FLAT, _LIVE, _HARD = 4, 6, 60  # range of levels among a pixel and its eight neighbours
_OUTLINES = 5.0  # brings both signs to one scale
_LEAST_RANGE = 96  # of 255 levels
_BINS, _MODE_BINS, _SMOOTH_BINS = 128, 4, 8.0


def drawn(rgb: Rgb8, grey: Grey) -> float:
    """The stronger of two signs that a picture was drawn, 0 to 1; photographs are mostly under 0.65. Our own measure.

    Hard outlines: share of hard edges among what is not flat, times the fourth root of the flat share (after the
    transitions of Athitsos, Swain and Frankel 1997, "Distinguishing photographs and graphics on the World Wide Web").
    Few levels: how far the histograms stray from smooth ones, in the channel that strays least. Paintings with soft
    edges are not found.
    """
    return min(1.0, max(_OUTLINES * _outlines(grey), _spikes(rgb)))


def _outlines(grey: Grey) -> float:
    square = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(grey, square) - cv2.erode(grey, square)
    live = int(np.count_nonzero(spread >= _LIVE))
    if live == 0:
        return 0.0
    flat, hard = float(np.mean(spread < _FLAT)), int(np.count_nonzero(spread >= _HARD))
    return float(flat**0.25) * hard / live


def _spikes(rgb: Rgb8) -> float:
    """Share of pixels by which a channel's histogram differs from itself smoothed; the fullest level, which may be a
    studio's backdrop, is left out. 0 for pictures of which it is all, and for those as dark or dull as few levels."""
    return min(_spikes_of(rgb[..., channel]) for channel in range(3))


def _spikes_of(channel: np.ndarray) -> float:
    low, high = np.percentile(channel, (0.5, 99.5))
    if high - low < _LEAST_RANGE:
        return 0.0
    counts = np.histogram(channel, _BINS, (0, 256))[0].astype(np.float32)
    mode = int(counts.argmax())
    left_out = slice(max(0, mode - _MODE_BINS), mode + _MODE_BINS + 1)
    counts[left_out] = 0
    total = float(counts.sum())
    if total < 0.1 * channel.size:
        return 0.0
    smooth = cv2.GaussianBlur(counts[None], (0, 0), _SMOOTH_BINS)[0]
    smooth[left_out] = 0
    return float(np.abs(counts - smooth).sum()) / total
