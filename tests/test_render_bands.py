import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upimagine.render.bands import Bands
from upimagine.render.plan import plan_tiles
from upimagine.render.sinks import MemorySink


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_tiles_cut_from_a_picture_blend_back_into_it(data: st.DataObject) -> None:
    window, scale = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    height, width = data.draw(st.integers(window, 30)), data.draw(st.integers(window, 30))
    plan = plan_tiles(height, width, window, data.draw(st.integers(1, window)))
    picture = torch.rand(3, height * scale, width * scale, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sink = MemorySink()
    bands = Bands(plan, scale, sink, feather_px=data.draw(st.none() | st.integers(0, 20)))
    side = window * scale
    for row in range(plan.rows):
        top = plan.row_starts_px[row] * scale
        lefts = [left * scale for left in plan.col_starts_px]
        tiles = {c: picture[:, top : top + side, left : left + side] for c, left in enumerate(lefts)}
        bands.add_row(row, tiles)
    assert sink.picture().shape == (1, *picture.shape)
    assert torch.allclose(sink.picture()[0], picture, atol=1e-6)


def blend(order: list[int], rows: int = 3) -> bytes:
    plan = plan_tiles(20, 40, 16, 2)  # up to eight tiles meet at a pixel
    sink = MemorySink()
    bands = Bands(plan, 2, sink, feather_px=None)
    for row in range(rows):
        tiles = torch.rand(plan.cols, 3, 32, 32, generator=torch.Generator().manual_seed(row)) - 0.5
        bands.add_row(row, {col: tiles[col] for col in order})
    return sink.picture().numpy().tobytes()


def test_the_order_of_tiles_does_not_change_a_byte() -> None:
    cols = list(range(plan_tiles(20, 40, 16, 2).cols))
    expected = blend(cols)
    for seed in range(5):
        shuffled = cols.copy()
        random.Random(seed).shuffle(shuffled)
        assert blend(shuffled) == expected


def test_rows_leave_as_soon_as_they_are_final_and_only_once() -> None:
    heights: list[int] = []

    class Watch:
        def write_rows(self, rows: torch.Tensor) -> None:
            assert rows.is_contiguous()
            heights.append(rows.shape[1])

    plan = plan_tiles(40, 16, 16, 10)
    bands = Bands(plan, 2, Watch(), feather_px=8)
    sent = []
    for row in range(plan.rows):
        bands.add_row(row, {0: torch.zeros(3, 32, 32)})
        sent.append(sum(heights))
    assert plan.row_starts_px == (0, 10, 20, 24)
    assert sent == [20, 40, 48, 80]


def test_strips_stay_what_they_were() -> None:
    plan = plan_tiles(20, 16, 16, 2)
    sink = MemorySink()
    bands = Bands(plan, 1, sink, feather_px=0)
    bands.add_row(0, {0: torch.full((3, 16, 16), 0.25)})
    first = sink.picture().clone()
    bands.add_row(1, {0: torch.full((3, 16, 16), 0.75)})
    assert torch.equal(sink.picture()[:, :, : first.shape[2]], first)


@pytest.mark.parametrize(("row", "cols"), [(1, [0, 1]), (0, [0]), (0, [0, 2]), (0, [0, 1, 2])])
def test_a_hole_is_refused(row: int, cols: list[int]) -> None:
    plan = plan_tiles(24, 24, 16, 8)
    bands = Bands(plan, 1, MemorySink(), feather_px=4)
    with pytest.raises(ValueError, match="expected tile row 0"):
        bands.add_row(row, {col: torch.zeros(3, 16, 16) for col in cols})


def test_values_are_kept_within_range() -> None:
    plan = plan_tiles(16, 16, 16, 16)
    sink = MemorySink()
    Bands(plan, 1, sink, feather_px=0).add_row(0, {0: torch.full((3, 16, 16), 1.5)})
    assert torch.equal(sink.picture(), torch.ones(1, 3, 16, 16))
