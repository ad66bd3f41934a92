"""`upimagine enlarge PICTURE…`: up-imagine pictures to any size."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.companions import Companions
from upimagine.cli.files import named_pictures, targets
from upimagine.cli.frame import parse, progress, tell, warn

if TYPE_CHECKING:
    from upimagine.make.picture import Enlarged
    from upimagine.recipe import Enlarge, Print


@dataclass(frozen=True)
class Inventing:
    """How tiles are invented, chosen and joined."""

    stride: int = 16
    """low-res pixels from tile to tile, at most a tile's side; smaller is slower and smoother"""
    flips: bool = True
    """try each tile mirrored, too, and keep the better one"""
    best_of: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """try each tile in so many ways: mirrored, other contrasts and colours, grain"""
    also: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="MODEL")] = ()
    """a model that competes for every tile; of the same scale and window; repeatable"""
    blend: Literal["feather", "cut", "multiband"] = "cut"
    """join tiles by a ramp, along the line where they differ least, or along it in several bands"""
    passes: int = 1
    """for dreams: enlarge again and again on a shifted grid, each pass from the last, less and less like the picture"""
    growth: float = 2.0
    """how much larger each of these passes is than the last"""
    wrap: bool = False
    """the picture is a texture that repeats: no edges"""
    strict: bool = False
    """where the grid of tiles shows, render anew on a shifted one; if it still shows, fail"""
    finder: Literal["mediapipe", "dlib"] = "mediapipe"
    """of the face that guides; dlib needs its extra and a model file"""


@dataclass(frozen=True)
class Paper:
    """How the result is written and printed."""

    cm: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")] = None
    """longer side of the print in centimetres, in place of --to"""
    dpi: float = 300
    """print resolution to state in the file"""
    bleed_mm: float = 0
    """mirrored picture beyond the cut, on every side"""
    sharpen: float = 0
    """output sharpening, 0.5 to 1 for paper; 0 is none"""
    space: Literal["srgb", "adobe-rgb", "display-p3"] = "srgb"
    """colour space of the file"""
    bit_depth: Annotated[Literal[8, 16] | None, arg(help_behavior_hint="")] = None
    """8 or 16; default: 16 where the format can hold it"""
    dither: bool = True
    """fine noise instead of bands, where 8 bits are written"""
    compression: Literal["deflate", "lzw", "none"] = "deflate"
    """of TIFF"""
    tiled: bool = False
    """TIFF in tiles instead of strips"""
    quality: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """of JPEG and WebP, 1 to 100"""
    proof: Annotated[Path | None, arg(metavar="ICC", help_behavior_hint="")] = None
    """also write what a printer with this profile will make of it"""
    sheet: bool = False
    """also write a PDF in the print's size, with crop marks"""


@dataclass(frozen=True)
class Arguments:
    """Up-imagine pictures: any size, in overlapping tiles, with invented detail."""

    pictures: Positional[tuple[Path, ...]]
    """picture files, folders of them, or patterns as 'in/*.jpg'"""
    to: int = 4096
    """longer side of the result, in pixels"""
    with_model: Annotated[UseAppendAction[tuple[str, ...]], arg(name="with", metavar="MODEL")] = ()
    """a model by name or path; give it several times for several stages; default: chosen by size and face"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH", help_behavior_hint="")] = None
    """the result's file (.png .tif .jpg .webp .dzi), or a folder when there are several; default: NAME-TO.png, of a
    folder's pictures in FOLDER-TO"""
    format: Annotated[Literal["png", "tif", "jpg", "webp", "dzi"] | None, arg(help_behavior_hint="")] = None
    """of results that -o gives no name; default: png"""
    guide: Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """a raster, or a folder of them under the pictures' names, for a model that learned with such"""
    inventing: Inventing = field(default_factory=Inventing)
    paper: Paper = field(default_factory=Paper)
    slides: bool = False
    """also write every stage and pass before the last"""
    map: bool = False
    """also draw which candidate won where"""
    overwrite: bool = False
    """replace results that are already there"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the results as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, enlarge each picture, print; a bad picture is named and passed over."""
    chosen = parse(Arguments, "enlarge", arguments)
    from upimagine.errors import PictureError, UpimagineError
    from upimagine.make.machine import settle
    from upimagine.make.picture import enlarge
    from upimagine.models.loaded import load_upscaler

    to_px, options, printing = _settings(chosen)
    pictures = named_pictures(chosen.pictures)
    folder = len(pictures) > 1 or any(given.is_dir() for given in chosen.pictures)
    outs = targets(pictures, chosen.out, str(to_px), chosen.pictures, chosen.format or "png")
    if chosen.format is not None and any(out == chosen.out for out in outs):
        raise UpimagineError(f"-o {chosen.out} says the format already; leave --format away")
    machine = settle(chosen.device)
    for model in (*chosen.with_model, *chosen.inventing.also):  # one that is missing is better known once, and now
        load_upscaler(model, machine.device, machine.dtype)
    paper = chosen.paper
    companions = Companions(chosen.map, paper.proof, paper.sheet, paper.dpi, paper.bleed_mm, chosen.overwrite)
    done: list[Enlarged] = []
    failed: list[str] = []
    there: list[str] = []
    try:
        with progress(len(pictures)) as watch:
            for path, out in zip(pictures, outs, strict=True):
                if folder and out.exists() and not chosen.overwrite:  # a batch that was interrupted goes on
                    there.append(str(out))
                    continue
                try:
                    companions.claim(out)
                    enlarged = enlarge(
                        path, out,
                        to_px=to_px, models=chosen.with_model, guide=chosen.guide, options=options,
                        printing=printing,
                        strict=chosen.inventing.strict, slides=chosen.slides, overwrite=chosen.overwrite,
                        machine=machine, watch=watch, planned=partial(_too_much, path, chosen),
                    )  # fmt: skip
                    companions.write(enlarged)
                except UpimagineError as error:  # the others of a batch may go well
                    if not folder and not isinstance(error, PictureError):
                        raise
                    named = str(path) in str(error) or str(out) in str(error)
                    warn(f"upimagine enlarge: {error if named else f'{path}: {error}'}")
                    failed.append(str(path))
                else:
                    done.append(enlarged)
                    _remarks(path, enlarged)
                watch("", len(done) + len(failed) + len(there), 0)
    finally:  # also of a batch that was interrupted
        _tell_all(chosen, done, failed, there, len(pictures))
    return 0 if not failed else 3 if done or there else 1


def _tell_all(chosen: Arguments, done: list[Enlarged], failed: list[str], there: list[str], count: int) -> None:
    """The results so far, and of a batch how many there are."""
    from upimagine.render.winner_map import tell_winners

    if done or (chosen.json and (failed or there)):
        lines = [f"{each.path}  {each.size_px[1]}x{each.size_px[0]}  {' > '.join(each.models)}" for each in done]
        if chosen.map:
            lines += [f"{each.path}: tiles won by {tell_winners(each.reports[-1])}" for each in done]
        told = {"enlarged": [_told(each) for each in done], "there": there, "failed": failed}
        tell(chosen.json, told, *lines)
    if count > 1 or there:
        kept = f"; {len(there)} kept that were there (--overwrite makes them anew)" if there else ""
        passed = f"; passed over: {', '.join(failed)}" if failed else ""
        warn(f"upimagine enlarge: {len(done)} of {count} done{kept}{passed}")


def _settings(chosen: Arguments) -> tuple[int, Enlarge, Print]:
    """Longer side, rendering and printing; what cannot be is told in one line."""
    from pydantic import ValidationError

    from upimagine.errors import UpimagineError
    from upimagine.printing import PrintSize, page_writer, read_profile
    from upimagine.recipe import Enlarge, Print, Sharpen

    inventing, paper = chosen.inventing, chosen.paper
    if paper.proof is not None:  # better known now than after the rendering
        read_profile(paper.proof)
    if paper.sheet:
        page_writer()
    to_px = chosen.to if paper.cm is None else PrintSize(paper.cm, paper.dpi, paper.bleed_mm).longer_px
    try:
        options = Enlarge(
            model="",
            also=inventing.also,
            stride_px=inventing.stride,
            flips=inventing.flips,
            best_of=inventing.best_of,
            blend=inventing.blend,
            passes=inventing.passes,
            growth=inventing.growth,
            wrap=inventing.wrap,
            finder=inventing.finder,
            keep_detail=True,
        )
        printing = Print(
            bit_depth=paper.bit_depth,
            dpi=paper.dpi,
            bleed_mm=paper.bleed_mm,
            sharpen=Sharpen(amount=paper.sharpen) if paper.sharpen else None,
            space=paper.space,
            dither=paper.dither,
            compression=paper.compression,
            tiled=paper.tiled,
            quality=paper.quality,
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = {"stride_px": "stride", "amount": "sharpen"}.get(str(problem["loc"][0]), str(problem["loc"][0]))
        raise UpimagineError(
            f"--{name.replace('_', '-')} {problem['input']} cannot work: {problem['msg'].lower()}"
        ) from error
    return to_px, options, printing


def _too_much(picture: Path, chosen: Arguments, scales: tuple[float, ...]) -> None:
    """Say, before the work begins, that the paper asks for more than the picture and the models have."""
    from upimagine import pixels
    from upimagine.printing import PrintSize, stretch_warning

    paper = chosen.paper
    if paper.cm is None:
        return
    size_px = pixels.read_size(picture)
    if warning := stretch_warning(size_px, PrintSize(paper.cm, paper.dpi, paper.bleed_mm).layout(*size_px), scales):
        warn(f"upimagine enlarge: {picture}: {warning}")


def _remarks(path: Path, enlarged: Enlarged) -> None:
    """What a user should know of one result."""
    if enlarged.guided is False:
        warn(f"upimagine enlarge: {path}: no face found, enlarged without a guide")
    if enlarged.flattened:
        warn(f"upimagine enlarge: {path}: transparent places were laid on white")
    if enlarged.resumed:
        warn(f"upimagine enlarge: {path}: went on where it had stopped")
    if enlarged.shifted:
        warn(f"upimagine enlarge: {path}: the grid of tiles showed; rendered anew on a shifted one")
    elif enlarged.seams.visible:
        warn(
            f"upimagine enlarge: {path}: the grid of tiles may show ({enlarged.seams}); try --strict or another --blend"
        )


def _told(enlarged: Enlarged) -> dict[str, Any]:
    """One result for machines."""
    from dataclasses import asdict

    return {
        "path": str(enlarged.path),
        "width": enlarged.size_px[1],
        "height": enlarged.size_px[0],
        "models": list(enlarged.models),
        "seconds": round(enlarged.seconds, 1),
        "outside_networks": round(enlarged.outside_share, 3),
        "seams": {
            name: round(value, 3) for name, value in asdict(enlarged.seams).items() if not name.endswith("_sigmas")
        },
        "resumed": enlarged.resumed,
    }
