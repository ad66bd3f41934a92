"""What a network may learn to undo or to do: one picture made from another, on the fly, for A/B pairs.

Each maker is a pure function of a picture (3, H, W) in [-1, 1] to another of the same shape.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.errors import UpimagineError

Maker = Callable[[Tensor, np.random.Generator], Tensor]
"""A picture (3, H, W) in [-1, 1], and random numbers of its own for whoever wants some, to the picture made of it."""

_TURNS = (15.0, 75.0, 0.0)  # of the half-tone screens of red, green, blue: where print has cyan, magenta, yellow


def pixelate(picture: Tensor, times: int) -> Tensor:
    """Every square of times x times becomes its mean. Sides must be multiples of `times`."""
    small = F.avg_pool2d(picture[None], times)
    return F.interpolate(small, scale_factor=times, mode="nearest")[0]


def edges(picture: Tensor, threshold: float) -> Tensor:
    """Black lines on white: where the luma's gradient is a ridge above `threshold`, and on from there down to half of
    it (Canny 1986). The gradient is Sobel's, of levels 0 to 255: a step of one level counts 4."""
    levels = ((picture.permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    grey = cv2.cvtColor(np.ascontiguousarray(levels), cv2.COLOR_RGB2GRAY)
    lines = torch.from_numpy(cv2.Canny(grey, threshold / 2, threshold, L2gradient=True))
    return torch.where(lines > 0, -1.0, 1.0).expand(3, -1, -1).clone()


def blur(picture: Tensor, sigma_px: float) -> Tensor:
    """Gaussian, cut off at three sigma; edges are replicated."""
    reach = max(1, math.ceil(3 * sigma_px))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float32) / sigma_px) ** 2)
    taps = (taps / taps.sum()).view(1, 1, 1, -1)
    padded = F.pad(picture[:, None], (reach, reach, reach, reach), mode="replicate")  # (3, 1, H + 2r, W + 2r)
    return F.conv2d(F.conv2d(padded, taps), taps.transpose(2, 3))[:, 0].clamp(-1, 1)


def halftone(picture: Tensor, cell_px: float) -> Tensor:
    """Dots on a turned grid for each colour, each pixel -1 or 1, as in print; `cell_px` from dot to dot.

    Where the picture is flat, the share of 1 is its tone.
    """
    tones = (picture + 1) / 2
    screens = torch.stack([_screen(picture.shape[1], picture.shape[2], cell_px, turn) for turn in _TURNS])
    return torch.where(tones > screens, 1.0, -1.0)


@functools.lru_cache(maxsize=12)
def _screen(height: int, width: int, cell_px: float, degrees: float) -> Tensor:
    """Thresholds (height, width), evenly spread over 0 to 1, highest in the middle of each dot."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    turn = math.radians(degrees)
    across = (x * math.cos(turn) + y * math.sin(turn)) / cell_px
    down = (y * math.cos(turn) - x * math.sin(turn)) / cell_px
    spots = torch.cos(2 * math.pi * across) + torch.cos(2 * math.pi * down)
    # On a straight grid many places are alike: a little chance decides among them, so that all dots grow together.
    spots += 1e-3 * torch.rand(spots.shape, generator=torch.Generator().manual_seed(0))
    order = spots.flatten().argsort(stable=True)
    ranks = torch.empty(height * width)
    ranks[order] = (torch.arange(height * width) + 0.5) / (height * width)
    return ranks.view(height, width)


def quantise(picture: Tensor, levels: int) -> Tensor:
    """Every channel to the nearest of so many evenly spaced levels, -1 and 1 among them."""
    steps = levels - 1
    return ((picture + 1) / 2 * steps).round() / steps * 2 - 1


def shuffle(picture: Tensor, block_px: int, random: np.random.Generator) -> Tensor:
    """The picture cut into squares, which are laid anew in any order. Sides must be multiples of `block_px`."""
    channels, height, width = picture.shape
    rows, columns = height // block_px, width // block_px
    blocks = picture.reshape(channels, rows, block_px, columns, block_px).permute(1, 3, 0, 2, 4).flatten(0, 1)
    blocks = blocks[torch.from_numpy(random.permutation(len(blocks)))]
    return blocks.view(rows, columns, channels, block_px, block_px).permute(2, 0, 3, 1, 4).reshape(picture.shape)


@dataclass(frozen=True)
class _Kind:
    """A maker with the one number it takes."""

    make: Callable[[Tensor, float, np.random.Generator], Tensor]
    usual: float
    least: float
    most: float
    whole: bool = False  # the number must be a whole one
    divides: bool = False  # ... that divides the side of the picture


_KINDS = {
    "pixelate": _Kind(lambda x, n, random: pixelate(x, int(n)), 8, 2, 32, whole=True, divides=True),
    "edges": _Kind(lambda x, n, random: edges(x, n), 200, 1, 2000),
    "blur": _Kind(lambda x, n, random: blur(x, n), 3, 0.1, 64),
    "halftone": _Kind(lambda x, n, random: halftone(x, n), 6, 2, 64),
    "quantise": _Kind(lambda x, n, random: quantise(x, int(n)), 4, 2, 256, whole=True),
    "shuffle": _Kind(lambda x, n, random: shuffle(x, int(n), random), 32, 2, 256, whole=True, divides=True),
}
#: The names that `maker_named` knows, each with its usual number.
USUAL = {name: kind.usual for name, kind in _KINDS.items()}


def maker_named(how: str, size_px: int, also: tuple[str, ...] = ()) -> Maker:
    """The maker for pictures of `size_px` that a text names: "pixelate:8", "blur", or "FILE.py:FUNCTION".

    A function of the user's takes (3, H, W) in [-1, 1] and gives the same shape; its file is executed. Raises
    UpimagineError for a name or a number that cannot work, and for a file or function that is not there; `also` are
    words that it may tell of besides.
    """
    name, _, number = how.rpartition(":") if ":" in how else (how, "", "")
    if name.endswith(".py"):
        return _of_user(Path(name), number)
    kind = _KINDS.get(name)
    if kind is None:
        known = [*_KINDS, *also]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
        raise UpimagineError(f"--how {how} is unknown; {hint} (or FILE.py:FUNCTION for your own)")
    amount = amount_of(how)
    needs = [f"from {kind.least:g} to {kind.most:g}"]
    needs += ["a whole number"] if kind.whole else []
    needs += [f"one that divides {size_px}"] if kind.divides else []
    fits = kind.least <= amount <= kind.most and (not kind.whole or amount == int(amount))
    if not fits or (kind.divides and size_px % int(amount)):
        raise UpimagineError(f"--how {how} cannot work; after {name}: goes {', '.join(needs)}, as {kind.usual:g}")
    return lambda picture, random: kind.make(picture, amount, random)


def amount_of(how: str) -> float:
    """The number in "pixelate:8", or the usual one; NaN for what is no number."""
    name, _, number = how.partition(":")
    try:
        return float(number) if number else _KINDS[name].usual
    except ValueError:
        return math.nan


def _of_user(path: Path, function: str) -> Maker:
    """A function of a Python file, watched: it is a stranger here."""
    if not path.is_file():
        raise UpimagineError(f"{path} does not exist; --how FILE.py:FUNCTION names a Python file of yours")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UpimagineError(f"{path} cannot be run ({type(error).__name__}: {error}); mend it first") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise UpimagineError(f"{path} has no function {function!r}; name one that takes and gives a picture (3, H, W)")

    def make(picture: Tensor, random: np.random.Generator) -> Tensor:
        try:
            made = found(picture)
        except Exception as error:
            raise UpimagineError(f"{path}:{function} failed ({type(error).__name__}: {error})") from error
        if not isinstance(made, Tensor) or made.shape != picture.shape or not made.isfinite().all():
            raise UpimagineError(f"{path}:{function} must give a tensor {tuple(picture.shape)} of finite numbers")
        return made.float().clamp(-1, 1)

    return make
