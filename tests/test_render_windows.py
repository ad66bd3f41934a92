import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upimagine.render.plan import axis_starts
from upimagine.render.windows import Ramp, axis_windows, ramp, support

RAMPS: tuple[Ramp, ...] = ("linear", "cosine", "smoothstep")


@pytest.mark.parametrize("kind", RAMPS)
@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_ramps_are_complementary_and_never_waste_a_pixel(kind: Ramp, width: int) -> None:
    values = ramp(kind, width)
    assert torch.allclose(values + values.flip(0), torch.ones(width, dtype=torch.float64), atol=4e-16, rtol=0)
    assert bool((values > 0).all() and (values < 1).all() and (values.diff() > 0).all())


def spread(starts: tuple[int, ...], windows: torch.Tensor) -> torch.Tensor:
    """All windows of an axis at their places, (tiles, length)."""
    placed = torch.zeros(len(starts), starts[-1] + windows.shape[1])
    for index, start in enumerate(starts):
        placed[index, start : start + windows.shape[1]] = windows[index]
    return placed


@given(st.data())
def test_windows_of_any_axis_sum_to_one(data: st.DataObject) -> None:
    window = data.draw(st.integers(1, 48))
    starts = axis_starts(data.draw(st.integers(window, 160)), window, data.draw(st.integers(1, window)))
    feather = data.draw(st.none() | st.integers(0, 60))
    windows = axis_windows(starts, window, feather, data.draw(st.sampled_from(RAMPS)))
    placed = spread(starts, windows)
    assert bool((placed >= 0).all())
    assert torch.allclose(placed.sum(dim=0), torch.ones(placed.shape[1]), atol=3e-7, rtol=0)
    # The supports leave nothing out and are runs.
    for one in windows:
        inside = support(one)
        assert bool((one[inside] > 0).all())
        assert torch.count_nonzero(one) == inside.stop - inside.start > 0


def test_picture_edges_are_not_tapered() -> None:
    windows = axis_windows((0, 24, 48), 32, None, "cosine")
    assert bool((windows[0, :24] == 1).all() and (windows[2, 8:] == 1).all())


def test_a_narrow_feather_sits_in_the_middle_of_its_overlap_and_spares_the_rest() -> None:
    windows = axis_windows((0, 192), 256, 16, "linear")
    placed = spread((0, 192), windows)
    mixed = torch.nonzero((placed > 0).all(dim=0)).flatten()
    assert (int(mixed[0]), int(mixed[-1])) == (216, 231)  # overlap 192…255, its middle is between 223 and 224
    assert placed[0, 223] == pytest.approx(1 - placed[0, 224])


def test_no_feather_is_a_hard_cut() -> None:
    placed = spread((0, 10, 13), axis_windows((0, 10, 13), 16, 0, "cosine"))
    assert set(placed.unique().tolist()) == {0.0, 1.0}


def test_the_irregular_last_overlap_has_its_own_middle() -> None:
    starts = (0, 24, 30)
    placed = spread(starts, axis_windows(starts, 32, 4, "smoothstep"))
    owners = placed.argmax(dim=0).tolist()
    assert [len(list(run)) for _, run in itertools.groupby(owners)] == [28, 15, 19]
