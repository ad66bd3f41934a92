"""Sound portraits and the same spoilt in known ways, as arrays (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

Rgb8 = np.ndarray
Spoil = Callable[[Rgb8, int], Rgb8]

DATA = Path(__file__).parent / "data"


def sound() -> list[Rgb8]:
    """Nine portraits of 192 px, and their mirror images under other light."""
    files = [DATA / "face.jpg", *sorted((DATA / "portraits").iterdir())]
    straight = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in files]
    lights = (0.75, 0.9, 1.1)
    return straight + [_lit(picture[:, ::-1], lights[index % 3]) for index, picture in enumerate(straight)]


def saved(picture: Rgb8, quality: int) -> Rgb8:
    """Through a JPEG of that quality."""
    _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def scaled(picture: Rgb8, factor: float) -> Rgb8:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way)


def halftoned(picture: Rgb8, pitch_px: float) -> Rgb8:
    """Dots of a four-colour print without black: each channel's screen at an angle of its own."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    printed = np.empty_like(picture)
    for channel, degrees in enumerate((15, 75, 45)):
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        across, along = (x * cos + y * sin) * 2 * np.pi / pitch_px, (y * cos - x * sin) * 2 * np.pi / pitch_px
        screen = (np.cos(across) + np.cos(along)) / 4 + 0.5
        ink = np.clip((picture[..., channel] / 255 - screen) * 6 + 0.5, 0, 1).astype(np.float32)
        printed[..., channel] = cv2.GaussianBlur(ink, (0, 0), 0.5) * 255
    return printed


def drawn(picture: Rgb8, number: int) -> Rgb8:
    """A cartoon of the picture, or a head of flat colours with black outlines."""
    if number % 2:
        return _cartoon(picture)
    chance = np.random.default_rng(number)
    height, width, fine = *picture.shape[:2], 4
    canvas = np.full((height * fine, width * fine, 3), chance.integers(150, 255, 3), np.uint8)
    unit, middle = min(height, width) * fine / 100, (width * fine // 2, height * fine // 2)

    def colour() -> tuple[int, ...]:
        return tuple(int(value) for value in chance.integers(30, 255, 3))

    def sizes(*hundredths: float) -> tuple[int, ...]:
        return tuple(int(each * unit) for each in hundredths)

    hair = (middle[0], middle[1] - int(20 * unit))
    for thickness, ink in ((-1, colour()), (int(unit), (0, 0, 0))):
        cv2.ellipse(canvas, middle, sizes(30, 38), 0, 0, 360, ink, thickness)
    cv2.ellipse(canvas, hair, sizes(32, 22), 0, 180, 360, colour(), -1)
    for side in (-12, 12):
        eye = (middle[0] + int(side * unit), middle[1] - int(6 * unit))
        cv2.circle(canvas, eye, int(5 * unit), (255, 255, 255), -1)
        cv2.circle(canvas, eye, int(2 * unit), (0, 0, 0), -1)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _cartoon(picture: Rgb8) -> Rgb8:
    smooth = picture
    for _ in range(4):
        smooth = cv2.bilateralFilter(smooth, 9, 40, 7)
    flat = (smooth // 48 * 48 + 24).astype(np.uint8)
    grey = cv2.medianBlur(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), 5)
    outlines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 4)
    flat[outlines == 0] = 0
    return flat


def _lit(picture: Rgb8, factor: float) -> Rgb8:
    """More or less light on it: in linear values, with a gamma of 2.2."""
    linear = (picture / 255) ** 2.2 * factor
    return (np.clip(linear, 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8)


def _captioned(picture: Rgb8, number: int) -> Rgb8:
    written, (height, width) = picture.copy(), picture.shape[:2]
    text = ("(c) www.example-photos.com", "Untitled portrait no. 17", "SAMPLE DO NOT COPY 2024")[number % 3]
    place = (int(width * 0.06), int(height * (0.95 if number % 2 else 0.08)))
    cv2.putText(written, text, place, cv2.FONT_HERSHEY_SIMPLEX, width * 0.84 / 470, (255, 255, 255), 1, cv2.LINE_AA)
    return written


def _framed(picture: Rgb8, number: int) -> Rgb8:
    border = 6 + number % 8
    inside = picture[border:-border, border:-border] if number % 2 else picture[border:-border]
    left = border if number % 2 else 0
    colour = (255, 0, 128)[number % 3]
    ways = (border, border, left, left)
    return cv2.copyMakeBorder(inside, *ways, cv2.BORDER_CONSTANT, value=(colour,) * 3)


def _grey(picture: Rgb8) -> Rgb8:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _crowd(picture: Rgb8, number: int) -> Rgb8:
    return np.concatenate((picture, picture[:, ::-1]), axis=1)


def _covered(picture: Rgb8, number: int) -> Rgb8:
    """A board before the upper half of the face, as a portrait's face lies in the middle."""
    height, width = picture.shape[:2]
    behind = picture.copy()
    behind[height // 4 : height * 11 // 20, width // 4 : width * 3 // 4] = (30, 30, 40)
    return behind


#: Flag to the way a sound picture gets it; the number varies how much.
SPOILT: dict[str, Spoil] = {
    "small": lambda picture, number: scaled(picture, (0.3, 0.45, 0.6)[number % 3]),
    "blurred": lambda picture, number: cv2.GaussianBlur(picture, (0, 0), 2.0 + 0.5 * (number % 4)),
    "upscaled": lambda picture, number: saved(scaled(scaled(picture, 1 / (2 + number % 2)), 2 + number % 2), 92),
    "compressed": lambda picture, number: saved(picture, (8, 14, 20)[number % 3]),
    "halftone": lambda picture, number: saved(halftoned(picture, 3 + number % 3), 92),
    "drawing": lambda picture, number: saved(drawn(picture, number), 92),
    "grey": lambda picture, number: saved(_grey(picture), 92),
    "overexposed": lambda picture, number: _lit(picture, (6, 8, 10)[number % 3]),
    "underexposed": lambda picture, number: _lit(picture, (0.04, 0.06, 0.08)[number % 3]),
    "faceless": lambda picture, number: np.roll(picture, (96, 96), (0, 1)),
    "crowded": _crowd,
    "hidden": _covered,
    "framed": lambda picture, number: saved(_framed(picture, number), 92),
    "lettered": lambda picture, number: saved(_captioned(picture, number), 92),
}
