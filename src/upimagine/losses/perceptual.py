"""Perceptual loss: distance between feature maps on one random crop (after Johnson et al. 2016, 1603.08155)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from upimagine.losses.unit_distance import unit_distance

Distance = Literal["l1", "unit"]
_BLOCKS: dict[Distance, int] = {"l1": 3, "unit": 4}


class PerceptualLoss(nn.Module):
    """How far two pictures are apart to a network that was trained to see.

    For each layer, then the mean over layers:

    - "l1": mean |f(output) - f(target)| divided by mean |f(target)|, so that every layer weighs alike however large its
      activations are. 0 for equal pictures, about 1 for unrelated ones. Rewards what is in its place, and so blurs
      texture whose place cannot be known.
    - "unit": channels normalised to unit length at every place, squared difference summed over channels, mean over
      places: LPIPS (Zhang et al. 2018, 1801.03924) without its learned heads, 0 to 2. Rewards the right kind of texture
      even out of place.

    Whole tiles would cost several times the nets being trained, so every row of the batch is compared on one random
    crop, at the same place in output and target.

    Args:
        features: called as ``features(pictures, layers)`` and returns a map a layer, as ``nets.vgg.VggFeatures``.
        layers: names of the layers compared; None takes its `block_ends`, three of them for "l1" and four for "unit".
        crop_px: side of the crop; pictures that are smaller along a side are used whole along it. None: no crop.
        distance: "l1" or "unit".
    """

    def __init__(
        self,
        features: nn.Module,
        layers: Sequence[str] | None = None,
        crop_px: int | None = 96,
        distance: Distance = "l1",
    ) -> None:
        super().__init__()
        self.features = features
        ends: tuple[str, ...] = features.block_ends if layers is None else tuple(layers)  # type: ignore[assignment]
        self.layers = ends[: _BLOCKS[distance]] if layers is None else ends
        self.distance = distance
        self.crop_px = crop_px

    def forward(self, output: Tensor, target: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, 3, H, W) twice, in [-1, 1], to a float32 scalar; the gradient flows into `output` only.

        `generator` (a CPU one) draws the crops; without it PyTorch's global CPU generator does. Safe under bf16
        autocast and with channels-last pictures: the sums are taken in float32. Raises ValueError on unequal shapes.
        """
        if output.shape != target.shape:
            raise ValueError(f"output {tuple(output.shape)} and target {tuple(target.shape)} differ in shape")
        if self.crop_px is not None:
            output, target = _crop_alike(output, target, self.crop_px, generator)
        maps = self.features(output, self.layers)
        with torch.no_grad():
            target_maps = self.features(target, self.layers)
        if self.distance == "unit":
            return torch.stack([unit_distance(maps[name], target_maps[name]) for name in self.layers]).mean()
        distances = []
        for name in self.layers:
            # Differences in the maps' own format (bf16: half the memory moved), sums in float32.
            wanted = target_maps[name]
            distance = (maps[name] - wanted).abs().mean(dtype=torch.float32)
            # The floor keeps a layer that is wholly dead on a flat target from dividing by zero.
            distances.append(distance / wanted.abs().mean(dtype=torch.float32).clamp_min(1e-6))
        return torch.stack(distances).mean()


def _crop_alike(a: Tensor, b: Tensor, crop_px: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Cut one random window a row, at the same place in both: (N, 3, H, W) to (N, 3, <= crop_px, <= crop_px)."""
    height, width = a.shape[-2:]
    crop_h, crop_w = min(crop_px, height), min(crop_px, width)
    rows = torch.randint(height - crop_h + 1, (len(a),), generator=generator).tolist()
    columns = torch.randint(width - crop_w + 1, (len(a),), generator=generator).tolist()
    corners = zip(range(len(a)), rows, columns, strict=True)
    windows = [(i, slice(y, y + crop_h), slice(x, x + crop_w)) for i, y, x in corners]
    channels_last = a.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    cut_a = torch.stack([a[i, :, y, x] for i, y, x in windows])
    cut_b = torch.stack([b[i, :, y, x] for i, y, x in windows])
    # float32 before VGG normalises: in bf16 that alone would round to 1/128 of the range.
    return cut_a.float().contiguous(memory_format=layout), cut_b.float().contiguous(memory_format=layout)
