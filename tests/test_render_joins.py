"""Cuts go where it costs least; joins are exact where there is nothing to decide."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upimagine.render.joined import JoinedBands
from upimagine.render.joins import cuts, join, minimum_cuts
from upimagine.render.plan import plan_tiles
from upimagine.render.seam_meter import measure_seams
from upimagine.render.sinks import MemorySink


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def joined_at_cut(
    first: np.ndarray, second: np.ndarray, *, multiband: bool, avoid: np.ndarray | None = None
) -> np.ndarray:
    where = cuts(first[None], second[None], None if avoid is None else avoid[None])[0]
    return join(first, second, where, multiband=multiband)


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 6))
@settings(deadline=None, max_examples=30)
def test_cuts_found_together_are_those_found_alone(seed: int, steps: int, places: int) -> None:
    costs = noise(seed, 7, steps, places) + 1
    together = minimum_cuts(costs)
    for number in range(7):
        assert np.array_equal(together[number], minimum_cuts(costs[number : number + 1])[0])


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_no_path_is_cheaper(seed: int) -> None:
    costs = noise(seed, 5, 4) + 1
    path = minimum_cuts(costs[None])[0]
    assert (np.abs(np.diff(path)) <= 1).all()
    paths = (p for p in itertools.product(range(4), repeat=5) if (np.abs(np.diff(p)) <= 1).all())
    best = min(sum(costs[step, place] for step, place in enumerate(p)) for p in paths)
    assert costs[np.arange(5), path].sum() == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("multiband", [False, True])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 16, 64, 130])
def test_equal_pictures_come_back_exactly(multiband: bool, width: int) -> None:
    picture = noise(1, 40, width, 3)
    assert np.array_equal(joined_at_cut(picture, picture, multiband=multiband), picture)


@pytest.mark.parametrize("multiband", [False, True])
def test_a_join_begins_as_the_one_and_ends_as_the_other(multiband: bool) -> None:
    first, second = noise(1, 256, 64, 3), noise(2, 256, 64, 3)
    joined = joined_at_cut(first, second, multiband=multiband)
    # One sixteenth is left at the outermost column: the taper is taken at pixel centres.
    assert np.abs(joined[:, 0] - first[:, 0]).max() < 0.05
    assert np.abs(joined[:, -1] - second[:, -1]).max() < 0.05


def test_the_cut_finds_the_place_where_the_pictures_agree() -> None:
    first, second = noise(1, 256, 64, 3), noise(2, 256, 64, 3)
    agree = 32 + np.round(10 * np.sin(np.arange(256) / 40)).astype(int)
    rows = np.arange(256)
    second[rows, agree] = first[rows, agree]
    difference = np.square(second - first).sum(axis=2)[:, 16:48]
    path = minimum_cuts(difference[None])[0] + 16
    assert (path == agree).mean() > 0.95


def test_cuts_go_round_what_should_be_avoided() -> None:
    first, second = noise(1, 128, 64, 3), noise(2, 128, 64, 3)
    avoid = np.zeros((128, 64), dtype=np.float32)
    avoid[40:80, 16:36] = 10
    joined = joined_at_cut(first, second, multiband=False, avoid=avoid)
    assert np.array_equal(joined[45:75, 16:30], first[45:75, 16:30])  # all from one picture


def test_a_change_of_tone_goes_over_softly_in_bands_and_at_once_in_a_cut() -> None:
    first, second = np.zeros((256, 128, 3), np.float32), np.full((256, 128, 3), 0.5, np.float32)
    soft, hard = (joined_at_cut(first, second, multiband=each) for each in (True, False))
    assert np.abs(np.diff(soft, axis=1)).max() < 0.5 * np.abs(np.diff(hard, axis=1)).max()


@given(
    height=st.integers(8, 30),
    width=st.integers(8, 30),
    stride=st.integers(1, 8),
    multiband=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_tiles_that_agree_give_back_the_picture(height: int, width: int, stride: int, multiband: bool) -> None:
    scale = 4
    plan = plan_tiles(height, width, 8, stride)
    picture = torch.from_numpy(noise(3, 3, height * scale, width * scale))
    sink = MemorySink()
    bands = JoinedBands(plan, scale, sink, multiband=multiband)
    for row in range(plan.rows):
        tiles = {tile.col: tile for tile in plan.tiles() if tile.row == row}
        bands.add_row(
            row,
            {
                col: picture[
                    :, t.y0_px * scale : (t.y0_px + 8) * scale, t.x0_px * scale : (t.x0_px + 8) * scale
                ].clone()
                for col, t in tiles.items()
            },
        )
    assert torch.equal(sink.picture()[0], picture)


@pytest.mark.parametrize("multiband", [False, True])
def test_unrelated_textures_keep_their_contrast(multiband: bool) -> None:
    plan = plan_tiles(80, 80, 32, 24)
    sink = MemorySink()
    bands = JoinedBands(plan, 8, sink, multiband=multiband)
    random = torch.Generator().manual_seed(0)
    for row in range(plan.rows):
        bands.add_row(row, {col: torch.rand(3, 256, 256, generator=random) - 0.5 for col in range(plan.cols)})
    seams = measure_seams(sink.picture()[0], plan, 8)
    assert seams.contrast_dip > 0.93  # plain averaging: 0.71


def test_a_missing_tile_never_passes() -> None:
    plan = plan_tiles(40, 40, 32, 8)
    bands = JoinedBands(plan, 1, MemorySink(), multiband=False)
    with pytest.raises(ValueError, match="columns"):
        bands.add_row(0, {0: torch.zeros(3, 32, 32)})
    with pytest.raises(ValueError, match="expected tile row 0"):
        bands.add_row(1, {col: torch.zeros(3, 32, 32) for col in range(plan.cols)})
