"""Pictures from noise, thousands at a time, with everything needed to make any of them again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upimagine import pixels
from upimagine.choose.ranking import best_first, combine, face_symmetry_score, sharpness_score
from upimagine.choose.sheet import contact_sheet
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.machine import settle
from upimagine.make.picture import keep
from upimagine.make.stages import Machine, Watch
from upimagine.models.loaded import LoadedGenerator, load_generator
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Choose, Origin

_BATCH = 32
_FACE_PX = 256  # the landmark finder wants larger pictures than a small generator makes


@dataclass(frozen=True)
class Candidates:
    """Sampled pictures with the latents they came from and their scores."""

    latents: Tensor  # (N, latent_dim)
    pictures: Tensor  # (N, 3, S, S) in [-1, 1]
    scores: dict[str, Tensor]  # each (N,); NaN where there is no face
    total: Tensor  # (N,) float64, the weighted sum; NaN is a veto
    faces: int | None  # pictures with a face; None when none was looked for


def latent(seed: int, index: int, latent_dim: int) -> Tensor:
    """The latent vector (latent_dim,) with this number of this seed: the same in any batch and order."""
    # numpy mixes both numbers into its state; torch's CPU generator would look at the lowest 32 bits of a seed alone.
    return torch.from_numpy(np.random.default_rng((seed, index)).standard_normal(latent_dim, dtype=np.float32))


def make_one(generator: LoadedGenerator, vector: Tensor) -> Tensor:
    """(latent_dim,) to (1, 3, S, S), alone in its batch, so that the same pixels come out whenever it is made."""
    return generator.generate(vector[None]).cpu()


def sample(
    model: str,
    count: int,
    *,
    seed: int = 0,
    weights: Choose | None = None,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Candidates:
    """Make `count` pictures and score them by critic, sharpness and face. Raises UpimagineError for a wrong model."""
    machine = machine or settle()
    weights = weights or Choose()
    if seed < 0 or count < 1:
        raise UpimagineError(
            f"seed {seed} and count {count} cannot work: choose a seed of 0 or more and a count of 1 or more"
        )
    generator = load_generator(model, machine.device, machine.dtype)
    latents = torch.stack([latent(seed, index, generator.latent_dim) for index in range(count)])
    pictures, realism = [], []
    for start in range(0, count, _BATCH):
        made = generator.generate(latents[start : start + _BATCH])
        if generator.critic is not None:
            realism.append(generator.critic.score(made).cpu())
        pictures.append(made.cpu())
        watch(f"sampling {model}", min(start + _BATCH, count), count)
    everything = torch.cat(pictures)
    scores = {"sharpness": sharpness_score(everything)}
    if realism:
        scores["realism"] = torch.cat(realism)
    faces = None
    if weights.face > 0 or weights.symmetry > 0:
        found = _face_scores(everything, watch)
        faces = int((~found["face"].isnan()).sum())
        if faces > 0:  # without any these are no portraits, and faces have no say
            scores |= found
    used = {name: getattr(weights, name) for name in scores if getattr(weights, name) > 0}
    return Candidates(latents, everything, scores, combine(scores, used), faces)


def _face_scores(pictures: Tensor, watch: Watch) -> dict[str, Tensor]:
    """Certainty and symmetry of the largest face of each picture, NaN where there is none."""
    certainty = torch.full((len(pictures),), torch.nan)
    points = torch.full((len(pictures), 68, 2), torch.nan)
    for index, picture in enumerate(pictures):
        face = find_face(resize_antialiased(picture[None], (_FACE_PX, _FACE_PX)))
        if face is not None:
            certainty[index] = face.score
            points[index] = torch.as_tensor(face.points68)
        watch("looking for faces", index + 1, len(pictures))
    return {"face": certainty, "symmetry": face_symmetry_score(points)}


@dataclass(frozen=True)
class Saved:
    """What `save_samples` left."""

    sheet: Path
    table: Path
    with_face: int


def save_samples(
    model: str,
    count: int,
    out: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Saved:
    """`sample` into a folder: pictures/NNNNN.png, scores.csv with seeds and scores, and a contact sheet, best first.

    Each picture carries its recipe. Raises UpimagineError when the folder already holds samples, unless `overwrite`,
    which removes all of them first.
    """
    out, machine = Path(out), machine or settle()
    sheet = pixels.claim(out / "contact-sheet.png", overwrite)
    table = pixels.claim(out / "scores.csv", overwrite)
    folder = out / "pictures"
    old = sorted(folder.glob("[0-9][0-9][0-9][0-9][0-9]*.png"))
    if old and not overwrite:
        raise UpimagineError(f"{folder} already holds samples; add --overwrite to replace them")
    candidates = sample(model, count, seed=seed, machine=machine, watch=watch)
    for path in old:
        path.unlink()
    generator = load_generator(model, machine.device, machine.dtype)
    for index, latents in enumerate(candidates.latents):
        origin = Origin(model=model, model_sha256=generator.file.sha256, latent=tuple(latents.tolist()))
        keep(make_one(generator, latents), folder / f"{index:05d}.png", origin, machine)
        watch("writing", index + 1, count)
    names = sorted(candidates.scores)
    lines = [",".join(["number", "seed", "total", *names])]
    for index in range(count):
        values = [candidates.total[index], *(candidates.scores[name][index] for name in names)]
        lines.append(",".join([str(index), str(seed), *(f"{float(value):.5g}" for value in values)]))
    pixels.write_text(table, "\n".join(lines) + "\n", overwrite)
    write_sheet(sheet, candidates, [], overwrite)
    return Saved(sheet, table, candidates.faces or 0)


def write_sheet(path: Path, candidates: Candidates, chosen: list[int], overwrite: bool) -> None:
    """All candidates in order of rank, vetoed ones last, the chosen framed."""
    ranking = best_first(candidates.total)
    order = ranking + sorted(set(range(len(candidates.pictures))) - set(ranking))
    kept = [order.index(index) for index in chosen]
    pixels.write(path, contact_sheet(candidates.pictures[order], kept, numbers=order), overwrite=overwrite)
