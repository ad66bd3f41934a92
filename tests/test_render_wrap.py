"""Pictures that repeat: what leaves at the right comes in at the left."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_render_enlarge import Net, inventing, nearest, plane, render
from test_render_exact import Net as ExactNet
from test_render_exact import srresnet

from upimagine.render.enlarge import Settings
from upimagine.render.joined import Blend
from upimagine.render.plan import axis_starts, wrap_axis


@given(st.data())
def test_a_wrapped_axis_covers_the_picture_and_equal_places_see_equal_pixels(data: st.DataObject) -> None:
    length, window = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 20))
    stride = data.draw(st.integers(1, window))
    axis = wrap_axis(length, window, stride, data.draw(st.integers(0, stride - 1)))
    assert axis.starts_px[0] == 0
    assert axis.starts_px[-1] + window == axis.length_px
    covered = {pixel for start in axis.starts_px for pixel in range(start, start + window)}
    assert covered >= set(range(axis.before_px, axis.before_px + length))
    seen: dict[int, int] = {}
    for start, place in zip(axis.starts_px, axis.places, strict=True):
        pixel = (start - axis.before_px) % length
        assert seen.setdefault(place, pixel) == pixel


@given(st.data())
def test_a_shifted_grid_still_covers_the_axis(data: st.DataObject) -> None:
    window = data.draw(st.integers(1, 20))
    length, stride = data.draw(st.integers(window, 80)), data.draw(st.integers(1, window))
    shift = data.draw(st.integers(0, stride))
    starts = axis_starts(length, window, stride, shift)
    assert starts[0] == 0
    assert starts[-1] == length - window
    assert all(0 < right - left <= stride for left, right in pairwise(starts))
    if 0 < shift < stride and len(starts) > 2:
        assert starts[1] == shift


@pytest.mark.parametrize("blend", ["feather", "cut", "multiband"])
@pytest.mark.parametrize(("height", "width"), [(20, 25), (8, 40), (3, 5)])
def test_a_picture_moved_round_by_whole_tiles_gives_the_same_result_moved_round(
    blend: Blend, height: int, width: int
) -> None:
    """Inventions depend on the whole tile; only a grid that repeats with the picture can commute with the move."""
    settings = Settings(stride_px=5, feather_px=6, blend=blend, wrap=True, agreement=0.0)
    low = plane(height, width)
    picture, report = render(low, inventing(), settings)
    assert picture.shape == (1, 3, height * 4, width * 4)
    step = -(-width // 5)  # columns of the repeating grid
    if width % step == 0:
        moved, _ = render(low.roll(width // step, 3), inventing(), settings)
        # The pyramids of multiband have grids of their own, which do not repeat with the picture.
        torch.testing.assert_close(
            moved, picture.roll(width // step * 4, 3), atol=0.03 if blend == "multiband" else 1e-5, rtol=0
        )
    assert report.seams.ratio >= 0


def test_the_edges_of_a_wrapped_picture_meet_as_well_as_tiles_inside() -> None:
    low = torch.nn.functional.interpolate(plane(4, 4, seed=3), scale_factor=8, mode="bicubic").clamp(-0.9, 0.9)
    low = (low + low.roll(16, 3) + low.roll(16, 2) + low.roll((16, 16), (2, 3))) / 4  # smooth, and it repeats
    smooth = Net(lambda x: torch.nn.functional.interpolate(x[:, :3], scale_factor=4, mode="bilinear"), 4, 8)
    settings = Settings(stride_px=5, feather_px=6, tone_match=0)

    def edge(wrap: bool) -> float:
        picture, _ = render(low, smooth, Settings(**(settings.__dict__ | {"wrap": wrap})))
        return float((picture[..., 0] - picture[..., -1]).abs().mean())

    assert edge(True) < 0.7 * edge(False)


def test_choices_are_the_same_at_both_ends() -> None:
    settings = Settings(stride_px=5, feather_px=6, wrap=True, contrasts=(0.8, 1.0, 1.2))
    _, report = render(plane(17, 23), inventing(), settings)
    rows = wrap_axis(17, 8, 5).places
    cols = wrap_axis(23, 8, 5).places
    chosen: dict[tuple[int, int], int] = {}
    for row, won in zip(rows, report.winners, strict=True):
        for col, winner in zip(cols, won, strict=True):
            assert chosen.setdefault((row, col), winner) == winner
    assert len(set(chosen.values())) > 1, "a contest with one winner tells nothing"


def test_a_network_with_a_radius_wraps_exactly() -> None:
    low = plane(21, 30)
    net = ExactNet(srresnet().double(), 4, 12, window_px=13)
    wrapped, _ = render(low, net, Settings(wrap=True))
    tiled = low.repeat(1, 1, 3, 3)
    with torch.no_grad():
        whole = net.upscale(tiled).float().clamp(-1, 1)
    torch.testing.assert_close(wrapped, whole[:, :, 84:168, 120:240], atol=1e-6, rtol=0)


def test_a_nearest_net_wraps_to_the_nearest_picture() -> None:
    low = plane(9, 11)
    picture, _ = render(low, nearest(), Settings(stride_px=3, wrap=True))
    torch.testing.assert_close(picture, low.repeat_interleave(4, 2).repeat_interleave(4, 3), atol=1e-5, rtol=0)
