"""The same pixels again, from the recipe inside a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upimagine import __version__, pixels
from upimagine.errors import UpimagineError
from upimagine.make.colour_fields import colour_field
from upimagine.make.machine import settle
from upimagine.make.picture import Enlarged, finish, keep
from upimagine.make.sampling import make_one
from upimagine.make.source import Source, open_source
from upimagine.make.stages import Machine, Sized, Watch, file_sha256
from upimagine.models.builtin import builtin_models
from upimagine.models.loaded import load_generator, load_upscaler
from upimagine.recipe import Origin, Resolved, parse_resolved


@dataclass(frozen=True)
class Again:
    """What `again` made, and why its pixels may differ, if they may."""

    enlarged: Enlarged
    doubts: tuple[str, ...]


def again(
    picture: str | Path,
    out: str | Path,
    *,
    source: str | Path | None = None,
    models: tuple[str | Path, ...] = (),
    overwrite: bool = False,
    watch: Watch = lambda what, done, total: None,
) -> Again:
    """Render a picture anew from the recipe inside it, to the same pixels on the same device and number format.

    `source` names the picture that it was made from and `models` model files, where these have
    moved since. Raises UpimagineError when there is no recipe inside, when a model is missing or is another one by its
    hash, or when the source is another picture.
    """
    out = pixels.claim(out, overwrite)
    text = pixels.read_recipe(picture)
    if text is None:
        raise UpimagineError(f"{picture} holds no recipe; only pictures made by upimagine can be made again")
    recipe = parse_resolved(text, str(picture))
    try:
        machine = settle(recipe.device, recipe.dtype, recipe.threads)
    except UpimagineError as error:
        raise UpimagineError(f"{picture} was made on another device: {error}") from error
    beside, given = Path(picture).parent, {file_sha256(Path(model)): str(model) for model in models}
    stages: list[Sized] = []
    for done in recipe.enlarge:
        model = _model(done.stage.model, done.model_sha256, beside, given)
        _check(model, load_upscaler(model, machine.device, machine.dtype).file.sha256, done.model_sha256)
        also = tuple(
            _model(rival, sha256, beside, given)
            for rival, sha256 in zip(done.stage.also, done.also_sha256, strict=True)
        )
        for rival, sha256 in zip(also, done.also_sha256, strict=True):
            _check(rival, load_upscaler(rival, machine.device, machine.dtype).file.sha256, sha256)
        guide = None if done.stage.guide is None else str(beside / done.stage.guide)
        if guide is not None and file_sha256(Path(guide)) != done.guide_sha256:
            raise UpimagineError(f"{guide} is not the guide it was made with (its contents differ); put that there")
        new = {"model": model, "also": also, "guide": guide}
        stages.append((done.stage.model_copy(update=new), done.size_px))
    origin = recipe.origin
    if origin.model is not None:
        model = _model(origin.model, origin.model_sha256 or "", beside, given)
        origin = origin.model_copy(update={"model": model})
    start, brought = _origin(origin, machine, Path(source) if source is not None else None, beside, recipe.alpha)
    if not stages:
        enlarged = keep(start, out, origin, machine, recipe.output.bit_depth or 8, overwrite)
    else:
        enlarged = finish(
            start, stages, out, origin, machine,
            printing=recipe.output, source=brought, overwrite=overwrite, watch=watch,
        )  # fmt: skip
    return Again(enlarged, _doubts(recipe))


def _model(name: str, sha256: str, beside: Path, given: dict[str, str]) -> str:
    """A built-in name as it is; else the given file with that hash, or the file as seen from the picture's folder."""
    if name in builtin_models():
        return name
    return given.get(sha256) or str(beside / name)


def _origin(
    origin: Origin, machine: Machine, source: Path | None, beside: Path, keep_alpha: bool
) -> tuple[Tensor, Source]:
    """The picture (1, 3, H, W) at the beginning of the walk; recorded paths start at the folder `beside`."""
    if origin.latent is not None and origin.model is not None:
        generator = load_generator(origin.model, machine.device, machine.dtype)
        _check(origin.model, generator.file.sha256, origin.model_sha256 or "")
        vector = torch.tensor(origin.latent, dtype=torch.float32)
        return make_one(generator, vector, 1.0 if origin.truncation is None else origin.truncation), Source()
    if origin.drawn is not None and origin.drawn_number is not None:
        return colour_field(origin.drawn, *origin.drawn_number), Source()
    if origin.picture is None:
        raise UpimagineError("the recipe names no latent vector, drawing or picture to begin with; it cannot be walked")
    path = source or beside / origin.picture
    if not path.is_file():
        raise UpimagineError(f"{path}, from which it was made, is not there; name it with --source")
    if file_sha256(path) != origin.picture_sha256:
        raise UpimagineError(
            f"{path} is not the picture it was made from (its contents differ); name that with --source"
        )
    return open_source(path, keep_alpha)


def _check(model: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise UpimagineError(
            f"the model {model} here is another one (sha256 {found[:12]}…, the recipe has {wanted[:12]}…); "
            f"install the version that made the picture"
        )


def _doubts(recipe: Resolved) -> tuple[str, ...]:
    """Differences from the machine that made the picture which may change its last bits."""
    here = {"upimagine": __version__, "torch": torch.__version__}
    then = {"upimagine": recipe.upimagine, "torch": recipe.torch}
    doubts = [f"{name} was {then[name]}, here it is {here[name]}" for name in here if here[name] != then[name]]
    if not all(done.steady for done in recipe.enlarge):
        doubts.append("memory ran out while it was made, so not all tiles ran in equal batches")
    return tuple(doubts)
