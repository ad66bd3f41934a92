"""A folder of candidates, measured: every score by which they may be chosen, in one pass over the files."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from upimagine import pixels
from upimagine.choose.artefacts import GRID_LEAST_PX, blotch_score, grid_score
from upimagine.choose.borrowed_taste import Taught
from upimagine.choose.catalog_rows import features_of, fill_features
from upimagine.choose.features import picture_features
from upimagine.choose.novelty import Nearest, nearest_training
from upimagine.choose.ranking import face_symmetry_score, sharpness_score
from upimagine.choose.taste import Sureness
from upimagine.data.catalog import Catalog
from upimagine.data.folder import to_float, to_uint8
from upimagine.data.found import Found
from upimagine.data.sources import opened
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.stages import Machine, Watch
from upimagine.models.builtin import builtin_models
from upimagine.models.loaded import LoadedCritic, LoadedGenerator, load
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import parse_resolved
from upimagine.render.threads import single_threads

_MOST_PX = 1024  # of the longer side: larger pictures are looked at reduced
_MOST_PIXELS = 100_000_000
_FACE_PX = 128, 256  # shorter side at which faces are looked for: smaller pictures are enlarged, larger ones reduced
_FACES_SHARE = 0.5
_PART, _BATCH = 256, 32  # looked at, and shown to the critic, at a time
THUMB_PX = 96


@dataclass(frozen=True)
class Measured:
    """Candidates in order of their names."""

    paths: list[Path]
    scores: dict[str, Tensor]  # each (N,), larger is better; NaN where a face or size is wanting
    features: Tensor  # (N, F)
    thumbs: Tensor  # (N, 3, 96, 96) uint8, each fitted whole into its square
    nearest: Nearest | None  # to the training pictures, if any were given
    training: list[Path]
    faces: int
    model: str | None  # whose critic was asked
    skipped: list[str]  # files that could not be used, with the reason
    sureness: Sureness | None  # of the taste, where one was asked for


@dataclass(frozen=True)
class _Looked:
    scores: dict[str, float]
    points: Tensor  # (68, 2), NaN without a face
    features: Tensor
    thumb: Tensor
    model: str | None
    pixels: Tensor | None  # (3, H, W) uint8, for the critic
    row: NDArray[np.float16] | None  # (896,), for a taste


@dataclass(frozen=True)
class _Part:
    """Some of the candidates, one row each."""

    paths: list[Path]
    scores: dict[str, Tensor]
    points: Tensor
    features: Tensor
    thumbs: Tensor
    rows: list[NDArray[np.float16]]
    models: set[str | None]
    realism: Tensor | None


def measure_folder(
    paths: Sequence[Path],
    machine: Machine,
    *,
    data: Sequence[Path] = (),
    faces: bool = True,
    taste: Path | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Measured:
    """Read and score pictures, several at a time; those that cannot be used are passed over and named.

    The critic is the one of the model that the pictures' own recipes name, when it is at hand and they all name one.
    `taste` is a catalog from whose verdicts a taste is learned. Raises UpimagineError when no picture can be used, or
    when there are too few verdicts.
    """
    taught = None if taste is None else _taught(taste, watch)
    parts: list[_Part] = []
    skipped: list[str] = []
    with single_threads(os.cpu_count() or 1) as pool:
        critic: LoadedCritic | None = None
        for start in range(0, len(paths), _PART):
            some: list[tuple[Path, _Looked]] = []
            part = paths[start : start + _PART]
            for path, looked in zip(
                part, pool.map(functools.partial(_attempt, faces=faces, tasted=taught is not None), part), strict=True
            ):
                if isinstance(looked, _Looked):
                    some.append((path, looked))
                else:
                    skipped.append(str(looked))
                watch("measuring", start + len(some), len(paths))
            if some:
                critic = critic or _critic(some[0][1].model, machine)
                parts.append(_stacked(some, critic, pool))
        if not parts:
            raise UpimagineError(f"none of {len(paths)} pictures could be used; the first: {skipped[0]}")
        features = torch.cat([part.features for part in parts])
        training, nearest = _compared(data, features, pool, watch)
    scores = {name: torch.cat([part.scores[name] for part in parts]) for name in parts[0].scores}
    models = {model for part in parts for model in part.models}
    realism = [part.realism for part in parts if part.realism is not None]
    model = models.pop() if len(models) == 1 and len(realism) == len(parts) else None
    if model is not None:
        scores["realism"] = torch.cat(realism)
    found = int((~scores["face"].isnan()).sum()) if faces else 0
    scores["symmetry"] = face_symmetry_score(torch.cat([part.points for part in parts]))
    if found < _FACES_SHARE * len(features):  # these are no portraits: faces have no say
        del scores["symmetry"]
        scores.pop("face", None)
    if nearest is not None:
        scores["novelty"] = nearest.distance.log2().masked_fill(nearest.copies, torch.nan)
    sureness = None
    if taught is not None:
        scores["taste"], sureness = taught.taste(np.stack([row for part in parts for row in part.rows]))
    thumbs = torch.cat([part.thumbs for part in parts])
    good = [path for part in parts for path in part.paths]
    return Measured(good, scores, features, thumbs, nearest, training, found, model, skipped, sureness)


def _stacked(some: list[tuple[Path, _Looked]], critic: LoadedCritic | None, pool: ThreadPoolExecutor) -> _Part:
    """Thousands of small tensors, kept between large ones that come and go, would hold six times their memory."""
    looks = [looked for _, looked in some]
    models = {looked.model for looked in looks}
    batches = [looks[start : start + _BATCH] for start in range(0, len(looks), _BATCH)]
    realism = None
    if critic is not None and len(models) == 1 and len({_size(looked) for looked in looks}) == 1:
        realism = torch.cat(list(pool.map(functools.partial(_realism, critic), batches)))
    return _Part(
        [path for path, _ in some],
        {name: torch.tensor([looked.scores[name] for looked in looks]) for name in looks[0].scores},
        torch.stack([looked.points for looked in looks]),
        torch.stack([looked.features for looked in looks]),
        torch.stack([looked.thumb for looked in looks]),
        [looked.row for looked in looks if looked.row is not None],
        models,
        realism,
    )


def _taught(taste: Path, watch: Watch) -> Taught:
    """First of all, for too few verdicts are better known now than after a minute."""
    with Catalog(taste, tool="upimagine cull") as catalog:
        fill_features(catalog, watch=watch)
        return Taught.by(catalog)


def _attempt(path: Path, faces: bool, tasted: bool) -> _Looked | PictureError:
    try:
        return _look(path, faces, tasted)
    except PictureError as error:
        return error


def _look(path: Path, faces: bool, tasted: bool) -> _Looked:
    read = pixels.read(path, max_pixels=_MOST_PIXELS, least_px=_MOST_PX)
    picture = _fitted(read.pixels[None], _MOST_PX)
    height, width = picture.shape[2:]
    if min(height, width) < GRID_LEAST_PX:
        raise PictureError(f"{path}: is {height} x {width} px; at least {GRID_LEAST_PX} a side are needed")
    scores = {
        "sharpness": float(sharpness_score(picture)),
        "grid": float(grid_score(picture)),
        "blotches": float(blotch_score(picture)),
    }
    points = torch.full((68, 2), torch.nan)
    if faces:
        scale = min(max(min(height, width), _FACE_PX[0]), _FACE_PX[1]) / min(height, width)
        looked_at = resize_antialiased(picture, (round(height * scale), round(width * scale)))
        face = find_face(looked_at, refined=False)  # exact enough to tell how alike both halves are
        scores["face"] = torch.nan if face is None else face.score
        if face is not None:
            points = torch.as_tensor(face.points68)
    model = _model(read.recipe, path)
    kept = to_uint8(picture[0]) if model is not None else None
    row = features_of(read.pixels) if tasted else None
    return _Looked(scores, points, picture_features(picture)[0], _thumb(picture), model, kept, row)


def _fitted(picture: Tensor, most_px: int) -> Tensor:
    """(1, 3, H, W), made smaller where its longer side is larger than that."""
    height, width = picture.shape[2:]
    scale = most_px / max(height, width)
    if scale >= 1:
        return picture
    return resize_antialiased(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def _thumb(picture: Tensor) -> Tensor:
    small = to_uint8(_fitted(picture, THUMB_PX)[0])
    thumb = torch.full((3, THUMB_PX, THUMB_PX), 32, dtype=torch.uint8)
    top, left = (THUMB_PX - small.shape[1]) // 2, (THUMB_PX - small.shape[2]) // 2
    thumb[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return thumb


def _model(recipe: str | None, path: Path) -> str | None:
    """The generator that made a picture which nothing has enlarged since, as it is named from here."""
    if recipe is None:
        return None
    try:
        resolved = parse_resolved(recipe, str(path))
    except UpimagineError:  # another version's: the picture itself is sound, and only its critic stays unknown
        return None
    if resolved.enlarge or resolved.origin.model is None:
        return None
    name = resolved.origin.model
    return name if name in builtin_models() else str((path.parent / name).resolve())


def _critic(model: str | None, machine: Machine) -> LoadedCritic | None:
    if model is None or (model not in builtin_models() and not Path(model).is_file()):
        return None
    loaded = load(model, machine.device, machine.dtype)
    return loaded.critic if isinstance(loaded, LoadedGenerator) else None


def _size(looked: _Looked) -> torch.Size | None:
    return None if looked.pixels is None else looked.pixels.shape


def _realism(critic: LoadedCritic, looks: list[_Looked]) -> Tensor:
    return critic.score(to_float(torch.stack([looked.pixels for looked in looks if looked.pixels is not None]))).cpu()


def _compared(
    data: Sequence[Path], features: Tensor, pool: ThreadPoolExecutor, watch: Watch
) -> tuple[list[Path], Nearest | None]:
    """The training pictures, and which of them is nearest to each candidate."""
    if not data:
        return [], None
    rows: list[Tensor] = []
    paths: list[Path] = []
    with opened(list(data)) as found:
        for index, (picture, row) in enumerate(zip(found, pool.map(_training_row, found), strict=True)):
            watch("reading training pictures", index + 1, len(found))
            if row is not None:
                rows.append(row)
                paths.append(picture.path)
    if len(rows) < 3:
        raise UpimagineError(f"{data[0]}: {len(rows)} readable training pictures are too few to compare with; 3 do")
    return paths, nearest_training(features, torch.stack(rows))


def _training_row(found: Found) -> Tensor | None:
    """(F,), None where the picture cannot be read: what it was trained on has been told by the training."""
    try:
        return picture_features(_fitted(found.read().pixels[None], _MOST_PX))[0]
    except (PictureError, ValueError):
        return None
