import itertools
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upimagine.errors import UpimagineError
from upimagine.render.plan import TilePlan, plan_tiles


@st.composite
def plans(draw: st.DrawFn) -> TilePlan:
    window = draw(st.integers(1, 40))
    height, width = draw(st.integers(window, 200)), draw(st.integers(window, 200))
    return plan_tiles(height, width, window, draw(st.integers(1, window)))


@given(plans())
def test_every_pixel_is_covered_and_no_window_leaves_the_plane(plan: TilePlan) -> None:
    for starts, length in ((plan.row_starts_px, plan.height_px), (plan.col_starts_px, plan.width_px)):
        covered = set()
        for start in starts:
            assert 0 <= start <= length - plan.window_px
            covered.update(range(start, start + plan.window_px))
        assert covered == set(range(length))
        assert list(starts) == sorted(set(starts))
        # Only the last step may be shorter than the stride, and none is longer.
        steps = [right - left for left, right in itertools.pairwise(starts)]
        assert all(step == plan.stride_px for step in steps[:-1])
        assert all(step <= plan.stride_px for step in steps[-1:])


@given(plans(), st.integers(0, 50), st.integers(0, 30))
def test_a_border_moves_the_outermost_windows_out_and_adds_none(plan: TilePlan, border: int, shift: int) -> None:
    size, stride, window = (plan.height_px, plan.width_px), plan.stride_px, plan.window_px
    plain, wider = plan_tiles(*size, window, stride, shift), plan_tiles(*size, window, stride, shift, border)
    reach = (wider.height_px - plan.height_px) // 2
    assert reach == min(border, (window - stride) // 2)
    for before, starts, length in (
        (plain.row_starts_px, wider.row_starts_px, wider.height_px),
        (plain.col_starts_px, wider.col_starts_px, wider.width_px),
    ):
        assert (starts[0], starts[-1]) == (0, length - window)
        assert [start - reach for start in starts[1:-1]] == list(before[1:-1])
        assert all(0 < right - left <= window for left, right in itertools.pairwise(starts))
        assert len(starts) == max(len(before), 2 if reach else 1)


@pytest.mark.parametrize(
    ("side", "stride", "tiles"), [(96, 32, 9), (96, 16, 25), (96, 8, 81), (128, 16, 49), (128, 24, 25), (512, 24, 441)]
)
def test_known_grids_of_a_32_px_window(side: int, stride: int, tiles: int) -> None:
    plan = plan_tiles(side, side, 32, stride)
    assert plan.rows * plan.cols == tiles


def test_json_tells_the_whole_plan() -> None:
    plan = plan_tiles(40, 70, 32, 24)
    told = json.loads(json.dumps(plan.as_dict()))
    assert told["row_starts_px"] == [0, 8]
    assert told["col_starts_px"] == [0, 24, 38]
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    assert TilePlan(**lists) == plan


@pytest.mark.parametrize(("height", "width", "stride"), [(31, 64, 16), (64, 31, 16), (64, 64, 0), (64, 64, 33)])
def test_impossible_plans_say_how_to_mend(height: int, width: int, stride: int) -> None:
    with pytest.raises(UpimagineError) as error:
        plan_tiles(height, width, 32, stride)
    assert "\n" not in str(error.value)


def test_the_plan_needs_no_torch() -> None:
    code = "import sys, upimagine.render.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
