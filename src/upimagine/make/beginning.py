"""What a walk begins with: candidates from a generator, drawn by program, or in a folder of pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from upimagine.data.folder import no_pictures, pictures_in
from upimagine.errors import PictureError, UpimagineError
from upimagine.make.colour_fields import colour_field
from upimagine.make.latents import latent
from upimagine.make.sampling import Candidates, make_one, sample, score
from upimagine.make.source import open_source
from upimagine.make.stages import Machine, Watch, check_size, file_sha256, seen_from
from upimagine.models.loaded import load_generator
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Begin, Choose, ColourFields, Origin, Pictures, Sample

_SHOWN_PX = 128  # side of the square that is looked at of a picture of one's own


class Beginning(Protocol):
    """Candidates, and each of them again as the picture that the walk goes on from."""

    count: int
    """How many candidates there are."""
    identity: str
    """What else the candidates depend on beside the recipe."""
    skipped: tuple[str, ...]
    """Files that could not be used, with the reason, one line each."""

    def candidates(self, choice: Choose, watch: Watch) -> Candidates:
        """All of them, scored."""
        ...

    def picture(self, number: int) -> tuple[Tensor, Origin]:
        """(1, 3, H, W) in [-1, 1], always to the same pixels, and where it comes from."""
        ...


def begin(stage: Begin, seed: int, folder: Path, machine: Machine) -> Beginning:
    """The beginning that a recipe's first stage names; `folder` is that of the results."""
    if isinstance(stage, Sample):
        return _Latents(stage, seed, machine)
    if isinstance(stage, ColourFields):
        return _Drawn(stage, seed)
    return _Folder(stage, folder)


class _Latents:
    """Made by a generator."""

    skipped: tuple[str, ...] = ()

    def __init__(self, stage: Sample, seed: int, machine: Machine) -> None:
        self._stage, self._seed, self._machine = stage, seed, machine
        self._generator = load_generator(stage.model, machine.device, machine.dtype)
        self.count, self.identity = stage.count, self._generator.file.sha256

    def candidates(self, choice: Choose, watch: Watch) -> Candidates:
        return sample(
            self._stage.model, self.count, seed=self._seed, weights=choice, machine=self._machine, watch=watch
        )

    def picture(self, number: int) -> tuple[Tensor, Origin]:
        vector = latent(self._seed, number, self._generator.latent_dim)
        origin = Origin(
            model=self._stage.model, model_sha256=self._generator.file.sha256, latent=tuple(vector.tolist())
        )
        return make_one(self._generator, vector), origin


class _Drawn:
    """Drawn by program."""

    identity = ""
    skipped: tuple[str, ...] = ()

    def __init__(self, stage: ColourFields, seed: int) -> None:
        self._stage, self._seed, self.count = stage, seed, stage.count

    def candidates(self, choice: Choose, watch: Watch) -> Candidates:
        drawn = []
        for number in range(self.count):
            drawn.append(self.picture(number)[0])
            watch("drawing", number + 1, self.count)
        return score(torch.cat(drawn), choice, None, watch)

    def picture(self, number: int) -> tuple[Tensor, Origin]:
        origin = Origin(drawn=self._stage, drawn_number=(self._seed, number))
        return colour_field(self._stage, self._seed, number), origin


class _Folder:
    """Pictures of one's own. Those that cannot be read, or are too small, are passed over."""

    def __init__(self, stage: Pictures, folder: Path) -> None:
        self._folder, self._paths, self._shown = folder, [], []
        skipped: list[str] = []
        found = pictures_in(Path(stage.folder))
        if not found:
            raise no_pictures(Path(stage.folder))
        for path in found:
            try:
                picture = self._open(path)
            except PictureError as error:
                skipped.append(str(error))
                continue
            self._paths.append(path)
            side = min(picture.shape[2:])
            top, left = (picture.shape[2] - side) // 2, (picture.shape[3] - side) // 2
            square = picture[:, :, top : top + side, left : left + side]
            self._shown.append(resize_antialiased(square, (_SHOWN_PX, _SHOWN_PX)))
        if not self._paths:
            raise UpimagineError(f"none of the {len(found)} pictures in {stage.folder} can be used: {skipped[0]}")
        self.skipped, self.count = tuple(skipped), len(self._paths)
        told = "".join(f"{path.name} {file_sha256(path)}" for path in self._paths)
        self.identity = hashlib.sha256(told.encode()).hexdigest()

    def candidates(self, choice: Choose, watch: Watch) -> Candidates:
        # Whoever names a folder has chosen already: that no face is seen is no reason to leave one out.
        return score(torch.cat(self._shown), choice.model_copy(update={"face": 0.0, "symmetry": 0.0}), None, watch)

    def picture(self, number: int) -> tuple[Tensor, Origin]:
        path = self._paths[number]
        origin = Origin(picture=seen_from(self._folder / "any", path), picture_sha256=file_sha256(path))
        return self._open(path), origin

    @staticmethod
    def _open(path: Path) -> Tensor:
        picture, _ = open_source(path, keep_alpha=False)
        check_size(picture, str(path))
        return picture
