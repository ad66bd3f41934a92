"""Training a second stage: exact resume, the first stage carried along untouched, refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import LOOP, assert_same_state

from upimagine import pixels
from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import load_generator
from upimagine.nets.dcgan import DcganGenerator
from upimagine.nets.pggan import PgganGenerator
from upimagine.nets.stack import StackGenerator
from upimagine.train.loop import Outcome, fit
from upimagine.train.stack import StackSettings, make_stack_task

TINY = StackSettings(width=4, blocks=1, critic_width=4)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """An untrained PGGAN of 32 px, which makes toy second stages of 64 px."""
    torch.manual_seed(3)
    path = tmp_path / "first.safetensors"
    save_model(path, "generator", PgganGenerator(32, 16, 256, 16), None, {"kimg": 7})
    return path


def train(pictures: Path, first: Path, run: Path, kimg: float, settings: StackSettings = TINY, **loop: Any) -> Outcome:
    asked = dataclasses.replace(settings, from_stage=first)
    task = make_stack_task([pictures], asked, 0, lambda path, reason: None)
    return fit(task, dataclasses.replace(LOOP, kimg=kimg, preview_kimg=1.0, **loop), run)


@pytest.mark.parametrize(
    "settings",
    [
        dataclasses.replace(TINY, ada=True, hold_out=0.2, gamma=1.0, gamma_every=2),
        dataclasses.replace(TINY, objective="hinge"),
        dataclasses.replace(TINY, objective="wgan-gp", critic_steps=2),
        dataclasses.replace(TINY, objective="cramer", critic_steps=2),
        dataclasses.replace(TINY, objective="began"),
    ],
    ids=lambda settings: settings.objective,
)
def test_it_resumes_to_the_bit(settings: StackSettings, pictures: Path, first: Path, tmp_path: Path) -> None:
    train(pictures, first, tmp_path / "straight", 0.016, settings)
    train(pictures, first, tmp_path / "twice", 0.012, settings)
    outcome = train(pictures, first, tmp_path / "twice", 0.016, settings)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    model = load_model_file(outcome.model)
    assert (model.critic is None) == (settings.objective == "cramer")
    assert str(tmp_path) not in json.dumps(model.story)


def test_the_model_carries_its_first_stage_bit_for_bit(pictures: Path, first: Path, tmp_path: Path) -> None:
    outcome = train(pictures, first, tmp_path / "run", 0.012)
    before = load_model_file(first)
    first.unlink()  # nothing else is needed from here on
    model = load_model_file(outcome.model)
    stack = model.main
    assert isinstance(stack, StackGenerator)
    latents = torch.randn(2, stack.latent_dim)
    assert torch.equal(stack.first(latents), before.main(latents))
    assert model.story["first_stage"] == {"model": "first.safetensors", "sha256": before.sha256, "kimg": 7}
    loaded = load_generator(outcome.model, "cpu", "float32")
    assert loaded.generate(latents).shape == (2, 3, 64, 64)
    assert loaded.truncates
    assert loaded.critic is not None


def test_a_held_stage_keeps_to_the_small_picture(pictures: Path, first: Path, tmp_path: Path) -> None:
    """What is lost between the small picture and the result shrunk is less the more it weighs."""

    def lost(weight: float) -> float:
        settings = dataclasses.replace(TINY, low_res_weight=weight, learning_rate=5e-3, augment=())
        train(pictures, first, tmp_path / f"run-{weight}", 0.2, settings)
        lines = (tmp_path / f"run-{weight}/log.jsonl").read_text().splitlines()
        return float(json.loads(lines[-1])["generator/low_res_l1"])

    assert lost(100.0) < 0.5 * lost(0.0)


def test_sampling_on_the_command_line(
    pictures: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    asked = ["train", "stack", "--from-stage", str(first), "--data", str(pictures), "--out", str(run)]
    asked += ["--width", "4", "--blocks", "0", "--critic-width", "4", "--batch", "4", "--kimg", "0.008"]
    assert main([*asked, "--threads", "1", "--device", "cpu"]) == 0
    assert main(["sample", str(run / "model.safetensors"), "-n", "2", "-o", str(out), "--truncation", "0.5"]) == 0
    assert pixels.read(out / "pictures/00001.png").pixels.shape == (3, 64, 64)
    capsys.readouterr()


def test_another_first_stage_is_another_run(pictures: Path, first: Path, tmp_path: Path) -> None:
    train(pictures, first, tmp_path / "run", 0.004)
    torch.manual_seed(4)
    save_model(first, "generator", PgganGenerator(32, 16, 256, 16), None, {})
    with pytest.raises(UpimagineError, match="first_sha256 was"):
        train(pictures, first, tmp_path / "run", 0.008)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"times": 3}, "--times 3 cannot work; choose one of 2, 4"),
        ({"width": 0}, "--width, --critic-width"),
        ({"low_res_weight": -1.0}, "--low-res-weight -1.0"),
        ({"objective": "hinge", "clip": 0.1}, "would change nothing"),
        ({"objective": "cramer", "hold_out": 0.1}, "--hold-out compares scores"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    change: dict[str, Any], said: str, pictures: Path, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(UpimagineError) as error:
        train(pictures, first, tmp_path / "run", 0.004, dataclasses.replace(TINY, **change))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_models_that_can_be_no_first_stage_are_refused(pictures: Path, models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match="name a generator"):
        train(pictures, models["detail"], tmp_path / "run", 0.004)
    large = tmp_path / "large.safetensors"
    save_model(large, "generator", DcganGenerator(256, width=1), None, {})
    stacked = tmp_path / "stacked.safetensors"
    config = {"size_px": 256, "latent_dim": 100, "width": 1}
    net = StackGenerator({"architecture": "dcgan", "config": config}, 1024, width=1, blocks=0)
    save_model(stacked, "generator", net, None, {})
    with pytest.raises(UpimagineError, match="up to 1024 px"):
        train(pictures, stacked, tmp_path / "run", 0.004)
    with pytest.raises(UpimagineError, match="they see 64, 128, 256 px"):
        train(pictures, large, tmp_path / "run", 0.004, dataclasses.replace(TINY, objective="began"))
    with pytest.raises(UpimagineError, match="must name the generator"):
        make_stack_task([pictures], TINY, 0, lambda path, reason: None)
