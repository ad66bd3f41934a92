"""Pictures from noise, thousands at a time, with everything needed to make any of them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upimagine import pixels
from upimagine.choose.artefacts import GRID_LEAST_PX, blotch_score, grid_score
from upimagine.choose.features import picture_features
from upimagine.choose.mixture import Likeness
from upimagine.choose.ranking import best_first, combine, face_symmetry_score, sharpness_score
from upimagine.choose.sheet import contact_sheet
from upimagine.data.folder import to_float
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.latents import latent
from upimagine.make.machine import settle
from upimagine.make.stages import Machine, Watch
from upimagine.models.loaded import LoadedGenerator, load_generator
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Choose
from upimagine.train.squares import decode_squares

_BATCH = 32
_BETWEEN_PX = 128  # side at which faces of people are looked at
_FACE_PX = 256  # the landmark finder wants larger pictures than a small generator makes


@dataclass(frozen=True)
class Candidates:
    """Pictures to choose from, with their scores."""

    pictures: Tensor  # (N, 3, S, S) in [-1, 1], or small copies in uint8
    scores: dict[str, Tensor]  # each (N,); NaN where there is no face
    total: Tensor  # (N,) float64, the weighted sum; NaN is a veto
    faces: int | None  # pictures with a face; None when none was looked for


@dataclass(frozen=True)
class Sampled(Candidates):
    """Candidates with the latents they came from."""

    latents: Tensor  # (N, latent_dim)


def make_one(generator: LoadedGenerator, vector: Tensor, truncation: float = 1.0) -> Tensor:
    """(latent_dim,) to (1, 3, S, S), alone in its batch, so that the same pixels come out whenever it is made."""
    return generator.generate(vector[None], truncation).cpu()


def sample(
    model: str,
    count: int,
    *,
    seed: int = 0,
    weights: Choose | None = None,
    machine: Machine | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Sampled:
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
    scored = score(torch.cat(pictures), weights, torch.cat(realism) if realism else None, watch)
    return Sampled(scored.pictures, scored.scores, scored.total, scored.faces, latents)


def score(
    pictures: Tensor, weights: Choose, realism: Tensor | None, watch: Watch = lambda what, done, total: None
) -> Candidates:
    """(N, 3, S, S) in [-1, 1], with the critic's word (N,) where there is one, as candidates.

    Raises UpimagineError where a score is asked for that pictures of this size have not.
    """
    if weights.grid > 0 and min(pictures.shape[-2:]) < GRID_LEAST_PX:
        raise UpimagineError(
            f"a grid cannot be looked for in candidates of {pictures.shape[3]} px; set grid = 0 in the recipe's choice"
        )
    scores = {"sharpness": sharpness_score(pictures)}
    if realism is not None:
        scores["realism"] = realism
    for name, measure in (("grid", grid_score), ("blotches", blotch_score)):
        if getattr(weights, name) > 0:
            scores[name] = measure(pictures)
    if weights.between:
        scores["mixture"] = likeness(weights.between).mixture(picture_features(pictures))
    faces = None
    if weights.face > 0 or weights.symmetry > 0:
        found = face_scores(pictures, watch)
        faces = int((~found["face"].isnan()).sum())
        if faces > 0:  # without any these are no portraits, and faces have no say
            scores |= found
    used = {name: getattr(weights, name) for name in scores if getattr(weights, name) > 0}
    total = combine(scores, used) if used else torch.zeros(len(pictures), dtype=torch.float64)
    return Candidates(pictures, scores, total, faces)


def likeness(folders: Sequence[str]) -> Likeness:
    """Of pictures to the people in these folders of faces, one a person. Raises UpimagineError for fewer than two."""
    if len(folders) < 2:
        raise UpimagineError(
            f"between = {list(folders)} names one folder only; a mixture needs the faces of two people"
        )
    features, people = [], []
    for person, folder in enumerate(folders):
        faces = decode_squares([Path(folder)], _BETWEEN_PX, lambda path, why: None).pictures
        features.append(picture_features(to_float(torch.stack(faces))))
        people += [person] * len(faces)
    return Likeness(torch.cat(features), torch.tensor(people))


def face_scores(pictures: Tensor, watch: Watch) -> dict[str, Tensor]:
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


def write_sheet(path: Path, candidates: Candidates, chosen: list[int], overwrite: bool) -> None:
    """All candidates in order of rank, vetoed ones last, the chosen framed."""
    ranking = best_first(candidates.total)
    order = ranking + sorted(set(range(len(candidates.pictures))) - set(ranking))
    kept = [order.index(index) for index in chosen]
    pixels.write(path, contact_sheet(candidates.pictures[order], kept, numbers=order), overwrite=overwrite)
