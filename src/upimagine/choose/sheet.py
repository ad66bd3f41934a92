"""The contact sheet: all pictures at a glance, numbered, the kept ones framed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.data.folder import to_float
from upimagine.errors import UpimagineError

_GROUND = 32  # dark grey: neither black nor white pictures melt into it
_FRAME = (255, 176, 0)  # amber, RGB: a colour faces and hair seldom have, told from grey by colour-blind eyes too


def contact_sheet(
    pictures: Tensor,
    kept: Collection[int] = (),
    *,
    numbers: Sequence[int] | None = None,
    columns: int | None = None,
    thumb_px: int = 96,
    gap_px: int = 6,
) -> Tensor:
    """Thumbnails of (N, 3, H, W) in [-1, 1] or uint8, row by row in the order given, as one picture (3, height, width).

    Args:
        pictures: N at least 1; each is fitted whole into a square of `thumb_px`, centred.
        kept: positions in `pictures` that get an amber frame.
        numbers: what to write on each; default its position. Give the original indices when the order is a ranking.
        columns: thumbnails a row; default makes the sheet about as wide as high.
        thumb_px: side of a thumbnail.
        gap_px: space between thumbnails and around them, at least 4, which the frame fills.

    Raises UpimagineError when there are no pictures, ValueError when `kept` or `numbers` do not fit them.
    """
    count = len(pictures)
    if count == 0:
        raise UpimagineError("no pictures for a contact sheet; sample some first")
    numbers = range(count) if numbers is None else numbers
    if len(numbers) != count or any(not 0 <= index < count for index in kept):
        raise ValueError("numbers must be one a picture, and kept must be positions of pictures")
    if gap_px < 4 or thumb_px < 16 or (columns is not None and columns < 1):
        raise ValueError("gap_px must be at least 4, thumb_px at least 16 and columns at least 1")
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    lines = math.ceil(count / columns)
    cell = thumb_px + gap_px
    sheet = np.full((lines * cell + gap_px, columns * cell + gap_px, 3), _GROUND, np.uint8)
    for index in range(count):
        top, left = index // columns * cell + gap_px, index % columns * cell + gap_px
        thumb = _thumbnail(pictures[index], thumb_px)
        y, x = top + (thumb_px - thumb.shape[0]) // 2, left + (thumb_px - thumb.shape[1]) // 2
        sheet[y : y + thumb.shape[0], x : x + thumb.shape[1]] = thumb
        if index in kept:
            width = gap_px - 2
            corners = (left - width, top - width), (left + thumb_px + width - 1, top + thumb_px + width - 1)
            _frame(sheet, corners, width)
        _write(sheet, str(numbers[index]), (left, top + thumb_px), thumb_px)
    return torch.from_numpy(sheet).permute(2, 0, 1).float() / 127.5 - 1


def _thumbnail(picture: Tensor, thumb_px: int) -> np.ndarray:
    """(3, H, W) in [-1, 1] or uint8 to (h, w, 3) uint8, the longer side `thumb_px`."""
    if picture.dtype == torch.uint8:
        picture = to_float(picture)
    height, width = picture.shape[-2:]
    scale = thumb_px / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = F.interpolate(picture[None].float().cpu(), size=size, mode="bicubic", antialias=True, align_corners=False)
    return ((small[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def _frame(sheet: np.ndarray, corners: tuple[tuple[int, int], tuple[int, int]], width: int) -> None:
    """Fill the band of `width` px just inside the rectangle of two (x, y) corners, both included."""
    (left, top), (right, bottom) = corners
    for rows, columns in (
        (slice(top, top + width), slice(left, right + 1)),
        (slice(bottom - width + 1, bottom + 1), slice(left, right + 1)),
        (slice(top, bottom + 1), slice(left, left + width)),
        (slice(top, bottom + 1), slice(right - width + 1, right + 1)),
    ):
        sheet[rows, columns] = _FRAME


def _write(sheet: np.ndarray, text: str, at: tuple[int, int], thumb_px: int) -> None:
    """White digits on a dark label whose lower left corner is at (x, y), so that they read on any picture."""
    size = max(0.35, thumb_px / 300)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x, y = at
    sheet[y - height - 5 : y, x : x + width + 6] = 0
    cv2.putText(sheet, text, (x + 3, y - 3), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
