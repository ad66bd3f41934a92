"""A/B pairs for pix2pix: from files that hold both, from two folders, or one picture made from the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upimagine.data.folder import decode, drawn_at, to_float, to_uint8
from upimagine.data.found import Found
from upimagine.data.makers import Maker
from upimagine.data.sources import opened
from upimagine.errors import PictureError, UpimagineError
from upimagine.pixels.resizing import resize_antialiased
from upimagine.roles import Guide

OnSkip = Callable[[Path, str], None]


@dataclass(frozen=True)
class Jitter:
    """How training pictures are varied, both of a pair alike (phillipi/pix2pix, donkey_folder.lua)."""

    size_px: int  # side of the square that is cut out, anywhere
    load_px: int  # short side to which the whole picture is resized before; the proportions stay
    flip: bool = True  # mirrored by chance


def load_pictures(folders: list[Path], load_px: int, least_px: int, on_skip: OnSkip) -> list[Tensor]:
    """Each picture (3, h, w) uint8 with a short side of `load_px`; a maker makes its partner later.

    Pictures with a short side below `least_px`, and what cannot be read, go to `on_skip`. Raises UpimagineError when
    none is left.
    """
    with opened(folders) as found:
        return _decoded(found, lambda picture: _shrunk(_read(picture), load_px, least_px, picture.path), on_skip)


def load_guided(folders: list[Path], guide: Guide, load_px: int, least_px: int, on_skip: OnSkip) -> list[Tensor]:
    """Each picture behind its guide, (6, h, w) uint8; pictures in which the guide finds nothing are passed over."""

    def prepare(found: Found) -> Tensor:
        picture = _read(found)
        shrunk = _shrunk(picture, load_px, least_px, found.path)
        drawn = guide.draw(picture[None], (shrunk.shape[1], shrunk.shape[2]))
        if drawn is None:
            raise PictureError(f"{found.path} shows nothing to guide by; it is passed over")
        return torch.cat((to_uint8(drawn[0]), shrunk))

    with opened(folders) as pictures:
        return _decoded(pictures, prepare, on_skip)


def load_combined(folders: list[Path], load_px: int, least_px: int, on_skip: OnSkip) -> list[Tensor]:
    """Pairs (6, h, w) uint8, A before B, from files that show A on the left and B on the right, half and half.

    Of an odd width the last column is dropped.
    """

    def prepare(found: Found) -> Tensor:
        both = _read(found)
        half = both.shape[2] // 2
        if half == 0:
            raise PictureError(f"{found.path} is one pixel wide and has no halves; it is passed over")
        return _shrunk(torch.cat((both[:, :, :half], both[:, :, half : 2 * half])), load_px, least_px, found.path)

    with opened(folders) as pictures:
        return _decoded(pictures, prepare, on_skip)


def load_folders(given: Path, wanted: list[Path], load_px: int, least_px: int, on_skip: OnSkip) -> list[Tensor]:
    """Pairs (6, h, w) uint8, A before B: A from the folder `given`, B of the same name but for the suffix and of the
    same size from the folders `wanted`. What has no partner, two of a name and unequal sizes go to `on_skip`."""
    with opened([given]) as first, opened(wanted) as second:
        partners, ours = _by_name(first, on_skip), _by_name(second, on_skip)
        for here, there, where in ((partners, ours, wanted), (ours, partners, [given])):
            for name in sorted(here.keys() - there.keys()):
                path = here[name].path
                on_skip(path, f"{path} has no partner in {' or '.join(map(str, where))}; it is passed over")
        names = sorted(partners.keys() & ours.keys())
        if not names:
            raise UpimagineError(f"no name stands in both {given} and {wanted[0]}; partners have the same name")

        def prepare(found: Found) -> Tensor:
            one, other = _read(partners[found.path.stem]), _read(found)
            if one.shape != other.shape:
                sizes = [f"{picture.shape[2]}x{picture.shape[1]}" for picture in (one, other)]
                raise PictureError(f"{found.path} is {sizes[1]} but its partner {sizes[0]}; the pair is passed over")
            return _shrunk(torch.cat((one, other)), load_px, least_px, found.path)

        return _decoded([ours[name] for name in names], prepare, on_skip)


def pair_at(
    sources: list[Tensor], position: int, seed: int, jitter: Jitter, maker: Maker | None = None, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """The pair A, B at this position of the endless stream, each (3, size, size) in [-1, 1].

    `sources` are single pictures (3, h, w), of which the maker makes A, or pairs (6, h, w). With `reverse` A and B
    change places. Every source is visited once an epoch.
    """
    index, random = drawn_at(position, len(sources), seed)
    source, size = sources[index], jitter.size_px
    y, x = (int(random.integers(0, side - size + 1)) for side in source.shape[1:])
    window = to_float(source[:, y : y + size, x : x + size])
    if jitter.flip and random.random() < 0.5:
        window = window.flip(2)
    if maker is None:
        a, b = window[:3], window[3:]
    else:
        a, b = maker(window.clone(), random), window  # a copy, for a stranger's function may write into it
    return (b, a) if reverse else (a, b)


def _read(found: Found) -> Tensor:
    """(3, H, W) in [-1, 1], transparent places on white."""
    read = found.read()
    return read.pixels if read.alpha is None else torch.lerp(torch.ones_like(read.pixels), read.pixels, read.alpha)


def _shrunk(pictures: Tensor, load_px: int, least_px: int, path: Path) -> Tensor:
    """(C, H, W) float to (C, h, w) uint8 with a short side of `load_px`. Raises PictureError for small ones."""
    _, height, width = pictures.shape
    short = min(height, width)
    if short < least_px:
        raise PictureError(f"{path} gives {width}x{height}; it is passed over, {least_px} px each way are needed")
    size = (round(height * load_px / short), round(width * load_px / short))
    return to_uint8(resize_antialiased(pictures[None], size)[0])


def _decoded(found: list[Found], prepare: Callable[[Found], Tensor], on_skip: OnSkip) -> list[Tensor]:
    decoded = decode(found, prepare)
    for path, reason in decoded.skipped:
        on_skip(path, reason)
    return decoded.pictures


def _by_name(found: list[Found], on_skip: OnSkip) -> dict[str, Found]:
    """Pictures by name without suffix; of several of one name the first counts."""
    named: dict[str, Found] = {}
    for picture in found:
        path = picture.path
        if path.stem in named:
            on_skip(path, f"{path} has the name of {named[path.stem].path}; it is passed over")
        named.setdefault(path.stem, picture)
    return named
