"""The wedding portrait: from pictures of two or more people to new faces between them, as large as a print.

    upimagine mix ANNA BEN --out out/wedding

After seed 002's commission: one model that mixes faces, two up-imaginers behind it, many made and few kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upimagine import pixels
from upimagine.data.folder import no_pictures, pictures_in
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.align import aligned
from upimagine.guide.faces import find_face
from upimagine.make.stages import Machine, Watch, file_sha256
from upimagine.make.walk import PRINT, RECIPE, SHEET, Made, find_recipe, make
from upimagine.make.walk_journal import NAME as JOURNAL
from upimagine.models.file import load_model_file
from upimagine.recipe import Choose, Recipe, Sample
from upimagine.train.account import Progress
from upimagine.train.fastgan import FastganSettings, make_fastgan_task
from upimagine.train.loop import fit
from upimagine.train.settings import LoopSettings

_FEWEST = 8  # faces of a person; a model of fewer would only repeat them
_CHECKED = "portrait"  # the recipe whose enlargements and print a mix takes over


@dataclass(frozen=True)
class MixSettings:
    """What a mix is made of and how long it is trained."""

    kimg: float = 20.0  # thousands of faces shown; the built-in beginning needs no more
    batch: int = 8  # faces a training step
    init_from: str = "portrait-128"  # a FastGAN to begin with, built in or a file
    count: int = 600  # mixes to choose from
    keep: int = 4  # that are kept
    seed: int = 0  # everything random comes from this


@dataclass(frozen=True)
class Mixed:
    """What `mix` left in its folder."""

    faces: tuple[int, ...]  # used, by person
    skipped: tuple[str, ...]  # pictures without a usable face, one line each
    model: Path
    made: Made | None  # None: training was interrupted, and the same call goes on


def mix(
    folders: list[Path],
    out: Path,
    settings: MixSettings,
    machine: Machine,
    *,
    overwrite: bool = False,
    watch: Watch = lambda what, done, total: None,
    on_tick: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] = lambda line: None,
) -> Mixed:
    """Cut out the faces, train a generator on all people's together, and walk from its samples to the print.

    `out` will hold faces/, the run in model/, and what a walk leaves. Killed or interrupted, the same call goes on:
    faces that are there are kept, training resumes its checkpoint, the walk its journal. Raises UpimagineError for
    fewer than two folders, for results that are there, for a folder with fewer than eight faces and for a model that is
    no FastGAN.
    """
    if len(folders) < 2:
        raise UpimagineError("a mix needs the pictures of at least two people; name a folder for each")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UpimagineError("one folder was named twice; name a folder for each person")
    if not (out / JOURNAL).exists():  # better known now than after the training
        for name in (SHEET, PRINT, RECIPE):
            pixels.claim(out / name, overwrite)
    start = load_model_file(settings.init_from)
    config = start.main.config
    if start.story.get("task") != "fastgan" or not isinstance(config, dict):
        raise UpimagineError(f"--init-from {settings.init_from} is no FastGAN; give one from `upimagine train fastgan`")
    skipped: list[str] = []
    cut = [
        _cut_out(folder, out / "faces" / f"{number}-{folder.resolve().name}", config["size_px"], skipped, watch)
        for number, folder in enumerate(folders, 1)
    ]
    counts = tuple(len(pictures_in(faces)) for faces in cut)
    task = FastganSettings(
        config["size_px"], config["width"], config["max_width"], config["latent_dim"], init_from=start.path
    )
    # Whoever has fewer pictures is shown as often as the others.
    shown = [faces for faces, count in zip(cut, counts, strict=True) for _ in range(round(max(counts) / count))]
    loop = LoopSettings(
        kimg=settings.kimg, batch=settings.batch, seed=settings.seed, device=machine.device, threads=machine.threads,
        tick_kimg=min(1.0, settings.kimg / 4), about=f"mixes of {len(folders)} people",
    )  # fmt: skip
    make_task = make_fastgan_task(shown, task, settings.seed, lambda path, why: skipped.append(f"{path}: {why}"))
    outcome = fit(make_task, loop, out / "model", on_tick, on_note)
    if not outcome.finished:
        return Mixed(counts, tuple(skipped), outcome.model, None)
    recipe = mix_recipe(outcome.model, cut, settings)
    made = make(recipe, out, overwrite=overwrite, machine=machine, watch=watch)
    return Mixed(counts, tuple(skipped), outcome.model, made)


def mix_recipe(model: Path, faces: list[Path], settings: MixSettings) -> Recipe:
    """That of a portrait, with another generator, and a choice that looks for something of everybody."""
    portrait = find_recipe(_CHECKED)
    choice = portrait.stage[1]
    assert isinstance(choice, Choose)
    choice = choice.model_copy(update={"keep": settings.keep, "between": tuple(map(str, faces))})
    stages = (Sample(model=str(model), count=settings.count), choice, *portrait.stage[2:])
    return portrait.model_copy(update={"name": "mix", "results": "mix", "seed": settings.seed, "stage": stages})


def _cut_out(folder: Path, faces: Path, size_px: int, skipped: list[str], watch: Watch) -> Path:
    """The largest face of every picture in `folder`, aligned, as files in `faces` named after the picture's hash."""
    found = pictures_in(folder)
    if not found:
        raise no_pictures(folder)
    wanted: set[Path] = set()
    for number, path in enumerate(found, 1):
        out = faces / f"{file_sha256(path)[:16]}.png"
        watch(f"looking for faces in {folder.name}", number, len(found))
        if out.exists():
            wanted.add(out)
            continue
        try:
            picture = pixels.read(path).pixels
        except PictureError as error:
            skipped.append(str(error))
            continue
        face = find_face(picture)
        if face is None:
            skipped.append(f"{path}: no face found")
            continue
        pixels.write(out, aligned(picture, face, size_px))
        wanted.add(out)
    if len(wanted) < _FEWEST:
        raise UpimagineError(
            f"{folder} has {len(wanted)} pictures with a face; a mix needs at least {_FEWEST} a person"
        )
    for path in set(pictures_in(faces)) - wanted:  # of pictures that are no longer there
        path.unlink()
    return faces
