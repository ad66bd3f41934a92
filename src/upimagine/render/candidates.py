"""Several inventions for one tile: it is shown mirrored, harder, softer, more or less colourful, with grain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.luma import luma


@dataclass(frozen=True)
class Variant:
    """One way to show a tile to the network, and the way back; after Mike Tyka's tiled up-res of portraits (2017)."""

    flip: bool = False
    """Mirror left and right, the guide too."""
    contrast: float = 1.0
    """c in μ + c (x − μ), μ the mean luma of the low-res tile; above 0."""
    saturation: float = 1.0
    """s in Y + s (x − Y), Y the luma of each pixel; above 0."""
    noise_seed: int | None = None
    """Of the grain that is laid on the picture, a field over the whole plane, so that neighbours see the same; None: no
    grain."""
    model: int = 0
    """Which of the networks invents."""

    def __post_init__(self) -> None:
        for name, value in (("contrast", self.contrast), ("saturation", self.saturation)):
            if not (math.isfinite(value) and value > 0):
                raise UpimagineError(f"candidate {name} of {value}: choose a number above 0, such as 0.9 or 1.1")
        if self.noise_seed is not None and self.noise_seed < 0:
            raise UpimagineError(f"candidate noise seed of {self.noise_seed}: choose 0 or more")

    def apply(self, tiles: Tensor, grain: Tensor | None = None) -> Tensor:
        """Change (N, 3 + guide channels, h, w); may leave [-1, 1]. The guide is mirrored, its values never change.

        grain: (N, 3, h, w), laid on the pictures as it is.
        """
        picture = tiles[:, :3] if grain is None else tiles[:, :3] + grain
        if self.contrast != 1.0:
            middle = _mean_luma(tiles)
            picture = torch.lerp(middle.expand_as(picture), picture, self.contrast)
        if self.saturation != 1.0:
            grey = luma(picture).unsqueeze(1)
            picture = torch.lerp(grey.expand_as(picture), picture, self.saturation)
        tiles = torch.cat((picture, tiles[:, 3:]), dim=1)
        return tiles.flip(-1) if self.flip else tiles

    def undo(self, outputs: Tensor, tiles: Tensor) -> Tensor:
        """Bring network outputs (N, 3, H, W) back to the look of the low-res tiles (N, 3 + guide channels, h, w).

        Exactly inverse to ``apply`` but for rounding, so the result is not clipped here: clip it afterwards.
        """
        if self.flip:
            outputs = outputs.flip(-1)
        if self.saturation != 1.0:
            grey = luma(outputs).unsqueeze(1)
            outputs = torch.lerp(grey.expand_as(outputs), outputs, 1.0 / self.saturation)
        if self.contrast != 1.0:
            middle = _mean_luma(tiles)
            outputs = torch.lerp(middle.expand_as(outputs), outputs, 1.0 / self.contrast)
        return outputs


#: In which order `best_of` adds to the plain tile and its mirror image.
_LADDER = ((1.1, 1.0), (1.0, 1.2), (0.9, 1.0), (1.0, 0.8), (1.1, 1.2), (0.9, 0.8))


def variants(
    flips: bool = True,
    contrasts: Sequence[float] = (1.0,),
    saturations: Sequence[float] = (1.0,),
    noise_seeds: Sequence[int] = (),
    models: int = 1,
) -> tuple[Variant, ...]:
    """Every combination without grain, then grain by itself, each for every model; without repeats.

    The identity comes first whether it was asked for or not, and one model's candidates lie together.
    """
    mirrored = (False, True) if flips else (False,)
    wanted = [Variant(flip, contrast, colour) for contrast, colour, flip in product(contrasts, saturations, mirrored)]
    wanted += [Variant(noise_seed=seed) for seed in noise_seeds]
    once = dict.fromkeys((Variant(), *wanted))
    return tuple(replace(variant, model=model) for model in range(models) for variant in once)


def best_of(count: int, models: int = 1) -> tuple[Variant, ...]:
    """So many candidates in all, at least one for each model: the tile, its mirror image, other contrasts and colours,
    and when these are used up, grain.

    Raises UpimagineError for fewer candidates than models.
    """
    if count < models or count < 1:
        raise UpimagineError(f"the best of {count} candidates: choose at least {max(models, 1)}, one for each model")
    shown = [Variant(flip, contrast, colour) for contrast, colour in ((1.0, 1.0), *_LADDER) for flip in (False, True)]
    shown += [Variant(noise_seed=seed) for seed in range(max(0, count - len(shown)))]
    shares = [count // models + (model < count % models) for model in range(models)]
    return tuple(replace(variant, model=model) for model, share in enumerate(shares) for variant in shown[:share])


def _mean_luma(tiles: Tensor) -> Tensor:
    """(N, 3 + guide channels, h, w) to (N, 1, 1, 1)."""
    return luma(tiles[:, :3]).mean(dim=(1, 2)).view(-1, 1, 1, 1)
