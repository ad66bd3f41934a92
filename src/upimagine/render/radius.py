"""How far a network looks, found by asking it: a NaN in one pixel taints every output pixel that depends on it."""

from __future__ import annotations

import torch
from torch import Tensor

from upimagine.roles import Upscaler


def find_radius(upscaler: Upscaler, probe_px: int, device: torch.device | str = "cpu") -> int | None:
    """The one-sided receptive radius in low-res pixels, or None when a square of probe_px is too small to tell.

    A NaN goes through convolutions (even with weights of 0), additions and activations, so what is found is the
    network's structure, whatever its weights. A network that sees its whole input taints all of it, and gives None
    for every size. One probe for each place on the network's grid, since strided layers look less far from some.
    """
    align, scale = upscaler.align_px, upscaler.scale
    middle = probe_px // 2 // align * align
    farthest = 0
    channels = 3 + upscaler.guide_channels
    for y in range(align):
        for x in range(align):
            tile = torch.zeros(1, channels, probe_px, probe_px, device=device)
            tile[:, :, middle + y, middle + x] = torch.nan
            tainted = _tainted(upscaler.upscale(tile), scale)  # (probe, probe)
            rows, columns = (torch.nonzero(tainted.any(dim=axis)).flatten() for axis in (1, 0))
            if min(rows[0], columns[0]) == 0 or max(rows[-1], columns[-1]) == probe_px - 1:
                return None
            reach = (middle + y - rows[0], rows[-1] - middle - y, middle + x - columns[0], columns[-1] - middle - x)
            farthest = max(farthest, *(int(each) for each in reach))
    return farthest


def _tainted(output: Tensor, scale: int) -> Tensor:
    """Which low-res pixels have a NaN in their square of the output (1, 3, H, W), as (h, w)."""
    bad = output.isnan().any(dim=1)[0]
    height, width = bad.shape
    return bad.view(height // scale, scale, width // scale, scale).any(dim=3).any(dim=1)
