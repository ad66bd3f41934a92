"""Training pairs stay aligned whatever is done to them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import draw_pictures

from upimagine.data.found import Found
from upimagine.data.tiles import TileAugment, tile_at, tile_source
from upimagine.errors import PictureError
from upimagine.guide.faces import FaceGuide
from upimagine.pixels.resizing import resize_antialiased

PLAIN = TileAugment(flip=False, hue_degrees=0, saturation=0, contrast=0, brightness=0, blur_px=0, noise=0)


def test_low_and_high_tiles_show_the_same_place(tmp_path: Path) -> None:
    source = tile_source(Found(draw_pictures(tmp_path, 1, 528) / "00.png"), 1.0, None)
    assert source.high.shape == (3, 528, 528)
    assert source.low.shape == (3, 66, 66)
    for position in range(20):
        low, high = tile_at([source], position, seed=1, augment=PLAIN)
        assert low.shape == (3, 32, 32)
        assert high.shape == (3, 256, 256)
        assert (F.avg_pool2d(high, 8) - low).abs().mean() < 0.02


def test_colour_changes_and_flips_are_shared(tmp_path: Path) -> None:
    source = tile_source(Found(draw_pictures(tmp_path, 1, 528) / "00.png"), 1.0, None)
    shared = TileAugment(blur_px=0, noise=0)
    differing = 0
    for position in range(20):
        low, high = tile_at([source], position, seed=1, augment=shared)
        assert (F.avg_pool2d(high, 8) - low).abs().mean() < 0.03
        differing += not torch.equal(low, tile_at([source], position, seed=1, augment=PLAIN)[0])
    assert differing > 15


def test_the_guide_turns_with_the_tile(face: Path, tmp_path: Path) -> None:
    from upimagine import pixels

    large = resize_antialiased(pixels.read(face).pixels[None], (768, 768))
    pixels.write(tmp_path / "large.png", large)
    source = tile_source(Found(tmp_path / "large.png"), 1.0, FaceGuide())
    assert source.low.shape == (6, 96, 96)
    flipped = [tile_at([source], p, 0, TileAugment(True, 0, 0, 0, 0, 0, 0))[0] for p in range(30)]
    plain = [tile_at([source], p, 0, PLAIN)[0] for p in range(30)]
    turned = [not torch.equal(a, b) for a, b in zip(flipped, plain, strict=True)]
    assert 5 < sum(turned) < 25
    for mirrored, straight, was_turned in zip(flipped, plain, turned, strict=True):
        if was_turned:
            assert torch.equal(mirrored, straight.flip(2))


def test_a_picture_without_a_face_gets_an_empty_guide(tmp_path: Path) -> None:
    source = tile_source(Found(draw_pictures(tmp_path, 1, 264) / "00.png"), 1.0, FaceGuide())
    assert source.low.shape[0] == 6
    assert (source.low[3:] == 0).all()


def test_scales_shrink_the_picture_and_too_small_is_refused(tmp_path: Path) -> None:
    path = draw_pictures(tmp_path, 1, 528) / "00.png"
    assert tile_source(Found(path), 0.75, None).high.shape == (3, 384, 384)
    with pytest.raises(PictureError, match="need 256 px"):
        tile_source(Found(path), 0.25, None)
