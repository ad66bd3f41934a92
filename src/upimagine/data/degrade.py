"""What a generator leaves in its pictures, put into low-res tiles, so that an up-imager has seen it before."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def blur(tile: Tensor, sigma_px: float) -> Tensor:
    """(3, h, w) blurred by a 5-tap Gaussian, edges replicated."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3, dtype=torch.float32) / sigma_px) ** 2)
    kernel = (taps[:, None] * taps[None, :] / taps.sum() ** 2).expand(3, 1, 5, 5)
    return F.conv2d(F.pad(tile[None], (2, 2, 2, 2), mode="replicate"), kernel, groups=3)[0]


def checkerboard(tile: Tensor, amplitude: float, random: np.random.Generator) -> Tensor:
    """(3, h, w) with what a stride-2 deconvolution leaves: a pattern that repeats every two pixels, each colour's own.

    Its four values have mean 0 and at most this amplitude, so that flat places keep their tone.
    """
    values = random.standard_normal((3, 2, 2), dtype=np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    values *= amplitude / max(float(np.abs(values).max()), 1e-6)
    height, width = tile.shape[1:]
    pattern = np.tile(values, (1, height // 2 + 1, width // 2 + 1))[:, :height, :width]
    return (tile + torch.from_numpy(pattern)).clamp(-1, 1)


def quantised(tile: Tensor, levels: int) -> Tensor:
    """(3, h, w) in [-1, 1], every channel to the nearest of so many evenly spaced levels, -1 and 1 among them."""
    steps = levels - 1
    return ((tile + 1) / 2 * steps).round() / steps * 2 - 1


def jpeg(tile: Tensor, quality: int) -> Tensor:
    """(3, h, w) in [-1, 1] through JPEG with halved chroma, quality 1 to 100."""
    levels = ((tile.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(levels[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read is not None
    return torch.from_numpy(np.ascontiguousarray(read[:, :, ::-1])).permute(2, 0, 1).float() / 127.5 - 1
