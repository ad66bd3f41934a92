from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upimagine.pixels.resizing import resize_antialiased, shrink_area


def test_resize_agrees_with_pillow() -> None:
    plane = torch.rand((1, 1, 128, 100), generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    image = Image.fromarray(plane[0, 0].numpy())
    expected = np.asarray(image.resize((75, 96), Image.Resampling.BICUBIC)).clip(-1, 1)
    np.testing.assert_allclose(resize_antialiased(plane, (96, 75))[0, 0].numpy(), expected, atol=1e-4)


def test_resize_keeps_range_and_flat_areas() -> None:
    edge = torch.full((1, 3, 128, 128), -1.0)
    edge[..., 64:] = 1
    small = resize_antialiased(edge, (96, 96))
    assert small.min() == -1 and small.max() == 1
    flat = resize_antialiased(torch.full((1, 3, 33, 20), 0.25, dtype=torch.bfloat16), (90, 7))
    torch.testing.assert_close(flat, torch.full((1, 3, 90, 7), 0.25))
    assert torch.equal(resize_antialiased(edge, (128, 128)), edge)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_shrink_area_is_the_mean_over_areas(height: int, width: int, rows: int, columns: int) -> None:
    height, rows = max(height, rows), min(height, rows)
    width, columns = max(width, columns), min(width, columns)
    generator = torch.Generator().manual_seed(height * 41 + width)
    pictures = torch.rand((2, 3, height, width), generator=generator) * 2 - 1
    small = shrink_area(pictures, (rows, columns))
    assert small.shape == (2, 3, rows, columns)
    # Repeating every pixel makes the ratio whole, where the mean over areas is plain.
    plain = pictures.repeat_interleave(rows, dim=2).repeat_interleave(columns, dim=3)
    expected = plain.unfold(2, height, height).unfold(3, width, width).mean(dim=(-1, -2))
    torch.testing.assert_close(small, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(small.mean(), pictures.mean(), atol=1e-5, rtol=0)


def test_shrink_area_does_not_enlarge() -> None:
    with pytest.raises(ValueError, match="cannot enlarge"):
        shrink_area(torch.zeros(1, 3, 8, 8), (8, 9))
