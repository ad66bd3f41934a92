"""Sharpening for paper: the same in strips, right by an outside filter, and bounded at edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_printing_size import Rows, send

from upimagine.errors import UpimagineError
from upimagine.printing import BleedRows, PrintLayout, SharpenedRows, Sharpening, sharpen

KNOBS = st.builds(
    Sharpening,
    radius_px=st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.3, 4.0]),
    amount=st.floats(0, 3),
    threshold=st.sampled_from([0.0, 0.008, 0.1]),
    halo=st.sampled_from([None, 0.0, 0.05, 0.3]),
)
SEEDS = st.integers(0, 999)


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def luma(picture: torch.Tensor) -> np.ndarray:
    return np.tensordot((0.299, 0.587, 0.114), picture.double().numpy(), 1)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), KNOBS, st.lists(st.integers(0, 60), max_size=8), SEEDS)
def test_strips_of_any_height_give_the_whole(
    height: int, width: int, knobs: Sharpening, cuts: list[int], seed: int
) -> None:
    picture, rows = noise(height, width, seed), Rows()
    sink = SharpenedRows(rows, (height, width), knobs)
    send(sink, picture, cuts)
    sink.write_rows(picture[:, :0])  # nothing more comes of nothing
    assert rows.picture().equal(sharpen(picture, knobs))


def test_blocks_for_the_cache_leave_no_trace() -> None:
    picture = noise(700, 600, 1)  # more than one block
    knobs = Sharpening(2.0, threshold=0)
    whole = sharpen(picture, knobs)
    reach = knobs.reach_px
    assert whole[:, 400:].equal(sharpen(picture[:, 400 - reach :], knobs)[:, reach:])


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 40), st.integers(12, 40), st.sampled_from([0.6, 1.5, 3.0]), st.floats(0, 2), SEEDS)
def test_is_an_unsharp_mask_on_luma(height: int, width: int, radius_px: float, amount: float, seed: int) -> None:
    picture = noise(height, width, seed) * 0.1  # so that nothing is clipped
    knobs = Sharpening(radius_px, amount, threshold=0, halo=None)
    size = 2 * knobs.reach_px + 1
    blurred = cv2.GaussianBlur(luma(picture), (size, size), radius_px, borderType=cv2.BORDER_REFLECT_101)
    expected = picture.double().numpy() + amount * (luma(picture) - blurred)
    assert np.abs(sharpen(picture, knobs).numpy() - expected).max() < 2e-6


@settings(max_examples=60, deadline=None)
@given(KNOBS, SEEDS)
def test_halos_stay_within_bounds(knobs: Sharpening, seed: int) -> None:
    picture = noise(24, 31, seed)
    sharpened = sharpen(picture, knobs)
    assert sharpened.abs().max() <= 1
    if knobs.halo is None:
        return
    window = np.ones([2 * int(np.ceil(knobs.radius_px)) + 1] * 2, np.uint8)
    before, after = luma(picture), luma(sharpened)
    assert (after <= cv2.dilate(before, window) + 2 * knobs.halo + 1e-6).all()
    assert (after >= cv2.erode(before, window) - 2 * knobs.halo - 1e-6).all()


def test_an_edge_grows_steeper_and_overshoots_only_as_told() -> None:
    edge = torch.full((3, 20, 40), -0.5)
    edge[:, :, 20:] = 0.5
    soft = torch.from_numpy(cv2.GaussianBlur(edge.permute(1, 2, 0).numpy(), (0, 0), 1.5)).permute(2, 0, 1)

    def slope(picture: torch.Tensor) -> float:
        return float((picture[0, 10, 20] - picture[0, 10, 19]).item())

    free = sharpen(soft, Sharpening(1.5, threshold=0, halo=None))
    none = sharpen(soft, Sharpening(1.5, threshold=0, halo=0.0))
    assert slope(free) / slope(soft) == pytest.approx(2 - 0.5**0.5, abs=0.03)  # two Gaussians make one of 1.5 √2
    assert slope(none) == pytest.approx(slope(free))
    assert free.max() > 0.52
    assert none.max() <= 0.5 + 1e-6
    assert float(sharpen(soft, Sharpening(1.5, amount=9, halo=0.05)).max()) == pytest.approx(0.6, abs=1e-3)


def test_colour_differences_stay() -> None:
    picture = noise(20, 20) * 0.2
    change = sharpen(picture, Sharpening(threshold=0)) - picture
    assert change.abs().max() > 0.02
    torch.testing.assert_close(change[0], change[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(change[0], change[2], rtol=0, atol=1e-6)


def test_noise_below_the_threshold_stays() -> None:
    picture = noise(20, 20) * 0.007  # differences of luma up to 0.014, less than 0.008 of a range of 2
    assert sharpen(picture, Sharpening(threshold=0.008)).equal(picture)
    assert sharpen(picture, Sharpening(threshold=0)).equal(picture) is False
    assert sharpen(noise(9, 9), Sharpening(amount=0)).equal(noise(9, 9))


def test_sharpening_and_bleed_go_in_either_order() -> None:
    """Both mirror at the same place, so no seam of sharpening shows where the knife goes."""
    picture, knobs, bleed = noise(30, 40), Sharpening(1.0), 5
    first, then = Rows(), Rows()
    send(SharpenedRows(BleedRows(first, PrintLayout((30, 40), bleed, 300)), (30, 40), knobs), picture, [7, 8, 20])
    send(BleedRows(SharpenedRows(then, (40, 50), knobs), PrintLayout((30, 40), bleed, 300)), picture, [3, 25])
    # At the paper's own edge, `reach_px` wide, there is nothing to go by; that part is cut off.
    inner = (slice(None), *[slice(knobs.reach_px, -knobs.reach_px)] * 2)
    torch.testing.assert_close(first.picture()[inner], then.picture()[inner], rtol=0, atol=1e-6)


def test_radius_follows_the_paper() -> None:
    assert Sharpening.for_print(300).radius_px == 1.5
    assert Sharpening.for_print(200, amount=0.5) == Sharpening(1.0, 0.5)
    assert Sharpening.for_print(1).radius_px == 0.1
    assert Sharpening.for_print(100_000).radius_px == 50


@pytest.mark.parametrize(
    "knobs", [{"radius_px": 0}, {"radius_px": float("nan")}, {"amount": -1}, {"threshold": 2}, {"halo": -0.1}]
)
def test_refuses_values_that_cannot_work(knobs: dict[str, float]) -> None:
    with pytest.raises(UpimagineError, match=next(iter(knobs))):
        Sharpening(**knobs)


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="3, H, W"):
        sharpen(noise(4, 4)[None], Sharpening())
    sink = SharpenedRows(Rows(), (4, 4), Sharpening())
    with pytest.raises(ValueError, match="row 5"):
        sink.write_rows(noise(5, 4))
    with pytest.raises(ValueError, match="4"):
        sink.write_rows(noise(4, 5))
