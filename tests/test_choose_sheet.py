from __future__ import annotations

import pytest
import torch
from torch import Tensor

from upimagine.choose.sheet import contact_sheet
from upimagine.errors import UpimagineError

AMBER = torch.tensor([255, 176, 0]) / 127.5 - 1


def flat(values: list[float], height: int = 20, width: int = 20) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, height, width)


def cell(sheet: Tensor, index: int, columns: int, thumb_px: int, gap_px: int) -> Tensor:
    top, left = (gap_px + place * (thumb_px + gap_px) for place in divmod(index, columns))
    return sheet[:, top : top + thumb_px, left : left + thumb_px]


def amber(sheet: Tensor) -> Tensor:
    return ((sheet - AMBER[:, None, None]).abs().amax(0) < 1e-3).nonzero()


def test_pictures_stand_in_order() -> None:
    values = [-0.8, -0.4, 0.0, 0.4, 0.8]
    sheet = contact_sheet(flat(values), columns=3, thumb_px=40, gap_px=5)
    assert sheet.shape == (3, 2 * 45 + 5, 3 * 45 + 5)
    assert sheet.dtype == torch.float32
    assert -1 <= float(sheet.min()) <= float(sheet.max()) <= 1
    for index, value in enumerate(values):
        upper = cell(sheet, index, 3, 40, 5)[:, :20]  # numbers stand in the lower half
        torch.testing.assert_close(upper, torch.full_like(upper, value), atol=0.01, rtol=0)
    empty = cell(sheet, 5, 3, 40, 5)
    assert float(empty.max()) == float(empty.min())


def test_only_kept_ones_are_framed_and_frames_cover_no_picture() -> None:
    pictures = flat([0.0] * 6)
    plain = contact_sheet(pictures, columns=3, thumb_px=40, gap_px=6)
    assert len(amber(plain)) == 0
    framed = contact_sheet(pictures, [4], columns=3, thumb_px=40, gap_px=6)
    places = amber(framed)
    # 4 px round the fifth thumbnail, whose corner is at (52, 52).
    assert places.amin(0).tolist() == [48, 48]
    assert places.amax(0).tolist() == [95, 95]
    assert len(places) == 48 * 48 - 40 * 40
    for index in range(6):
        assert torch.equal(cell(framed, index, 3, 40, 6), cell(plain, index, 3, 40, 6))


def test_numbers_are_written_and_may_be_chosen() -> None:
    pictures = flat([0.0] * 3)
    sheet = contact_sheet(pictures, columns=3, thumb_px=64)
    cells = [cell(sheet, index, 3, 64, 6) for index in range(3)]
    for written in cells:
        assert float(written.max()) > 0.5  # light digits
        assert float(written.min()) == -1  # on a dark label
    assert not torch.equal(cells[0], cells[1])
    renamed = contact_sheet(pictures, columns=3, thumb_px=64, numbers=[2, 1, 0])
    assert torch.equal(cell(renamed, 0, 3, 64, 6), cells[2])
    wide = contact_sheet(pictures, columns=3, thumb_px=64, numbers=[1234, 1, 0])
    assert not torch.equal(cell(wide, 0, 3, 64, 6), cells[1])


def test_pictures_that_are_not_square_are_fitted_whole() -> None:
    sheet = contact_sheet(flat([1.0], 20, 40), thumb_px=48, gap_px=4)
    middle = cell(sheet, 0, 1, 48, 4)
    assert float(middle[:, 12:24].min()) > 0.99
    assert float(middle[:, :12].max()) < -0.5


def test_about_as_wide_as_high_by_default() -> None:
    assert contact_sheet(flat([0.0] * 10), thumb_px=16).shape == (3, 3 * 22 + 6, 4 * 22 + 6)
    assert contact_sheet(flat([0.0]), thumb_px=16).shape == (3, 28, 28)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UpimagineError, match="no pictures"):
        contact_sheet(flat([]))
    with pytest.raises(ValueError, match="positions"):
        contact_sheet(flat([0.0] * 2), [2])
    with pytest.raises(ValueError, match="one a picture"):
        contact_sheet(flat([0.0] * 2), numbers=[1])
    with pytest.raises(ValueError, match="gap_px"):
        contact_sheet(flat([0.0] * 2), gap_px=2)
