"""Centimetres to pixels, the bleed around them, and the warning when they are too many."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upimagine.errors import UpimagineError
from upimagine.printing import BleedRows, PrintLayout, PrintSize, stretch_warning

SIDES = st.integers(1, 9000)


class Rows:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.strips: list[torch.Tensor] = []

    def write_rows(self, rows: torch.Tensor) -> None:
        assert rows.shape[1] > 0
        self.strips.append(rows)

    def picture(self) -> torch.Tensor:
        return torch.cat(self.strips, dim=1)


def send(sink: object, picture: torch.Tensor, cuts: list[int]) -> None:
    """Write a picture (3, H, W) in strips that end at `cuts` and at its end."""
    edges = [0, *sorted(cut % picture.shape[1] for cut in cuts), picture.shape[1]]
    for start, end in pairwise(edges):
        sink.write_rows(picture[:, start:end].clone())  # type: ignore[attr-defined]


def test_sixty_centimetres_at_200_dpi() -> None:
    layout = PrintSize(60, 200, bleed_mm=3).layout(1024, 768)
    assert layout.trim_px == (4724, 3543)  # 60 / 2.54 · 200 = 4724.4; · 3/4 = 3543
    assert layout.bleed_px == 24  # 23.6
    assert layout.full_px == (4772, 3591)
    assert layout.trim_cm[0] == pytest.approx(60, abs=0.0064)  # half a pixel
    assert layout.bleed_mm == pytest.approx(3.048)


def test_whole_millimetres_give_whole_pixels() -> None:
    layout = PrintSize(25.4, 254, bleed_mm=3).layout(100, 50)
    assert (layout.trim_px, layout.bleed_px, layout.full_px) == ((2540, 1270), 30, (2600, 1330))


@given(SIDES, SIDES, st.floats(1, 300), st.floats(30, 1200), st.floats(0, 5))
def test_the_longer_side_is_the_paper(height: int, width: int, cm: float, dpi: float, bleed_mm: float) -> None:
    size = PrintSize(cm, dpi, bleed_mm)
    try:
        layout = size.layout(height, width)
    except UpimagineError as error:
        assert "bleed" in str(error)
        return
    assert max(layout.trim_cm) == pytest.approx(cm, abs=0.5001 * 2.54 / dpi)
    assert (layout.trim_px[0] >= layout.trim_px[1]) == (height >= width) or min(layout.trim_px) == max(layout.trim_px)
    exact = min(height, width) / max(height, width) * max(layout.trim_px)
    assert abs(min(layout.trim_px) - max(exact, 1)) <= 0.5001
    assert bleed_mm - 1e-4 <= layout.bleed_mm <= bleed_mm + 25.4 / dpi
    assert PrintLayout.of_file(*layout.full_px, dpi, bleed_mm) == layout


@pytest.mark.parametrize(
    ("cm", "dpi", "bleed_mm", "match"),
    [
        (0, 300, 0, "above 0"),
        (-3, 300, 0, "above 0"),
        (math.nan, 300, 0, "above 0"),
        (math.inf, 300, 0, "above 0"),
        (0.001, 300, 0, "0 px"),
        (1e300, 300, 0, "choose another size"),
        (60, 0, 0, "dpi"),
        (60, math.nan, 0, "dpi"),
        (60, 1e6, 0, "dpi"),
        (60, 300, -1, "bleed"),
        (60, 300, math.nan, "bleed"),
        (60, 300, math.inf, "bleed"),
    ],
)
def test_refuses_impossible_paper(cm: float, dpi: float, bleed_mm: float, match: str) -> None:
    with pytest.raises(UpimagineError, match=match) as caught:
        PrintSize(cm, dpi, bleed_mm)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


def test_refuses_a_bleed_wider_than_the_print() -> None:
    with pytest.raises(UpimagineError, match="too wide"):
        PrintSize(10, 254, bleed_mm=60).layout(100, 50)
    with pytest.raises(UpimagineError, match="no room"):
        PrintLayout.of_file(60, 100, 254, 3)


@given(
    st.integers(1, 12), st.integers(2, 12), st.integers(0, 11), st.lists(st.integers(0, 20), max_size=4), st.integers(0)
)
def test_bleed_mirrors_the_picture(height: int, width: int, bleed: int, cuts: list[int], seed: int) -> None:
    bleed = min(bleed, height - 1, width - 1)
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed % 1000))
    rows = Rows()
    send(BleedRows(rows, PrintLayout((height, width), bleed, 300)), picture, cuts)
    expected = np.pad(picture.numpy(), ((0, 0), (bleed, bleed), (bleed, bleed)), mode="reflect")
    assert (rows.picture().numpy() == expected).all()


def test_bleed_refuses_other_rows() -> None:
    sink = BleedRows(Rows(), PrintLayout((8, 9), 2, 300))
    with pytest.raises(ValueError, match="9"):
        sink.write_rows(torch.zeros(3, 4, 8))
    with pytest.raises(ValueError, match="row 9"):
        sink.write_rows(torch.zeros(3, 9, 9))


def test_warns_when_the_models_do_not_reach() -> None:
    layout = PrintSize(60, 200).layout(256, 192)  # 4724 px, 18.5 times 256
    warning = stretch_warning((256, 192), layout, (8,))
    assert warning is not None
    assert "18.5 times" in warning
    assert "x8" in warning
    assert "2.31 is only resampled" in warning
    assert "\n" not in warning
    assert stretch_warning((256, 192), layout, (8, 8)) is None
    assert "no model" in str(stretch_warning((256, 192), layout))
    assert stretch_warning((4724, 3543), layout) is None


def test_warns_of_a_print_that_is_all_invention() -> None:
    layout = PrintSize(60, 200).layout(128, 128)  # 36.9 times 128
    assert "invented" in str(stretch_warning((128, 128), layout, (8, 8)))
    assert stretch_warning((128, 128), layout, (8, 8), most_times=40) is None


@given(SIDES, SIDES, st.floats(1, 200), st.floats(72, 600), st.lists(st.sampled_from([2.0, 4.0, 8.0]), max_size=3))
def test_what_a_warning_recommends_needs_no_warning(
    height: int, width: int, cm: float, dpi: float, scales: list[float]
) -> None:
    warning = stretch_warning((height, width), PrintSize(cm, dpi).layout(height, width), scales)
    if warning is None:
        return
    smaller_cm = float(warning.split("print at most ")[1].split(" cm")[0])
    assert smaller_cm < cm
    if smaller_cm / 2.54 * dpi < 8:
        return  # no paper is that small
    again = stretch_warning((height, width), PrintSize(smaller_cm, dpi).layout(height, width), scales)
    assert again is None or ("invented" in again and "resampled" in warning)
