"""`upimagine translate PICTURE…`: pictures into others, with a model that learned how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from upimagine.cli.files import named_pictures, targets
from upimagine.cli.frame import parse, progress, tell, warn


@dataclass(frozen=True)
class Arguments:
    """Turn pictures into others with a pix2pix model: edges into faces, say, or whatever its pairs were."""

    pictures: Positional[tuple[Path, ...]]
    """picture files, folders of them, or patterns as 'in/*.jpg'"""
    with_model: Annotated[str, arg(name="with", metavar="MODEL")]
    """the path of a model made by `upimagine train pix2pix`"""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH", help_behavior_hint="")] = None
    """the result's file (.png .tif .jpg .webp), or a folder when there are several; default: NAME-MODEL.png, of a
    folder's pictures in FOLDER-MODEL"""
    tiled: bool = False
    """keep the picture's size and go over it in tiles; otherwise it is brought to the network's size as a whole"""
    seed: int = 0
    """another number, another translation, where the model has noise"""
    overwrite: bool = False
    """replace results that are already there"""
    device: str = "auto"
    """cpu, cuda, …; auto takes the GPU when there is one"""
    json: bool = False
    """print the results as one JSON object"""


def run(arguments: list[str]) -> int:
    """Parse, translate each picture, print; a bad picture is named and passed over."""
    chosen = parse(Arguments, "translate", arguments)
    from upimagine.errors import PictureError, UpimagineError
    from upimagine.make.machine import settle
    from upimagine.make.translating import Translated, translate

    if chosen.seed < 0:
        raise UpimagineError(f"--seed {chosen.seed} cannot work; use 0 or more")
    pictures = named_pictures(chosen.pictures)
    folder = len(pictures) > 1 or any(given.is_dir() for given in chosen.pictures)
    outs = targets(pictures, chosen.out, Path(chosen.with_model).stem, chosen.pictures)
    machine = settle(chosen.device)
    done: list[Translated] = []
    failed: list[str] = []
    with progress(len(pictures)) as watch:
        for path, out in zip(pictures, outs, strict=True):
            if folder and out.exists() and not chosen.overwrite:
                warn(f"upimagine translate: {out} exists and is kept; add --overwrite to replace it")
                failed.append(str(path))
                continue
            try:
                made = translate(
                    path, out, chosen.with_model,
                    seed=chosen.seed, tiled=chosen.tiled, overwrite=chosen.overwrite, machine=machine, watch=watch,
                )  # fmt: skip
            except PictureError as error:
                warn(f"upimagine translate: {error}")
                failed.append(str(path))
            else:
                done.append(made)
                if made.flattened:
                    warn(f"upimagine translate: {path}: transparent places were laid on white")
            watch("", len(done) + len(failed), 0)
    if done or chosen.json:
        told = [{"path": str(each.path), "width": each.size_px[1], "height": each.size_px[0]} for each in done]
        lines = [f"{each.path}  {each.size_px[1]}x{each.size_px[0]}" for each in done]
        tell(chosen.json, {"translated": told, "failed": failed}, *lines)
    return 0 if not failed else 3 if done else 1
