"""Several inventions for one tile: the network is shown the tile mirrored, harder, softer, more or less colourful."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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

    def __post_init__(self) -> None:
        for name, value in (("contrast", self.contrast), ("saturation", self.saturation)):
            if not (math.isfinite(value) and value > 0):
                raise UpimagineError(f"candidate {name} of {value}: choose a number above 0, such as 0.9 or 1.1")

    def apply(self, tiles: Tensor) -> Tensor:
        """Change (N, 3 + guide channels, h, w); may leave [-1, 1]. The guide is mirrored, its values never change."""
        picture = tiles[:, :3]
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


def variants(
    flips: bool = True, contrasts: Sequence[float] = (1.0,), saturations: Sequence[float] = (1.0,)
) -> tuple[Variant, ...]:
    """Every combination, without repeats; the identity comes first whether it was asked for or not."""
    mirrored = (False, True) if flips else (False,)
    wanted = [Variant(flip, contrast, colour) for contrast, colour, flip in product(contrasts, saturations, mirrored)]
    return tuple(dict.fromkeys((Variant(), *wanted)))


def _mean_luma(tiles: Tensor) -> Tensor:
    """(N, 3 + guide channels, h, w) to (N, 1, 1, 1)."""
    return luma(tiles[:, :3]).mean(dim=(1, 2)).view(-1, 1, 1, 1)
