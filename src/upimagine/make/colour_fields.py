"""Tiny pictures by program: a few colours side by side, as an abstract painting looks from across the room."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from upimagine.recipe import ColourFields

_FINER = 4  # drawn so much larger and averaged, so that edges fall between pixels
_SMOOTH, _RAGGED = 3.2, 1.2  # exponents of the fall of amplitude with frequency at roughness 0 and 1
_CHROMA = 0.16  # in Oklab, about as far as printing inks go

# Oklab to linear sRGB (B. Ottosson, "A perceptual color space for image processing", 2020).
_TO_CONES = np.array(
    ((1, 0.3963377774, 0.2158037573), (1, -0.1055613458, -0.0638541728), (1, -0.0894841775, -1.2914855480))
)
_TO_LINEAR = np.array(((4.0767416621, -3.3077115913, 0.2309699292), (-1.2684380046, 2.6097574011, -0.3413193965),
                       (-0.0041960863, -0.7034186147, 1.7076147010)))  # fmt: skip


def colour_field(stage: ColourFields, seed: int, number: int) -> Tensor:
    """The picture (1, 3, size_px, size_px) in [-1, 1] with this number of this seed: always the same.

    Every colour has a field of noise whose amplitude falls with frequency as a power; where a colour's field is
    highest, that colour lies. Colours share two hues and differ in lightness.
    """
    random = np.random.default_rng((seed, number))
    side = stage.size_px * _FINER
    exponent = _SMOOTH + (_RAGGED - _SMOOTH) * stage.roughness
    heights = np.stack([_noise(random, side, exponent) for _ in range(stage.colours)])
    # A colour that is everywhere a little higher is the ground; others are accents.
    heights += np.sort(random.normal(0, 0.5, stage.colours))[:, None, None]
    shares = _softmax(heights / max(stage.softness, 1e-3))
    linear = torch.from_numpy(np.einsum("chw,cr->rhw", shares, _palette(random, stage.colours)))
    small = F.avg_pool2d(linear[None], _FINER).clamp(0, 1)
    encoded = torch.where(small <= 0.0031308, 12.92 * small, 1.055 * small.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
    return (2 * encoded - 1).float()


def _noise(random: np.random.Generator, side: int, exponent: float) -> NDArray[np.float64]:
    """A field (side, side) of mean 0 and deviation 1 that falls off as frequency to the power of -exponent."""
    white = np.fft.rfft2(random.standard_normal((side, side)))
    # Twice the side in one direction at random, so that shapes lie or stand.
    stretch = 2.0 ** random.uniform(-1, 1)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None] * stretch, np.fft.rfftfreq(side)[None] / stretch)
    frequency[0, 0] = math.inf  # no mean
    field = np.fft.irfft2(white * frequency**-exponent, (side, side))
    return np.asarray(field / field.std())


def _palette(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Colours (count, 3) in linear sRGB, not clipped: two hues, apart by chance, from dark to light."""
    hues = random.uniform(0, 2 * math.pi) + random.choice([0.0, 1.0], count) * random.uniform(0.6, math.pi)
    hues += random.normal(0, 0.25, count)
    chroma = _CHROMA * random.beta(2, 2, count)
    lightness = random.permutation(np.linspace(0.25, 0.95, count)) + random.normal(0, 0.04, count)
    oklab = np.stack([lightness, chroma * np.cos(hues), chroma * np.sin(hues)], axis=1)
    return np.asarray((oklab @ _TO_CONES.T) ** 3 @ _TO_LINEAR.T)


def _softmax(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    grown = np.exp(heights - heights.max(axis=0))
    return np.asarray(grown / grown.sum(axis=0))
