"""Samples into a folder: pictures, latents, scores and a contact sheet; one at a time, however many there are."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upimagine import pixels
from upimagine.choose.ranking import combine, sharpness_score
from upimagine.data.folder import to_uint8
from upimagine.errors import UpimagineError
from upimagine.make.latents import Latents, latent, near, vectors_of, write_latents
from upimagine.make.machine import settle
from upimagine.make.picture import keep
from upimagine.make.sampling import Candidates, face_scores, make_one, write_sheet
from upimagine.make.stages import Machine, Watch
from upimagine.models.loaded import LoadedGenerator, load_generator
from upimagine.pixels.resizing import shrink_area
from upimagine.recipe import Choose, Origin

LATENTS = "latents.safetensors"
_THUMB_PX = 128  # all that is kept of a picture in memory


@dataclass(frozen=True)
class Like:
    """Pictures like those that are there already."""

    path: Path  # a picture made from a latent, or a file of latents
    numbers: tuple[int, ...] = ()  # which of the file's; all when empty
    apart: float = 0.3  # 0 is the same picture, 1 any other


@dataclass(frozen=True)
class Saved:
    """What `save_samples` left."""

    sheet: Path
    table: Path
    latents: Path
    with_face: int


def save_samples(
    model: str,
    count: int,
    out: str | Path,
    *,
    seed: int = 0,
    truncation: float | None = None,
    like: Like | None = None,
    label: str | None = None,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Saved:
    """Make pictures/NNNNN.png, latents.safetensors, scores.csv and a contact sheet, best first.

    Every picture is made alone in its batch and carries its recipe, so the same seed gives the same picture however
    many are made. Memory holds but small copies. `truncation`: see `make.latents.drawn`, and
    `LoadedGenerator.generate` for generators that look at a latent's direction alone.

    Raises UpimagineError for numbers that cannot work, a wrong model, latents of another model, and when the folder
    already holds samples, unless `overwrite`, which removes all of them first.
    """
    out, machine = Path(out), machine or settle()
    sheet = pixels.claim(out / "contact-sheet.png", overwrite)
    table = pixels.claim(out / "scores.csv", overwrite)
    kept = pixels.claim(out / LATENTS, overwrite)
    folder = out / "pictures"
    old = sorted(folder.glob("[0-9][0-9][0-9][0-9][0-9]*.png"))
    if old and not overwrite:
        raise UpimagineError(f"{folder} already holds samples; add --overwrite to replace them")
    if seed < 0 or count < 1:
        raise UpimagineError(
            f"seed {seed} and count {count} cannot work: choose a seed of 0 or more and a count of 1 or more"
        )
    generator = load_generator(model, machine.device, machine.dtype)
    vectors, pull = _vectors(generator, count, seed, truncation, like)
    if label is not None:
        vectors = torch.stack([generator.of_class(vector, label) for vector in vectors])
    for path in old:
        path.unlink()
    write_latents(kept, Latents(vectors, seed, generator.file.sha256, truncation), overwrite)
    thumbs, scores = torch.empty(0), []
    for index, vector in enumerate(vectors):
        picture = make_one(generator, vector, pull)
        origin = Origin(
            model=model,
            model_sha256=generator.file.sha256,
            latent=tuple(vector.tolist()),
            truncation=None if pull == 1 else pull,
        )
        keep(picture, folder / f"{index:05d}.png", origin, machine)
        scores.append(_scores(generator, picture))
        if index == 0:
            side = min(_THUMB_PX, picture.shape[3])
            thumbs = torch.empty((count, 3, side, side), dtype=torch.uint8)
        thumbs[index] = to_uint8(shrink_area(picture, (side, side)))[0]
        watch(f"sampling {model}", index + 1, count)
    candidates = _ranked(thumbs, scores)
    _write_table(table, candidates, seed, [generator.class_of(vector) for vector in vectors], overwrite)
    write_sheet(sheet, candidates, [], overwrite)
    return Saved(sheet, table, kept, candidates.faces or 0)


def _vectors(
    generator: LoadedGenerator, count: int, seed: int, truncation: float | None, like: Like | None
) -> tuple[Tensor, float]:
    """Latents (count, latent_dim), and how far what the generator makes of them is pulled to the usual (1: not)."""
    pull = truncation is not None and generator.truncates
    if truncation is not None and not (0 <= truncation <= 1 if pull else truncation >= 0.02):
        bounds = "from 0 to 1" if pull else "of 0.02 or more; 0.5 to 1 is usual"
        raise UpimagineError(f"--truncation {truncation:g} cannot work with this model; use a number {bounds}")
    within = None if pull else truncation
    if like is None:
        rows = [latent(seed, index, generator.latent_dim, within) for index in range(count)]
    else:
        if within is not None:
            raise UpimagineError("--truncation and --like do not go together with this model; leave one of them away")
        if not 0 <= like.apart <= 1:
            raise UpimagineError(f"--apart {like.apart:g} cannot work; 0 is the same picture, 1 any other")
        found, sha256 = vectors_of(like.path, like.numbers)
        if sha256 != generator.file.sha256:
            raise UpimagineError(f"{like.path} was made by another model (sha256 {sha256[:12]}…); give that one")
        rows = [near(found[index % len(found)], like.apart, seed, index) for index in range(count)]
    return torch.stack(rows), truncation if pull and truncation is not None else 1.0


def _scores(generator: LoadedGenerator, picture: Tensor) -> dict[str, float]:
    scores = {"sharpness": float(sharpness_score(picture))}
    if generator.critic is not None:
        scores["realism"] = float(generator.critic.score(picture))
    return scores | {name: float(value) for name, value in face_scores(picture, lambda what, done, total: None).items()}


def _ranked(thumbs: Tensor, scores: list[dict[str, float]]) -> Candidates:
    columns = {name: torch.tensor([row[name] for row in scores]) for name in scores[0]}
    faces = int((~columns["face"].isnan()).sum())
    if faces == 0:  # without any these are no portraits, and faces have no say
        del columns["face"], columns["symmetry"]
    weights = {name: getattr(Choose(), name) for name in columns}
    return Candidates(thumbs, columns, combine(columns, weights), faces)


def _write_table(path: Path, candidates: Candidates, seed: int, classes: list[str | None], overwrite: bool) -> None:
    names = sorted(candidates.scores)
    labels = any(name is not None for name in classes)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", "seed", *(["label"] if labels else []), "total", *names])
    for index in range(len(candidates.pictures)):
        values = [candidates.total[index], *(candidates.scores[name][index] for name in names)]
        numbers = [f"{float(value):.5g}" for value in values]
        table.writerow([index, seed, *([classes[index]] if labels else []), *numbers])
    pixels.write_text(path, text.getvalue(), overwrite)
