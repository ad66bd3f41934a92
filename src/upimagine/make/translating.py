"""Pictures through a translator (pix2pix): whole, brought to the network's square, or in tiles at their own size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from upimagine import pixels
from upimagine.make.machine import settle
from upimagine.make.source import open_source
from upimagine.make.stages import Machine, Watch, check_size
from upimagine.models.loaded import LoadedTranslator, load_translator
from upimagine.pixels.resizing import resize_antialiased
from upimagine.render.enlarge import MemorySink, Settings, enlarge
from upimagine.roles import Translator


@dataclass(frozen=True)
class Translated:
    """What `translate` did."""

    path: Path
    size_px: tuple[int, int]  # height, width
    flattened: bool  # transparent places were laid on white


def translate(
    picture: str | Path,
    out: str | Path,
    model: str | Path,
    *,
    seed: int = 0,
    tiled: bool = False,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Translated:
    """Translate a picture file and write the result: as large as the network's square along its shorter side, with
    the picture's proportions, or, `tiled`, as large as the picture.

    Another `seed` is another translation where the network has noise. Raises PictureError for a picture that cannot be
    used, UpimagineError for models and outputs.
    """
    out = pixels.claim(Path(out), overwrite)
    machine = machine or settle()
    translator = load_translator(model, machine.device, machine.dtype)
    opened, source = open_source(picture, keep_alpha=False)
    check_size(opened, str(picture))
    opened = opened.to(machine.device)
    made = _in_tiles(opened, translator, seed, watch) if tiled else _whole(opened, translator, seed)
    pixels.write(out, made.cpu(), exif=source.exif, xmp=source.xmp, overwrite=overwrite)
    return Translated(out, (made.shape[2], made.shape[3]), source.flattened)


def _whole(picture: Tensor, translator: Translator, seed: int) -> Tensor:
    """(1, 3, H, W) to (1, 3, h, w), whose shorter side is the window's."""
    side, (height, width) = translator.window_px, picture.shape[2:]
    made = translator.translate(resize_antialiased(picture, (side, side)), seed)
    ratio = side / min(height, width)
    return resize_antialiased(made, (round(height * ratio), round(width * ratio)))


def _in_tiles(picture: Tensor, translator: LoadedTranslator, seed: int, watch: Watch) -> Tensor:
    """(1, 3, H, W) to the same shape, in tiles that overlap by a quarter and are feathered there."""
    sink = MemorySink()
    overlap_px = translator.window_px // 4
    # What is made shall not look like what was given, so nothing is held to it and nothing chosen by it.
    settings = Settings(
        stride_px=translator.window_px - overlap_px, feather_px=overlap_px, flips=False, tone_match=0, batch_tiles=4
    )
    enlarge(
        picture, _Tiles(translator, seed), guide=None, critic=None, settings=settings, sink=sink,
        progress=lambda done, total: watch("translating", done, total),
    )  # fmt: skip
    return sink.picture()


class _Tiles:
    """A translator as an upscaler that enlarges by 1, which is what the render engine takes."""

    scale, guide_channels, align_px = 1, 0, 1
    radius_px: int | None = None

    def __init__(self, translator: Translator, seed: int) -> None:
        self.window_px = translator.window_px
        self._translator, self._seed = translator, seed

    def upscale(self, tiles: Tensor) -> Tensor:
        """(N, 3, window, window) to the same shape."""
        return self._translator.translate(tiles, self._seed)
