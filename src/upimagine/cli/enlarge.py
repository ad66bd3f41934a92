"""`upimagine enlarge PICTURE…`: up-imagine pictures to any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from upimagine.cli.frame import parse, progress, tell, warn


@dataclass(frozen=True)
class Arguments:
    """Up-imagine pictures: any size, in overlapping tiles, with invented detail."""

    pictures: Positional[tuple[Path, ...]]
    """picture files, or folders of them"""
    to: int = 4096
    """longer side of the result, in pixels"""
    with_model: Annotated[UseAppendAction[tuple[str, ...]], arg(name="with", metavar="MODEL")] = ()
    """a model by name or path; give it several times for several stages; default: chosen by size and face"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH", help_behavior_hint="")] = None
    """the result's file, or a folder when there are several; default: NAME-TO.png beside each picture"""
    stride: int = 16
    """low-res pixels from tile to tile; smaller is slower and smoother"""
    flips: bool = True
    """try each tile mirrored, too, and keep the better one"""
    bit_depth: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """8 or 16; default: 16 where the format can hold it"""
    dpi: float = 300
    """print resolution to state in the file"""
    overwrite: bool = False
    """replace results that are already there"""
    finder: Literal["mediapipe", "dlib"] = "mediapipe"
    """of the face that guides; dlib needs its extra and a model file"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the results as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, enlarge each picture, print; a bad picture is named and passed over."""
    chosen = parse(Arguments, "enlarge", arguments)
    from upimagine.data.folder import list_pictures
    from upimagine.errors import PictureError, UpimagineError
    from upimagine.make.machine import settle
    from upimagine.make.picture import Enlarged, enlarge
    from upimagine.recipe import Enlarge

    pictures = [path for given in chosen.pictures for path in (list_pictures([given]) if given.is_dir() else [given])]
    if not pictures:
        raise UpimagineError("no picture was named; give files or folders")
    folder = len(pictures) > 1 or any(given.is_dir() for given in chosen.pictures)
    if folder and chosen.out is not None and chosen.out.suffix and not chosen.out.is_dir():
        raise UpimagineError(f"{len(pictures)} pictures cannot all go to the file {chosen.out}; give -o a folder")
    if chosen.stride < 1:
        raise UpimagineError(f"--stride {chosen.stride} cannot work; choose 1 to 32")
    targets = [_target(path, chosen.out, chosen.to, folder) for path in pictures]
    for path, target in zip(pictures, targets, strict=True):
        if targets.count(target) > 1:
            raise UpimagineError(f"{path} and another picture would both become {target}; enlarge them apart")
    options = Enlarge(model="", stride_px=chosen.stride, flips=chosen.flips, finder=chosen.finder, keep_detail=True)
    machine = settle(chosen.device)
    done: list[Enlarged] = []
    failed: list[str] = []
    for path, out in zip(pictures, targets, strict=True):
        if folder and out.exists() and not chosen.overwrite:
            warn(f"upimagine enlarge: {out} exists and is kept; add --overwrite to replace it")
            failed.append(str(path))
            continue
        try:
            with progress() as watch:
                enlarged = enlarge(
                    path,
                    out,
                    to_px=chosen.to,
                    models=chosen.with_model,
                    options=options,
                    bit_depth=chosen.bit_depth,
                    dpi=chosen.dpi,
                    overwrite=chosen.overwrite,
                    machine=machine,
                    watch=watch,
                )
        except PictureError as error:
            warn(f"upimagine enlarge: {error}")
            failed.append(str(path))
            continue
        done.append(enlarged)
        if enlarged.guided is False:
            warn(f"upimagine enlarge: {path}: no face found, enlarged without a guide")
        if enlarged.flattened:
            warn(f"upimagine enlarge: {path}: transparent places were laid on white")
    result = {
        "enlarged": [
            {
                "path": str(each.path),
                "width": each.size_px[1],
                "height": each.size_px[0],
                "models": list(each.models),
                "seconds": round(each.seconds, 1),
                "outside_networks": round(each.outside_share, 3),
            }
            for each in done
        ],
        "failed": failed,
    }
    if done or chosen.json:
        tell(
            chosen.json,
            result,
            *(f"{each.path}  {each.size_px[1]}x{each.size_px[0]}  {' > '.join(each.models)}" for each in done),
        )
    return 0 if not failed else 3 if done else 1


def _target(picture: Path, out: Path | None, to_px: int, folder: bool) -> Path:
    name = f"{picture.stem}-{to_px}.png"
    if out is None:
        return picture.with_name(name)
    return out / name if folder or (not out.suffix or out.is_dir()) else out
