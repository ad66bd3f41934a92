"""Mixes of people: aligned faces, shares of people in a face, and the whole way from folders to a print."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_make import MACHINE, recipe  # noqa: F401 (a fixture)

from upimagine import pixels
from upimagine.choose.mixture import Likeness
from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.guide.align import EYES, aligned
from upimagine.guide.face import Face
from upimagine.make import mixing
from upimagine.make.mixing import MixSettings, mix
from upimagine.models.file import load_model_file, save_model
from upimagine.nets.fastgan import FastganDiscriminator, FastganGenerator
from upimagine.recipe import Recipe

PORTRAITS = Path(__file__).parent / "data/portraits"


def face_at(eyes: tuple[tuple[float, float], tuple[float, float]]) -> Face:
    """A face of which only the eyes, (y, x), are known."""
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48] = eyes
    return Face(points, 1.0, (0.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize(("size", "eyes"), [((96, 120), ((50, 40), (62, 71))), ((400, 380), ((150, 250), (130, 100)))])
def test_eyes_come_to_their_places(
    size: tuple[int, int], eyes: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    spread = math.dist(*eyes) / 10
    blobs = [torch.exp(-((y - ey) ** 2 + (x - ex) ** 2) / (2 * spread**2)) for ey, ex in eyes]
    picture = torch.stack([*blobs, torch.zeros(size)]) * 2 - 1  # the left eye is red, the right one green
    out = aligned(picture, face_at(eyes), 128)
    assert out.shape == (3, 128, 128)
    rows = torch.arange(128) + 0.5
    for channel, (wanted_y, wanted_x) in enumerate(EYES):
        weight = (out[channel] + 1).clamp_min(0.02) - 0.02
        near = (rows[:, None] - wanted_y * 128).abs() < 14, (rows[None] - wanted_x * 128).abs() < 14
        weight = weight * near[0] * near[1]  # farther away lie mirror images
        assert float((weight.sum(1) * rows).sum() / weight.sum()) == pytest.approx(wanted_y * 128, abs=0.6)
        assert float((weight.sum(0) * rows).sum() / weight.sum()) == pytest.approx(wanted_x * 128, abs=0.6)


@pytest.mark.parametrize("counts", [(40, 40), (60, 15), (20, 30, 25)])
def test_shares_of_people(counts: tuple[int, ...]) -> None:
    torch.manual_seed(len(counts))
    centres = torch.randn(len(counts), 200)
    people = torch.cat([torch.full((count,), person) for person, count in enumerate(counts)])
    likeness = Likeness(centres[people] + torch.randn(len(people), 200), people)
    assert likeness.told_apart > 0.95
    shares = likeness.shares(centres)
    assert torch.equal(shares.argmax(1), torch.arange(len(counts)))
    torch.testing.assert_close(shares.sum(1), torch.ones(len(counts), dtype=torch.float64))
    middle = centres.mean(0, keepdim=True)
    mixture = likeness.mixture(torch.cat([centres, middle]))
    assert mixture.argmax() == len(counts), "the face between all of them has most of all"
    assert mixture.max() <= 0


def test_people_who_look_alike_are_not_told_apart() -> None:
    torch.manual_seed(0)
    likeness = Likeness(torch.randn(60, 300), torch.arange(60) % 2)
    assert likeness.told_apart < 0.75, "left-out pictures, not those that were learned"


@pytest.fixture
def people(tmp_path: Path) -> list[Path]:
    """Two folders of eight portraits, of no two people in particular."""
    folders = [tmp_path / "Anna", tmp_path / "Ben"]
    for folder in folders:
        folder.mkdir()
        for path in PORTRAITS.iterdir():
            shutil.copy(path, folder)
    return folders


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A tiny FastGAN that recalls codes of pictures of its own."""
    torch.manual_seed(0)
    path = tmp_path / "start.safetensors"
    generator = FastganGenerator(64, 8, 2, 4, recalls=5)
    save_model(path, "generator", generator, FastganDiscriminator(64, 2, 4), {"task": "fastgan"})
    return path


def test_from_folders_to_culled_mixes_and_on_after_a_stop(
    people: list[Path],
    start: Path,
    recipe: Recipe,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mixing, "find_recipe", lambda name: recipe)  # the toy's up-imaginers are smaller
    (people[0] / "broken.jpg").write_bytes(b"no picture")
    pixels.write(people[1] / "wall.png", torch.zeros(3, 64, 64))
    out = tmp_path / "out"
    settings = MixSettings(kimg=0.008, batch=4, init_from=str(start), count=10, keep=2, seed=1)
    stopped = mix(people, out, settings, MACHINE, on_tick=_Once())
    assert stopped.made is None
    assert not (out / "print.tif").exists()
    faces = {path: path.stat().st_mtime_ns for path in (out / "faces").rglob("*.png")}
    assert len(faces) == 16
    mixed = mix(people, out, settings, MACHINE)
    assert mixed.faces == (8, 8)
    assert [line for line in mixed.skipped if "wall.png: no face" in line]
    assert [line for line in mixed.skipped if "broken.jpg" in line]
    assert {path: path.stat().st_mtime_ns for path in (out / "faces").rglob("*.png")} == faces, "not cut out again"
    assert mixed.made is not None
    assert [path.name for path in mixed.made.pictures] == ["mix-1.png", "mix-2.png"]
    assert load_model_file(mixed.model).story["begun_from"]["model"] == "start.safetensors"
    assert "between" in (out / "recipe.toml").read_text()
    weights = mixed.model.read_bytes()
    with pytest.raises(UpimagineError, match=r"contact-sheet\.png exists"):
        mix(people, out, dataclasses.replace(settings, kimg=0.016), MACHINE)
    assert mixed.model.read_bytes() == weights, "refused before an hour's training, not after it"


class _Once:
    """Presses Ctrl-C at the first tick."""

    def __call__(self, progress: object) -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGINT)


def test_what_cannot_be_mixed_is_refused(
    people: list[Path], start: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, ben = people
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    shutil.copy(next(PORTRAITS.iterdir()), lonely)
    for folders, begin, told in [
        ([anna], start, "at least two people"),
        ([anna, anna], start, "named twice"),
        ([anna, lonely], start, "lonely has 1 pictures with a face"),
        ([anna, ben], models["generator"], "is no FastGAN"),
    ]:
        with pytest.raises(UpimagineError, match=told):
            mix(folders, tmp_path / "out", MixSettings(init_from=str(begin)), MACHINE)
    assert main(["mix", str(anna), str(tmp_path / "nobody"), "-o", str(tmp_path / "out"), "--json"]) == 1
    assert "nobody is not a folder" in capsys.readouterr().err
