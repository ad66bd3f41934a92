from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mean_face import mean_face

from upimagine.errors import UpimagineError
from upimagine.guide import points as ibug
from upimagine.guide import raster
from upimagine.pixels.resizing import resize_antialiased

FACE = mean_face((30.0, 24.0, 110.0, 104.0))  # 80 px tall in a 128 px raster

any_points = hnp.arrays(np.float32, (68, 2), elements=st.floats(-40, 140, width=32))


def open_mouth() -> np.ndarray:
    points = FACE.copy()
    points[[65, 66, 67], 0] += 6
    points[[55, 56, 57, 58, 59], 0] += 6
    return points


def pixel(points: np.ndarray, part: tuple[int, ...]) -> tuple[int, int]:
    y, x = points[list(part)].mean(axis=0).astype(int)
    return int(y), int(x)


def test_palette_where_features_are() -> None:
    points = open_mouth()
    picture = raster.draw(points, 128, 128)

    def colour(y: int, x: int) -> list[float]:
        return ((picture[:, y, x] + 1) * 127.5).round().tolist()

    assert colour(2, 2) == [0, 0, 0]
    cheek = ((points[3] + points[31]) / 2).astype(int)
    assert colour(cheek[0], cheek[1]) == [64, 64, 64]
    for eye in ibug.EYES:
        assert colour(*pixel(points, eye)) == [0, 0, 255]
    for brow in ibug.BROWS:
        y, x = points[brow[2]].astype(int)
        assert colour(y, x)[0] > 200 and colour(y, x)[2] < 40
    assert colour(*pixel(points, ibug.NOSE_BASE)) == [0, 255, 0]
    assert colour(*pixel(points, ibug.LIPS_INNER)) == [255, 0, 255]
    assert colour(*pixel(points, (57, 66))) == [255, 0, 0]


def test_channels_are_one_hot_and_hold_the_same_as_rgb() -> None:
    points = open_mouth()
    one_hot = (raster.draw(points, 128, 128, "channels") + 1) / 2  # shares of each pixel
    background = 1 - one_hot.sum(dim=0)
    assert background.min() > -1e-6 and background.max() <= 1
    palette = torch.tensor([(64, 64, 64), (255, 255, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0), (255, 0, 255)])
    mixed = torch.einsum("fhw,fc->chw", one_hot, palette / 255)
    torch.testing.assert_close(mixed * 2 - 1, raster.draw(points, 128, 128), atol=1e-5, rtol=0)


def test_area_of_a_feature_is_that_of_its_polygon() -> None:
    share = (raster.draw(FACE, 512, 512, "channels")[3] + 1) / 2
    area = 0.0
    for eye in ibug.EYES:
        y, x = (FACE * 1.0)[list(eye)].T
        area += abs(float(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1)))) / 2  # shoelace
    outline = sum(np.linalg.norm(np.diff(FACE[[*eye, eye[0]]], axis=0), axis=1).sum() for eye in ibug.EYES)
    # The painter also covers the samples its outline touches, half a sample (1/16 px) outwards.
    assert 0 <= share.sum().item() - area < outline / 12


def test_edges_are_anti_aliased() -> None:
    picture = raster.draw(FACE, 128, 128, "channels")[0]
    between = ((picture > -0.99) & (picture < 0.99)).sum().item()
    assert between > 100
    shifted = raster.draw(FACE + np.float32(0.25), 128, 128, "channels")[0]
    assert (shifted - picture).abs().max() > 0.1  # a quarter of a pixel is seen


@settings(max_examples=25, deadline=None)
@given(any_points, st.integers(1, 97), st.sampled_from(["rgb", "channels"]))
def test_mirrored_points_give_the_mirrored_raster(points: np.ndarray, width: int, style: Any) -> None:
    ahead = raster.draw(points, 70, width, style)
    mirrored = raster.draw(ibug.mirror(points, width), 70, width, style)
    # Exact but for points that float32 rounds to another sixteenth of a sample on the other side.
    assert (mirrored - ahead.flip(-1)).abs().mean() < 2e-3
    assert ahead.min() >= -1 and ahead.max() <= 1


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.int16, (68, 2), elements=st.integers(-512, 1536)))
def test_mirroring_is_exact_on_the_painting_grid(sixteenths: np.ndarray) -> None:
    points = (sixteenths / 16).astype(np.float32)
    ahead = raster.draw(points, 66, 66)
    assert torch.equal(raster.draw(ibug.mirror(points, 66), 66, 66), ahead.flip(-1))


@settings(max_examples=20, deadline=None)
@given(st.integers(40, 200))
def test_sizes_agree(side: int) -> None:
    direct = raster.draw(ibug.scale(FACE, (128, 128), (side, side)), side, side, "channels")
    if side <= 128:
        other, direct = direct, resize_antialiased(raster.draw(FACE, 128, 128, "channels")[None], (side, side))[0]
    else:
        other, direct = raster.draw(FACE, 128, 128, "channels"), resize_antialiased(direct[None], (128, 128))[0]
    assert (direct - other).abs().mean() < 0.02


def test_raster_moves_with_the_points() -> None:
    # By whole pixels, so not a sample may differ; and rows are coloured in bands, whose edges must not show.
    on_grid = (np.rint(FACE * 16) / 16).astype(np.float32)
    high = raster.draw(on_grid, 160, 160)
    low = raster.draw(on_grid + np.array([15, 7], np.float32), 160, 160)
    assert torch.equal(low[:, 15:, 7:], high[:, :-15, :-7])


def test_later_faces_are_in_front() -> None:
    moved = FACE + np.array([0, 20], np.float32)
    front = raster.draw([FACE, moved], 128, 128)
    alone = raster.draw(moved, 128, 128)
    eye = pixel(moved, ibug.EYES[0])
    assert torch.equal(front[:, eye[0], eye[1]], alone[:, eye[0], eye[1]])
    assert not torch.equal(front, alone)
    assert (raster.draw([], 8, 8) == -1).all()


def test_mirror_map_is_an_involution_that_keeps_parts() -> None:
    order = np.array(ibug.MIRROR)
    assert (order[order] == np.arange(68)).all()
    assert set(order[list(ibug.EYES[0])]) == set(ibug.EYES[1])
    assert set(order[list(ibug.BROWS[0])]) == set(ibug.BROWS[1])
    for part in (ibug.JAW, ibug.NOSE_BASE, ibug.LIPS_OUTER, ibug.LIPS_INNER):
        assert set(order[list(part)]) == set(part)
    assert [order[i] for i in (8, 33, 51, 57, 62, 66)] == [8, 33, 51, 57, 62, 66]
    assert [order[i] for i in (36, 37, 40, 48, 55, 60, 65)] == [45, 44, 47, 54, 59, 64, 67]


@pytest.mark.parametrize(
    ("points", "size", "what"),
    [
        (FACE[:60], (8, 8), "68 finite"),
        (np.full((68, 2), np.nan, np.float32), (8, 8), "68 finite"),
        (FACE, (0, 8), "no area"),
    ],
)
def test_bad_input_is_named(points: np.ndarray, size: tuple[int, int], what: str) -> None:
    with pytest.raises(UpimagineError, match=what):
        raster.draw(points, *size)
