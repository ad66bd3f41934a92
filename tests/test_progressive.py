"""Training a Progressive GAN: the schedule, growing without a seam, and resuming to the bit in every stage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from test_train import LOOP, assert_same_state

from upimagine import pixels
from upimagine.losses.drift import drift
from upimagine.models.file import load_model_file
from upimagine.models.loaded import load_generator
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.engine import Engine
from upimagine.train.growth import Growth, Stage
from upimagine.train.loop import Outcome, fit
from upimagine.train.progressive import ProgressiveSettings, ProgressiveTask, make_progressive_task

TINY = ProgressiveSettings(
    size_px=16,
    stable_kimg=0.008,
    fade_kimg=0.008,
    fmap_base=64,
    fmap_max=8,
    latent_dim=6,
    batch_at=("16=2",),
    rate_at=(),
)


def task_of(pictures: Path, settings: ProgressiveSettings = TINY) -> ProgressiveTask:
    made = make_progressive_task([pictures], settings, 0, LOOP.batch, lambda path, reason: None)
    return made(Engine(LOOP))


def train(pictures: Path, run: Path, kimg: float) -> Outcome:
    task = make_progressive_task([pictures], TINY, 0, LOOP.batch, lambda path, reason: None)
    return fit(task, dataclasses.replace(LOOP, kimg=kimg, preview_kimg=0.004), run)


def test_sizes_come_stable_then_fading_as_in_the_paper() -> None:
    growth = Growth(4, 1024, 800_000, 800_000, lambda extent: 16)
    assert growth.grown_at == 12_800_000
    assert growth.at(0) == growth.at(799_999) == Stage(4, 1.0)
    assert growth.at(800_000) == Stage(8, 0.0)
    assert growth.at(1_200_000) == Stage(8, 0.5)
    assert growth.at(1_600_000) == growth.at(2_399_999) == Stage(8, 1.0)
    assert growth.at(12_799_999).size_px == 1024
    assert growth.at(12_800_000) == growth.at(10**9) == Stage(1024, 1.0)


def test_every_step_shows_as_many_pictures_as_its_size_has() -> None:
    growth = Growth(2, 16, 100, 50, {2: 16, 4: 16, 8: 7, 16: 3}.__getitem__)
    shown = 0
    for step in range(200):
        assert growth.shown_after(step) == shown
        shown += {2: 16, 4: 16, 8: 7, 16: 3}[growth.at(shown).size_px]


def test_without_fading_a_size_is_there_at_once() -> None:
    growth = Growth(4, 16, 10, 0, lambda extent: 2)
    assert [growth.at(shown) for shown in (9, 10, 20, 99)] == [Stage(4, 1), Stage(8, 1), Stage(16, 1), Stage(16, 1)]


def test_training_resumes_to_the_bit_in_every_stage(pictures: Path, tmp_path: Path) -> None:
    straight = train(pictures, tmp_path / "straight", 0.048)
    for kimg in (0.004, 0.008, 0.012, 0.016, 0.028, 0.040, 0.048):  # within stages and where they change
        train(pictures, tmp_path / "often", kimg)
    assert_same_state(tmp_path / "straight", tmp_path / "often")
    state = load_checkpoint(tmp_path / "straight")
    assert state is not None
    assert state["shown"] == straight.shown == 48
    assert state["step"] == 24 // 4 + 24 // 2
    assert load_generator(straight.model, dtype="float32").generate(torch.randn(2, 6)).shape == (2, 3, 16, 16)


def test_a_model_saved_while_fading_makes_what_the_run_makes(pictures: Path, tmp_path: Path) -> None:
    outcome = train(pictures, tmp_path / "run", 0.012)
    model = load_model_file(outcome.model)
    assert (model.main.size_px, model.main.faded) == (8, 0.5)
    state = load_checkpoint(tmp_path / "run")
    assert state is not None
    whole = task_of(pictures).nets["generator"].eval()
    whole.load_state_dict(state["average"])
    latents = torch.randn(3, 6)
    with torch.no_grad():
        torch.testing.assert_close(model.main(latents), whole(latents, 8, 0.5), atol=0.02, rtol=0)  # fp16 in the file
    assert model.critic is not None
    assert model.critic(torch.zeros(2, 3, 8, 8)).shape == (2, 1)
    strips = sorted((tmp_path / "run").glob("fade-in-*.jpg"))
    assert strips
    assert pixels.read(strips[-1]).pixels.shape == (3, 16, 8 * 16)
    assert "Fading in" in (tmp_path / "run/index.html").read_text()


def test_real_pictures_fade_in_too(pictures: Path) -> None:
    task = task_of(pictures)
    real = task.batch(8, 2)["real"]  # 8x8 pictures, nothing of them faded in
    assert real.shape == (2, 3, 8, 8)
    assert torch.equal(real[:, :, ::2, ::2], real[:, :, 1::2, 1::2])
    sharp = task.batch(16, 2)["real"]
    assert not torch.equal(sharp[:, :, ::2, ::2], sharp[:, :, 1::2, 1::2])


def test_adam_forgets_where_a_size_begins_and_rates_follow_the_size(pictures: Path) -> None:
    task = task_of(pictures, dataclasses.replace(TINY, rate_at=("8=0.5",), learning_rate=0.25))
    adam = task.phases[0].optimizer

    def forward(step: int) -> None:
        shown = task.shown_after(step)
        task.forward(task.batch(shown, task.shown_after(step + 1) - shown), step)

    def remembered() -> bool:
        return len(adam.state) > 0

    for step, forgets in ((1, False), (2, True), (3, False), (4, True), (5, False), (6, True)):
        adam.state[next(task.nets["discriminator"].parameters())] = {"step": torch.ones(())}
        forward(step)
        assert remembered() is not forgets, step
        assert adam.param_groups[0]["lr"] == (
            0.5 if task.batch(task.shown_after(step), 1)["real"].shape[3] == 8 else 0.25
        )
        adam.state[next(task.nets["discriminator"].parameters())] = {"step": torch.ones(())}
        forward(step)  # again, as when the step is divided
        assert remembered()


def test_drift_of_a_critic_is_its_mean_square() -> None:
    assert drift(torch.tensor([[3.0], [-1.0]])) == 5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"size_px": 100}, "--size-px 100"),
        ({"base_px": 3}, "--base-px 3"),
        ({"batch_at": ("256",)}, "SIZE=NUMBER"),
        ({"batch_at": ("256=0",)}, "whole numbers"),
        ({"batch_at": ("100=4",)}, "powers of two"),
        ({"rate_at": ("256=2",)}, "between 0 and 1"),
        ({"stable_kimg": 0.0}, "--stable-kimg"),
        ({"fade_kimg": float("nan")}, "--fade-kimg"),
        ({"augment": ("blur",)}, "blur is unknown"),
        ({"latent_dim": 0}, "--latent-dim"),
    ],
)
def test_settings_that_cannot_work_are_named(change: dict[str, object], word: str) -> None:
    problem = dataclasses.replace(TINY, **change).problem()  # type: ignore[arg-type]
    assert problem is not None
    assert word in problem
