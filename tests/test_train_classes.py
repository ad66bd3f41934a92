"""Classes: who belongs to which, that latents tell them, that they matter, resume, sampling by name."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import LOOP, TINY, assert_same_state

from upimagine import pixels
from upimagine.cli import main
from upimagine.data.catalog import Catalog
from upimagine.data.folder import Decoded
from upimagine.data.labelling import give_label
from upimagine.data.scan import scan
from upimagine.data.sources import opened
from upimagine.errors import UpimagineError
from upimagine.make.again import again
from upimagine.make.latents import latent
from upimagine.make.machine import settle
from upimagine.make.samples import save_samples
from upimagine.models.file import load_model_file
from upimagine.models.loaded import load_generator
from upimagine.nets.classes import Projection, labelled, told
from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator
from upimagine.train.classes import classed, with_classes
from upimagine.train.dcgan import DcganSettings, make_dcgan_task
from upimagine.train.fastgan import FastganSettings, make_fastgan_task
from upimagine.train.loop import Outcome, fit
from upimagine.train.stack import StackSettings, make_stack_task

KNOWS = dataclasses.replace(TINY, labels="class", augment=())
FAST = FastganSettings(size_px=64, width=2, latent_dim=6, labels="class", augment=())
COLOURS = {"blue": (-0.8, -0.6, 0.8), "red": (0.8, -0.6, -0.6)}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Six plain pictures of each of two colours, in folders with their names."""
    for name, colour in COLOURS.items():
        (tmp_path / "two" / name).mkdir(parents=True)
        for index in range(6):
            plain = torch.tensor(colour)[:, None, None].expand(3, 64, 64) + 0.02 * index
            pixels.write(tmp_path / "two" / name / f"{index}.png", plain)
    return tmp_path / "two"


def train(data: Path, run: Path, settings: DcganSettings | FastganSettings, kimg: float, **loop: Any) -> Outcome:
    make: Any = make_fastgan_task if isinstance(settings, FastganSettings) else make_dcgan_task
    task = make([data], settings, 0, lambda path, reason: None)
    return fit(task, dataclasses.replace(LOOP, kimg=kimg, preview_kimg=10.0, **loop), run)


def decoded(labels: list[Any]) -> Decoded:
    return Decoded([torch.zeros(3, 1, 1)] * len(labels), labels, [Path(str(i)) for i in range(len(labels))], [])


def test_what_is_said_becomes_classes() -> None:
    skipped: list[str] = []
    rows = [{"male": 1.0, "style": "long"}, {"male": 0.0}, None, {"male": 0, "style": "curly"}, {"male": 1.0}]
    kept, names = classed(decoded(rows), "male", lambda path, why: skipped.append(str(path)))
    assert (kept.labels, names, skipped) == ([1, 0, 0, 1], ("0", "1"), ["2"])
    kept, names = classed(decoded(["red", "blue", 3, "red", True, "blue", "blue", "red"]), "class", lambda *_: None)
    assert names == ("3", "blue", "red", "yes")
    assert kept.labels == [2, 1, 0, 2, 3, 1, 1, 2]


@pytest.mark.parametrize(
    ("labels", "key", "said"),
    [
        ([None, None], "class", "tells 0 classes apart in 2 pictures, two are needed; nothing is said"),
        (["a", "a"], "class", "tells 1 class apart"),
        ([{"age": 1}, {"age": 1}], "sex", "what is said about them is age"),
        ([{"age": 0.1}, {"age": 0.2}, {"age": 0.3}], "age", "has 3 values in 3 pictures, too many"),
    ],
)
def test_labels_that_make_no_classes_are_refused(labels: list[Any], key: str, said: str) -> None:
    with pytest.raises(UpimagineError, match=said):
        classed(decoded(labels), key, lambda path, why: None)


def test_a_catalog_says_what_was_said_last(two: Path, tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.db", create=True) as catalog:
        scan(catalog, [two])
        shas = [row[0] for row in catalog.connection.execute("SELECT sha256 FROM pictures ORDER BY id")]
        for sha in shas[:2]:
            give_label(catalog, sha, "mood", "calm")
        give_label(catalog, shas[0], "mood", "wild")
        give_label(catalog, shas[1], "mood", None)
        give_label(catalog, shas[0], "verdict", "keep")
    with opened([Path(f"{tmp_path / 'c.db'}:all")]) as found:
        labels = [each.label for each in found if each.label is not None]
    assert labels == [{"mood": "wild", "verdict": "keep"}]


def test_a_latent_tells_its_class_and_can_be_told_another() -> None:
    vector = latent(0, 0, 10)
    classes = 4
    for number in range(classes):
        changed = labelled(vector, classes, number)
        assert int(changed[6:].argmax()) == number
        assert torch.equal(changed[:6], vector[:6])
        assert torch.equal(changed[6:].sort().values, vector[6:].sort().values)  # as normal as before
        chosen = told(changed[None], classes)
        assert chosen[0, 6:].tolist() == pytest.approx([6**0.5 if i == number else 0.0 for i in range(classes)])
        assert torch.equal(chosen, told(with_classes(vector[None, :6], torch.tensor([number]), classes), classes))
    drawn = torch.stack([latent(1, index, 10) for index in range(2000)])[:, 6:].argmax(dim=1)
    assert torch.bincount(drawn, minlength=4).min() > 400  # all as often


def test_the_projection_is_a_product_with_the_classes_vector() -> None:
    judge, pictures = DcganDiscriminator(64, width=2, norm="none", classes=3), torch.randn(2, 3, 64, 64)
    numbers = torch.tensor([2, 0])
    maps = judge.features(pictures)
    assert isinstance(judge.project, Projection)
    vectors = judge.project.vectors.weight[numbers]
    wanted = judge(pictures).flatten() + torch.einsum("nc,nchw->n", vectors, maps)
    torch.testing.assert_close(judge(pictures, numbers).flatten(), wanted)


def test_without_classes_networks_and_files_are_as_ever() -> None:
    assert "classes" not in DcganGenerator(64, width=2).config
    assert "classes" not in DcganDiscriminator(64, width=2).config
    assert DcganGenerator(64, 5, width=2, classes=("a", "b")).latent_dim == 7


@pytest.mark.parametrize(
    "settings",
    [
        dataclasses.replace(KNOWS, ada=True, hold_out=0.2, minibatch_spread=True),
        dataclasses.replace(KNOWS, objective="hinge"),
        dataclasses.replace(KNOWS, objective="wgan-gp", critic_steps=2, anchor_weight=1.0, anchor_px=8),
        dataclasses.replace(FAST, hold_out=0.2, gamma=1.0, gamma_every=2),
    ],
    ids=["ada", "hinge", "wgan-gp with an anchor", "fastgan"],
)
def test_it_resumes_to_the_bit(settings: DcganSettings | FastganSettings, two: Path, tmp_path: Path) -> None:
    train(two, tmp_path / "straight", settings, 0.016)
    train(two, tmp_path / "twice", settings, 0.008)
    outcome = train(two, tmp_path / "twice", settings, 0.016)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    model = load_model_file(outcome.model)
    assert model.story["settings"]["classes"] == ["blue", "red"]
    with pytest.raises(UpimagineError, match="labels was 'class', now None"):
        train(two, tmp_path / "twice", dataclasses.replace(settings, labels=None), 0.02)


@pytest.mark.parametrize(
    ("settings", "kimg"),
    [
        (dataclasses.replace(KNOWS, width=8, latent_dim=8, learning_rate=2e-3, objective="hinge"), 1.6),
        (dataclasses.replace(FAST, width=8, learning_rate=2e-3, rebuild_weight=0.0, beta1=0.0), 1.2),
    ],
    ids=["dcgan", "fastgan"],
)
def test_labels_matter(settings: DcganSettings | FastganSettings, kimg: float, two: Path, tmp_path: Path) -> None:
    """After a few hundred steps on plain colours, pictures of a class have more of its colour than of the other's."""
    outcome = train(two, tmp_path / "run", settings, kimg, ema_kimg=0.1, batch=8)
    model = load_generator(outcome.model, "cpu", "float32")
    assert model.classes == ("blue", "red")
    means = {}
    for name in model.classes:
        latents = torch.stack([model.of_class(latent(0, index, model.latent_dim), name) for index in range(16)])
        means[name] = model.generate(latents).mean(dim=(0, 2, 3))
    difference = means["red"] - means["blue"]
    assert difference[0] > 0.8  # of 1.6 between the colours
    assert difference[2] < -0.7  # of -1.4


def test_sampling_by_name(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    asked = ["train", "dcgan", "--labels", "class", "--size-px", "64", "--width", "4", "--batch", "4"]
    assert main([*asked, "--kimg", "0.008", "--data", str(two), "--out", str(run), "--device", "cpu"]) == 0
    model = str(run / "model.safetensors")
    assert main(["sample", model, "-n", "3", "-o", str(tmp_path / "red"), "--label", "red"]) == 0
    with (tmp_path / "red/scores.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["red"] * 3
    capsys.readouterr()
    for label, said in (("green", "knows no label 'green'; choose one of blue, red"),):
        assert main(["sample", model, "-n", "1", "-o", str(tmp_path / "none"), "--label", label]) == 1
        assert said in capsys.readouterr().err
    assert main(["models", model, "--json"]) == 0
    assert "blue" in json.dumps(json.loads(capsys.readouterr().out))


def test_a_picture_of_a_class_is_made_again_from_its_recipe(two: Path, tmp_path: Path) -> None:
    model = str(train(two, tmp_path / "run", KNOWS, 0.008).model)
    machine = settle("cpu", "float32", 1)
    save_samples(model, 1, tmp_path / "out", label="red", machine=machine)
    picture = tmp_path / "out/pictures/00000.png"
    again(picture, tmp_path / "again.png")
    assert torch.equal(pixels.read(tmp_path / "again.png").pixels, pixels.read(picture).pixels)


def test_a_model_without_classes_has_no_labels(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match="trained without labels"):
        save_samples(str(models["generator"]), 1, tmp_path / "out", label="red")


def test_a_second_stage_keeps_the_classes(two: Path, tmp_path: Path) -> None:
    first = train(two, tmp_path / "first", KNOWS, 0.008).model
    settings = StackSettings(from_stage=first, width=4, blocks=0, critic_width=4)
    task = make_stack_task([two], settings, 0, lambda path, reason: None)
    outcome = fit(task, dataclasses.replace(LOOP, kimg=0.008), tmp_path / "second")
    model = load_generator(outcome.model, "cpu", "float32")
    assert model.classes == ("blue", "red")
    assert model.class_of(model.of_class(latent(0, 0, model.latent_dim), "red")) == "red"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (dataclasses.replace(KNOWS, objective="cramer"), "cannot go with began or cramer"),
        (dataclasses.replace(KNOWS, generator="began"), "cannot go with began or cramer"),
        (dataclasses.replace(FAST, anchor_weight=1.0), "codes know of no class"),
        (dataclasses.replace(KNOWS, labels="sex"), "--labels sex tells 0 classes apart"),
    ],
)
def test_what_cannot_know_classes_says_so(
    settings: DcganSettings | FastganSettings, said: str, two: Path, tmp_path: Path
) -> None:
    with pytest.raises(UpimagineError, match=said):
        train(two, tmp_path / "run", settings, 0.004)
