"""A picture as text, for pages that carry all they show."""

from __future__ import annotations

import base64

import numpy as np
import pyvips
from torch import Tensor

from upimagine.pixels.vips import enter


def data_uri(pixels: Tensor, *, quality: int = 85) -> str:
    """(3, H, W) in [-1, 1] to a `data:` address of a JPEG."""
    enter()
    samples = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
    image = pyvips.Image.new_from_array(np.ascontiguousarray(samples)).copy(interpretation="srgb")
    encoded = image.jpegsave_buffer(Q=quality, keep="none")
    return jpeg_uri(encoded)


def jpeg_uri(encoded: bytes) -> str:
    """The bytes of a JPEG file to a `data:` address."""
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode()}"
