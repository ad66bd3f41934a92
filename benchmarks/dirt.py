"""Dirt as it lies in real collections, planted on sound portraits: each kind is drawn anew from its random numbers.

Pictures are (H, W, 3) uint8 RGB. A `Spoil` takes a sound one and random numbers; what it gives back has one fault.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rgb8 = NDArray[np.uint8]
Random = np.random.Generator
Spoil = Callable[[Rgb8, Random], Rgb8]


def saved(picture: Rgb8, quality: int) -> Rgb8:
    """Through a JPEG of that quality, as OpenCV writes it (chroma halved)."""
    _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def noisy(picture: Rgb8, sigma: float, chance: Random) -> Rgb8:
    """A sensor's grain, the same in all channels to two thirds."""
    grain = chance.normal(0, sigma, (*picture.shape[:2], 1)) + chance.normal(0, sigma / 2, picture.shape)
    return _levels(picture + grain)


def lit(picture: Rgb8, gain: float) -> Rgb8:
    """More or less light, in linear values with a gamma of 2.2."""
    return _levels((np.clip((picture / 255) ** 2.2 * gain, 0, 1) ** (1 / 2.2)) * 255)


def varied(picture: Rgb8, chance: Random) -> Rgb8:
    """A sound picture as another camera would have taken it: framing, light, grain and quality of the file differ."""
    height, width = picture.shape[:2]
    cut = [int(each) for each in chance.integers(0, max(1, round(0.06 * min(height, width))), 4)]
    inside = picture[cut[0] : height - cut[1], cut[2] : width - cut[3]]
    if chance.random() < 0.5:
        inside = inside[:, ::-1]
    warm = chance.uniform(0.93, 1.07, 3)
    grain = noisy(_levels(lit(inside, chance.uniform(0.7, 1.25)) * warm), chance.uniform(0, 3), chance)
    return saved(grain, int(chance.integers(80, 97)))


def small(picture: Rgb8, chance: Random) -> Rgb8:
    side = int(chance.integers(40, 121))
    return saved(_resized(picture, side / min(picture.shape[:2]), cv2.INTER_AREA), 90)


def blurred(picture: Rgb8, chance: Random) -> Rgb8:
    """Out of focus (a disc) or moved (a line at any angle)."""
    unit = min(picture.shape[:2]) / 192
    if chance.random() < 0.5:
        radius = chance.uniform(2.2, 5) * unit
        reach = int(np.ceil(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        kernel = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    else:
        kernel = _line(chance.uniform(8, 18) * unit, chance.uniform(0, np.pi))
    soft = cv2.filter2D(picture.astype(np.float32), -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return saved(noisy(_levels(soft), chance.uniform(0, 1.5), chance), int(chance.integers(80, 96)))


def upscaled(picture: Rgb8, chance: Random) -> Rgb8:
    """From a half to a quarter of its size, by the usual ways."""
    ways = (cv2.INTER_CUBIC, cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)
    factor, way = chance.uniform(2, 4), ways[int(chance.integers(4))]
    if way == cv2.INTER_NEAREST:
        factor = round(factor)
    less = saved(_resized(picture, 1 / factor, cv2.INTER_AREA), 92)
    return saved(_resized(less, factor, way), int(chance.integers(85, 96)))


def compressed(picture: Rgb8, chance: Random) -> Rgb8:
    """A JPEG of quality 10 to 30; half of them cut and saved well again, so that the grid lies elsewhere."""
    bad = saved(picture, int(chance.integers(10, 31)))
    if chance.random() < 0.5:
        y, x = chance.integers(1, 8, 2)
        bad = saved(bad[y:, x:], 92)
    return bad


def halftone(picture: Rgb8, chance: Random) -> Rgb8:
    """A print in one or four inks, its screens at angles of their own, scanned."""
    pitch, tilt = chance.uniform(3, 8), chance.uniform(-10, 10)
    fine = 3
    large = cv2.resize(picture, None, fx=fine, fy=fine, interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    if chance.random() < 0.35:
        grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)
        printed = np.repeat(1 - _screen(1 - grey, pitch * fine, 45 + tilt)[..., None], 3, axis=2)
    else:
        black = 1 - large.max(axis=2)
        colours = np.clip((1 - large - black[..., None]) / np.maximum(1 - black[..., None], 1e-3), 0, 1)
        inks = [_screen(colours[..., i], pitch * fine, angle + tilt) for i, angle in enumerate((15, 75, 0))]
        paper = 1 - np.stack(inks, axis=-1)
        printed = paper * (1 - _screen(black, pitch * fine, 45 + tilt))[..., None]
    scan = cv2.resize(printed.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    scan = cv2.GaussianBlur(scan, (0, 0), chance.uniform(0.4, 0.8))
    return saved(noisy(_levels(scan * 255), 1.5, chance), int(chance.integers(80, 96)))


def drawing(picture: Rgb8, chance: Random) -> Rgb8:
    """Flattened colours with or without outlines, a stylised picture, or a pencil drawing."""
    kind = int(chance.integers(4))
    bgr = np.ascontiguousarray(picture[..., ::-1])
    if kind == 0:
        flat = cv2.pyrMeanShiftFiltering(bgr, 8, 30)[..., ::-1]
        return saved(_outlined(_posterised(flat, int(chance.integers(24, 56))), picture), 92)
    if kind == 1:
        flat = picture
        for _ in range(4):
            flat = cv2.bilateralFilter(flat, 9, 40, 7)
        return saved(_posterised(flat, int(chance.integers(32, 64))), 92)
    if kind == 2:
        return saved(_outlined(cv2.stylization(bgr, sigma_s=40, sigma_r=0.5)[..., ::-1], picture), 92)
    pencil, _ = cv2.pencilSketch(bgr, sigma_s=30, sigma_r=0.07, shade_factor=0.05)
    return saved(np.repeat(pencil[..., None], 3, axis=2), 92)


def grey(picture: Rgb8, chance: Random) -> Rgb8:
    """Greyscale; every third toned slightly, as old prints are."""
    plain = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if chance.random() < 1 / 3:
        plain = _levels(plain * np.array([1.0, chance.uniform(0.93, 0.98), chance.uniform(0.82, 0.93)]))
    return saved(plain, int(chance.integers(80, 96)))


def overexposed(picture: Rgb8, chance: Random) -> Rgb8:
    return saved(lit(picture, chance.uniform(4, 10)), 92)


def underexposed(picture: Rgb8, chance: Random) -> Rgb8:
    return saved(noisy(lit(picture, chance.uniform(0.03, 0.1)), chance.uniform(1, 3), chance), 92)


def crowded(picture: Rgb8, chance: Random) -> Rgb8:
    """Two beside each other (the second is the first mirrored, under other light)."""
    other = lit(picture[:, ::-1], chance.uniform(0.6, 1.4))
    return saved(np.concatenate((picture, other), axis=1), 92)


def framed(picture: Rgb8, chance: Random) -> Rgb8:
    """A plain border on all sides or two, as wide on each or wider below, with or without a line inside."""
    side = min(picture.shape[:2])
    width = max(3, round(chance.uniform(0.03, 0.1) * side))
    colour = [int(each) for each in ((255,) * 3, (0,) * 3, (128,) * 3, chance.integers(0, 256, 3))[chance.integers(4)]]
    kind = int(chance.integers(4))
    ways = {0: (width,) * 4, 1: (width, width, 0, 0), 2: (0, 0, width, width), 3: (width, width * 3, width, width)}[
        kind
    ]
    out = cv2.copyMakeBorder(picture, *ways, cv2.BORDER_CONSTANT, value=colour)
    if kind == 0 and chance.random() < 0.5:
        line = max(1, width // 4)
        inner = [255 - each for each in colour]
        cv2.rectangle(out, (width, width), (out.shape[1] - width - 1, out.shape[0] - width - 1), inner, line)
    return saved(out, int(chance.integers(85, 96)))


_WORDS = (
    "© www.example-photos.com",
    "Untitled portrait no. 17",
    "SAMPLE – DO NOT COPY",
    "12.06.2019 18:44",
    "stockarchive",
    "When you see it…",
    "PREVIEW",
    "photo: A. Nonymous",
)


def lettered(picture: Rgb8, chance: Random) -> Rgb8:
    """A caption or date at the border, a band with words, or a watermark across the picture, half transparent."""
    height, width = picture.shape[:2]
    words, kind = _WORDS[chance.integers(len(_WORDS))], int(chance.integers(4))
    layer = Image.new("L", (width * 2, height * 2))
    draw = ImageDraw.Draw(layer)
    length = {0: 0.5, 1: 0.8, 2: 0.9, 3: 0.9}[kind] * chance.uniform(0.8, 1.1) * width * 2
    font = ImageFont.load_default(40)
    font = ImageFont.load_default(min(40 * length / font.getlength(words), 0.2 * height))
    reach = font.getlength(words)
    ink, strength, out = 255, 1.0, picture.astype(np.float32)
    if kind == 3:
        draw.text((width - reach / 2, height * 0.95), words, fill=255, font=font)
        layer = layer.rotate(float(chance.uniform(-40, 40)), resample=Image.Resampling.BICUBIC)
        strength = chance.uniform(0.3, 0.6)
    else:
        top = chance.random() < 0.3
        y = height * 2 * (0.03 if top else 0.97) - (0 if top else font.size * 1.2)
        draw.text((width * 0.1 if kind == 0 else width - reach / 2, y), words, fill=255, font=font)
        ink = int(chance.choice([255, 0])) if kind != 0 else 255
        if kind == 2:
            band = slice(max(0, int(y / 2 - 2)), min(height, int(y / 2 + font.size * 0.65 + 2)))
            out[band] = 255 - ink
    mask = cv2.resize(np.asarray(layer, np.float32) / 255, (width, height), interpolation=cv2.INTER_AREA)[..., None]
    out = out * (1 - strength * mask) + strength * mask * ink
    return saved(_levels(out), int(chance.integers(85, 96)))


def hidden(picture: Rgb8, chance: Random, points68: NDArray[np.float32]) -> Rgb8:
    """Sunglasses, a mask, a hand or board before half of the face, or hair over both eyes.

    `points68`: the face's (y, x), where it is.
    """
    out, kind = picture.astype(np.float32), int(chance.integers(4))
    eyes, mouth = points68[36:48], points68[48:60]
    between = float(np.linalg.norm(points68[36:42].mean(0) - points68[42:48].mean(0)))
    shape = np.zeros(picture.shape[:2], np.uint8)
    if kind == 0:
        for side in (points68[36:42], points68[42:48]):
            y, x = side.mean(0)
            cv2.ellipse(shape, (int(x), int(y)), (int(between * 0.42), int(between * 0.34)), 0, 0, 360, 255, -1)
        start, end = points68[36], points68[45]
        cv2.line(shape, (int(start[1]), int(start[0])), (int(end[1]), int(end[0])), 255, max(2, int(between / 12)))
        colour = chance.uniform(5, 40, 3)
    elif kind == 1:
        outline = np.concatenate((points68[1:16], points68[29:30]))
        cv2.fillPoly(shape, [np.round(outline[:, ::-1]).astype(np.int32)], 255)
        colour = chance.uniform(120, 240, 3)
    elif kind == 2:
        (top, left), (bottom, right) = points68.min(0), points68.max(0)
        middle = (left + right) / 2
        near = (left - 0.1 * between, middle) if chance.random() < 0.5 else (middle, right + 0.1 * between)
        corners = [(near[0], top - between), (near[1], top - between), (near[1], bottom), (near[0], bottom)]
        cv2.fillPoly(shape, [np.round(corners).astype(np.int32)], 255)
        colour = chance.uniform(30, 220, 3)
    else:
        top, bottom = points68.min(0)[0] - between, (eyes.mean(0)[0] * 2 + mouth.mean(0)[0]) / 3
        left, right = points68[:, 1].min(), points68[:, 1].max()
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        cv2.fillPoly(shape, [np.round(corners).astype(np.int32)], 255)
        colour = chance.uniform(20, 90, 3)
    shade = cv2.GaussianBlur(chance.normal(0, 1, shape.shape).astype(np.float32), (0, 0), between / 8)
    texture = colour + shade[..., None] / max(float(shade.std()), 1e-6) * 10
    mask = cv2.GaussianBlur(shape, (0, 0), 0.7)[..., None] / 255
    return saved(_levels(out * (1 - mask) + texture * mask), 92)


def duplicate(picture: Rgb8, chance: Random) -> Rgb8:
    """The same picture smaller, worse, in other light or grey, or cut by up to 2 % a side."""
    height, width = picture.shape[:2]
    if chance.random() < 0.4:
        cut = [int(each) for each in chance.integers(0, round(0.02 * min(height, width)) + 1, 4)]
        picture = picture[cut[0] : height - cut[1], cut[2] : width - cut[3]]
    picture = _resized(picture, chance.uniform(0.7, 1), cv2.INTER_AREA)
    if chance.random() < 0.3:
        picture = grey(picture, chance)
    return saved(lit(picture, chance.uniform(0.8, 1.2)), int(chance.integers(40, 91)))


SPOIL: dict[str, Spoil] = {
    "small": small,
    "blurred": blurred,
    "upscaled": upscaled,
    "compressed": compressed,
    "halftone": halftone,
    "drawing": drawing,
    "grey": grey,
    "overexposed": overexposed,
    "underexposed": underexposed,
    "crowded": crowded,
    "framed": framed,
    "lettered": lettered,
}
"""Flag to what raises it, for those that need no more than a picture."""


def _levels(values: NDArray[np.floating]) -> Rgb8:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _resized(picture: Rgb8, factor: float, way: int) -> Rgb8:
    height, width = picture.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def _line(length_px: float, angle: float) -> NDArray[np.float32]:
    """A kernel: a straight smear of that length."""
    side = int(np.ceil(length_px)) // 2 * 2 + 3
    kernel, middle = np.zeros((side, side), np.float32), (side - 1) / 2
    for step in np.linspace(-length_px / 2, length_px / 2, side * 4):
        kernel[round(middle + step * np.sin(angle)), round(middle + step * np.cos(angle))] += 1
    return cv2.GaussianBlur(kernel, (3, 3), 0.5)


def _screen(ink: NDArray[np.float32], pitch_px: float, degrees: float) -> NDArray[np.float32]:
    """(H, W) coverage 0 to 1 printed as dots."""
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]].astype(np.float32)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    across, along = (x * cos + y * sin) * 2 * np.pi / pitch_px, (y * cos - x * sin) * 2 * np.pi / pitch_px
    limit = (np.cos(across) + np.cos(along)) / 4 + 0.5
    return np.clip((ink - limit) * 8 + 0.5, 0, 1).astype(np.float32)


def _posterised(picture: Rgb8, step: int) -> Rgb8:
    return np.clip(picture.astype(np.int32) // step * step + step // 2, 0, 255).astype(np.uint8)


def _outlined(flat: Rgb8, picture: Rgb8) -> Rgb8:
    soft = cv2.medianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 5)
    lines = cv2.adaptiveThreshold(soft, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 4)
    out = flat.copy()
    out[lines == 0] = 20
    return out
