"""Radial power spectrum: how energy falls from coarse to fine; peaks betray grids and checkerboards."""

from __future__ import annotations

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.losses.luma import luma


def radial_spectrum(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean log10 power of luma on rings of equal frequency, averaged over (N, 3, H, W) in [-1, 1].

    Returns frequencies (R,) in cycles a pixel, evenly spaced up to 0.5, and log10 power (R,), float64. The mean is
    taken off and a Hann window laid over each picture, so that its borders do not pass for detail. Raises
    UpimagineError under 16 px.
    """
    height, width = pictures.shape[-2:]
    if min(height, width) < 16:
        raise UpimagineError(f"picture of {width}x{height} px is too small for a spectrum; give at least 16x16")
    y = luma(pictures.double())
    y = y - y.mean((1, 2), keepdim=True)
    window = torch.hann_window(height, dtype=y.dtype)[:, None] * torch.hann_window(width, dtype=y.dtype)[None]
    power = torch.fft.fft2(y.cpu() * window).abs().square() / window.square().sum()  # (N, H, W)
    fy, fx = torch.fft.fftfreq(height, dtype=y.dtype)[:, None], torch.fft.fftfreq(width, dtype=y.dtype)[None]
    rings = min(height, width) // 2
    ring = ((fy.square() + fx.square()).sqrt() * 2 * rings).round().long().flatten()  # ring r lies at r / (2 rings)
    inside = (ring >= 1) & (ring <= rings)
    count = torch.bincount(ring[inside], minlength=rings + 1)
    total = torch.zeros(len(y), rings + 1, dtype=y.dtype).index_add_(1, ring[inside], power.flatten(1)[:, inside])
    mean_power = total[:, 1:] / count[1:]
    # 1e-20 stands for nothing at all: a flat picture has a finite spectrum.
    return torch.arange(1, rings + 1, dtype=y.dtype) / (2 * rings), mean_power.clamp_min(1e-20).log10().mean(0)


def spectral_slope(pictures: Tensor, low: float = 0.03, high: float = 0.4) -> float:
    """Slope of log power over log frequency between `low` and `high` cycles a pixel, by least squares.

    About -2 for photographs (Field 1987), 0 for white noise; steeper is blurrier. Every octave weighs alike.
    """
    frequencies, log_power = radial_spectrum(pictures)
    band = (frequencies >= low) & (frequencies <= high)
    if int(band.sum()) < 3:
        raise ValueError(f"fewer than 3 rings between {low} and {high} cycles a pixel")
    x, y = frequencies[band].log10(), log_power[band]
    weight = 1 / frequencies[band]  # rings lie evenly in frequency, hence crowd at the top of a log scale
    x = x - (weight * x).sum() / weight.sum()
    y = y - (weight * y).sum() / weight.sum()
    return float((weight * x * y).sum() / (weight * x.square()).sum())
