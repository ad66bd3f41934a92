"""Films that need no player: picture files one after the other as an animated WebP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyvips

from upimagine.errors import UpimagineError
from upimagine.pixels.atomic import replacing, trouble
from upimagine.pixels.vips import enter, reason, refusal


def write_animation(
    frames: Sequence[Path], path: Path, *, frame_ms: int = 120, last_ms: int = 2000, side_px: int = 1024
) -> None:
    """Write an endlessly repeated film of picture files, whole or not at all; a file that stands there is replaced.

    Args:
        frames: at least one file; each is brought into a square of `side_px` by shrinking, and laid on the first one's
            size.
        path: ends in .webp.
        frame_ms: how long each is shown, the last one `last_ms`.

    Raises:
        UpimagineError: a file cannot be read or the film not be written.
    """
    enter()
    try:
        loaded = [_frame(frame, side_px) for frame in frames]
        width, height = loaded[0].width, loaded[0].height
        even = [image if image.width == width and image.height == height else image.gravity("centre", width, height)
                for image in loaded]  # fmt: skip
        film = pyvips.Image.arrayjoin(even, across=1).copy()
        film.set_type(pyvips.GValue.gint_type, "page-height", height)
        film.set_type(pyvips.GValue.array_int_type, "delay", [frame_ms] * (len(even) - 1) + [last_ms])
        film.set_type(pyvips.GValue.gint_type, "loop", 0)
        encoded = film.webpsave_buffer(Q=80, effort=2)
    except pyvips.Error as error:
        if refused := refusal(error):
            raise trouble(refused, path) from error
        raise UpimagineError(
            f"{path}: the film could not be made ({reason(error)}); delete damaged previews"
        ) from error
    with replacing(path, overwrite=True) as file:
        file.write(encoded)


def _frame(path: Path, side_px: int) -> pyvips.Image:
    image = pyvips.Image.thumbnail(str(path), side_px, height=side_px, size="down")
    return image.colourspace("srgb").flatten() if image.hasalpha() else image.colourspace("srgb")
