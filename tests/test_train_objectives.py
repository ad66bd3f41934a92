"""Training by every objective: rhythm, clipping, balance, exact resume, refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import LOOP, TINY, assert_same_state

from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import load_generator
from upimagine.nets.began import BeganAutoencoder, BeganGenerator
from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.dcgan import DcganSettings, make_dcgan_task
from upimagine.train.loop import Outcome, fit
from upimagine.train.objectives import generator_due

#: The decoder has no batch norm to calibrate, which is what takes longest in a toy run of the DCGAN.
SMALL = dataclasses.replace(TINY, generator="began")
WGAN = dataclasses.replace(SMALL, objective="wgan", critic_steps=2)
KINDS = {
    "non-saturating": SMALL,
    "minimax": dataclasses.replace(SMALL, objective="minimax"),
    "least-squares": dataclasses.replace(SMALL, objective="least-squares", gamma=1.0, gamma_every=2),
    "hinge": dataclasses.replace(SMALL, objective="hinge"),
    "wgan": WGAN,
    "wgan-gp": dataclasses.replace(SMALL, objective="wgan-gp", critic_steps=2),
    "cramer": dataclasses.replace(SMALL, objective="cramer", critic_steps=2),
    "began": dataclasses.replace(TINY, objective="began"),
    "dcgan against an autoencoder": dataclasses.replace(TINY, objective="began", generator="dcgan"),
    "cramer with an anchor": dataclasses.replace(
        TINY, objective="cramer", critic_steps=2, anchor_weight=10.0, anchor_px=8, coarse_weight=1.0
    ),
    "wgan-gp that sees spread": dataclasses.replace(
        SMALL, objective="wgan-gp", norm="per-sample", critic_steps=1, minibatch_spread=True
    ),
}


def train(pictures: Path, run: Path, settings: DcganSettings, kimg: float, **loop: Any) -> Outcome:
    task = make_dcgan_task([pictures], settings, 0, lambda path, reason: None)
    return fit(task, dataclasses.replace(LOOP, kimg=kimg, preview_kimg=1.0, **loop), run)


def state_of(run: Path) -> dict[str, Any]:
    state = load_checkpoint(run)
    assert state is not None
    return state


@pytest.mark.parametrize("name", KINDS)
def test_every_objective_resumes_to_the_bit_and_moves_both_networks(name: str, pictures: Path, tmp_path: Path) -> None:
    settings = KINDS[name]
    train(pictures, tmp_path / "straight", settings, 0.016)  # four steps
    train(pictures, tmp_path / "twice", settings, 0.012)  # three: within a round of two critic steps
    halfway = state_of(tmp_path / "twice")
    train(pictures, tmp_path / "twice", settings, 0.016)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    end = state_of(tmp_path / "twice")
    for net, weights in end["nets"].items():
        assert any(not torch.equal(weights[key], halfway["nets"][net][key]) for key in weights if "weight" in key), net
    # The model that was saved makes pictures, and those that came from scores are judged.
    model = load_generator(tmp_path / "twice/model.safetensors", dtype="float32")
    made = model.generate(torch.randn(2, model.latent_dim))
    assert made.shape == (2, 3, 64, 64)
    assert made.abs().max() <= 1
    if settings.objective == "cramer":
        assert model.critic is None
    else:
        assert model.critic is not None
        assert model.critic.score(made).shape == (2,)


@pytest.mark.parametrize("name", ["hinge", "wgan-gp", "cramer", "began"])
def test_bf16_resumes_to_the_bit_too(name: str, pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "straight", KINDS[name], 0.008, precision="bf16")
    train(pictures, tmp_path / "twice", KINDS[name], 0.004, precision="bf16")
    train(pictures, tmp_path / "twice", KINDS[name], 0.008, precision="bf16")
    assert_same_state(tmp_path / "straight", tmp_path / "twice")


def test_the_generator_waits_as_long_as_in_the_published_loop() -> None:
    for usual, opening in ((1, 1), (5, 100), (5, 5), (3, 7)):
        wanted: list[bool] = []
        for iteration in range(1100):
            steps = opening if iteration < 25 or iteration % 500 == 0 else usual
            wanted += [False] * (steps - 1) + [True]
        assert [generator_due(step, usual, opening) for step in range(len(wanted))] == wanted


def test_the_generator_stands_still_while_the_critic_learns(pictures: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(WGAN, critic_steps=3)
    train(pictures, tmp_path / "run", settings, 0.004)
    first = state_of(tmp_path / "run")["nets"]
    train(pictures, tmp_path / "run", settings, 0.008)
    second = state_of(tmp_path / "run")["nets"]
    train(pictures, tmp_path / "run", settings, 0.012)
    third = state_of(tmp_path / "run")["nets"]
    key = "decoder.first.weight"
    assert torch.equal(first["generator"][key], second["generator"][key])
    assert not torch.equal(second["generator"][key], third["generator"][key])
    key = "features.0.weight"
    assert not torch.equal(first["discriminator"][key], second["discriminator"][key])


def test_weights_are_clipped_before_the_critics_step_and_not_after_it(pictures: Path, tmp_path: Path) -> None:
    """RMSprop's first step is 10 learning rates long, however large the gradient: beyond the bound from within it."""
    rate = 0.001
    settings = dataclasses.replace(WGAN, clip=0.01, learning_rate=rate, norm="none")
    train(pictures, tmp_path / "run", settings, 0.004)
    weight = state_of(tmp_path / "run")["nets"]["discriminator"]["features.0.weight"]
    bound = torch.tensor(0.01)
    assert weight.abs().max() > bound  # its step came last
    assert weight.abs().max() <= bound + 10 * rate + 1e-6  # and began within the bound; He's weights reach 0.5
    train(pictures, tmp_path / "run", settings, 0.008)
    weight = state_of(tmp_path / "run")["nets"]["discriminator"]["features.0.weight"]
    assert weight.abs().max() <= bound + 10 * rate + 1e-6  # clipped anew, or two steps would have added up


def test_began_keeps_its_balance_in_the_checkpoint_as_its_rule_says(pictures: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(KINDS["began"], diversity=0.9)
    k = 0.0
    for step in (1, 2, 3):  # one at a time: what is logged is of that step alone, rounded to five places
        train(pictures, tmp_path / "run", settings, step * 0.004)
        line = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])
        real, fake = -line["discriminator/real"], -line["discriminator/fake"]
        assert line["discriminator/loss"] == pytest.approx(real - k * fake, abs=3e-5)
        assert line["discriminator/convergence"] == pytest.approx(real + abs(0.9 * real - fake), abs=3e-5)
        k += 0.001 * (0.9 * real - fake)
        saved = state_of(tmp_path / "run")["nets"]["discriminator"]["k"].item()
        assert saved == pytest.approx(k, abs=1e-7)
        assert saved > 0


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (TINY, {"optimizer": "adam", "learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "norm": "batch"}),
        (KINDS["hinge"], {"optimizer": "adam", "norm": "spectral", "critic_steps": 1}),
        (dataclasses.replace(TINY, objective="wgan"), {"optimizer": "rmsprop", "learning_rate": 5e-5, "clip": 0.01,
                                                       "critic_steps": 5, "opening_steps": 100}),
        (WGAN, {"critic_steps": 2, "opening_steps": 2}),
        (dataclasses.replace(TINY, objective="wgan-gp"), {"learning_rate": 1e-4, "beta1": 0.0, "beta2": 0.9,
                                                          "critic_steps": 5, "norm": "layer", "penalty_weight": 10.0}),
        (dataclasses.replace(TINY, objective="wgan-gp", beta2=0.99, norm="none"), {"beta2": 0.99, "norm": "none"}),
        (dataclasses.replace(TINY, objective="cramer"), {"beta1": 0.5, "beta2": 0.9, "critic_steps": 5}),
        (KINDS["began"], {"learning_rate": 1e-4, "diversity": 0.5, "latent_dim": 64, "generator": "began"}),
        (dataclasses.replace(TINY, objective="began", generator="dcgan"), {"latent_dim": 100, "generator": "dcgan"}),
    ],
)  # fmt: skip
def test_what_the_user_leaves_open_is_what_the_objective_was_published_with(
    settings: DcganSettings, wanted: dict[str, Any]
) -> None:
    found = dataclasses.asdict(settings.training())
    found |= {"latent_dim": settings.latent_length(), "generator": settings.generator_name()}
    assert settings.problem() is None
    assert {name: found[name] for name in wanted} == wanted


def test_a_run_is_trained_as_its_story_tells(pictures: Path, tmp_path: Path) -> None:
    for name, optimizer in (("wgan", "rmsprop"), ("wgan-gp", "adam")):
        story = load_model_file(train(pictures, tmp_path / name, KINDS[name], 0.004).model).story["settings"]
        assert story["optimizer"] == optimizer
        for phase in ("discriminator", "generator"):
            (group,) = state_of(tmp_path / name)["optimizers"][phase]["param_groups"]
            assert group["lr"] == story["learning_rate"]
            assert group.get("betas", (None, None)) == (
                (story["beta1"], story["beta2"]) if optimizer == "adam" else (None, None)
            )
            assert ("alpha" in group) == (optimizer == "rmsprop")


def test_networks_follow_from_objective_and_generator(pictures: Path, tmp_path: Path) -> None:
    for name, main_kind, critic_kind in (
        ("began", BeganGenerator, BeganAutoencoder),
        ("non-saturating", BeganGenerator, DcganDiscriminator),
    ):
        model = load_model_file(train(pictures, tmp_path / name, KINDS[name], 0.004).model)
        assert type(model.main) is main_kind
        assert type(model.critic) is critic_kind


def test_a_checkpoint_from_before_there_was_a_choice_goes_on_as_it_was(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "straight", TINY, 0.008)
    train(pictures, tmp_path / "old", TINY, 0.004)
    state = state_of(tmp_path / "old")
    younger = {
        *("objective", "generator", "norm", "optimizer", "beta2", "critic_steps", "opening_steps", "clip"),
        *("penalty_weight", "diversity", "began_skip"),
    }
    assert younger < state["settings"].keys()
    state["settings"] = {name: value for name, value in state["settings"].items() if name not in younger}
    torch.save(state, tmp_path / "old/checkpoint.pt")
    with pytest.raises(UpimagineError, match="objective was 'non-saturating', now 'minimax'"):
        train(pictures, tmp_path / "old", dataclasses.replace(TINY, objective="minimax"), 0.008)
    train(pictures, tmp_path / "old", TINY, 0.008)
    assert_same_state(tmp_path / "straight", tmp_path / "old")


def test_a_began_run_may_begin_with_a_began_model(pictures: Path, tmp_path: Path) -> None:
    first = train(pictures, tmp_path / "first", KINDS["began"], 0.004)
    again = dataclasses.replace(KINDS["began"], init_from=first.model, learning_rate=1e-9)
    second = train(pictures, tmp_path / "second", again, 0.004)
    before, after = load_model_file(first.model), load_model_file(second.model)
    for old, new in zip(before.main.parameters(), after.main.parameters(), strict=True):
        torch.testing.assert_close(new, old, rtol=2e-3, atol=1e-5)  # fp16 in between
    other = dataclasses.replace(TINY, init_from=first.model)
    with pytest.raises(UpimagineError, match="does not fit"):
        train(pictures, tmp_path / "third", other, 0.004)


def test_doubling_beside_another_norm_is_refused(pictures: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "small.safetensors", "generator", DcganGenerator(64, width=12), None, {})
    twice = dataclasses.replace(TINY, size_px=128, width=6, init_from=tmp_path / "small.safetensors", objective="hinge")
    with pytest.raises(UpimagineError, match="batch norm, not with spectral"):
        train(pictures, tmp_path / "second", twice, 0.004)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--objective wgan-gp --norm batch", "batch norm couples them; choose among layer, per-sample, spectral, none"),
        ("--objective cramer --norm batch-own", "batch norm couples them"),
        ("--objective wgan --norm spectral", "undoes their clipping"),
        ("--objective began --norm layer", "its autoencoder has no normalisation"),
        ("--objective wgan-gp --gamma 1", "R1 wants none"),
        ("--objective began --gamma 1", "is an autoencoder"),
        ("--objective cramer --minibatch-spread", "must be their own"),
        ("--objective began --minibatch-spread", "sees pictures one by one"),
        ("--objective began --anchor-weight 10", "whose latents are uniform"),
        ("--generator began --max-width 32", "use --width"),
        ("--objective hinge --clip 0.01", "--clip would change nothing"),
        ("--penalty-weight 10", "--penalty-weight would change nothing"),
        ("--objective wgan --diversity 0.5", "--diversity would change nothing"),
        ("--objective wgan --beta1 0.5", "--beta1 would change nothing with --objective wgan and rmsprop"),
        ("--no-began-skip", "--no-began-skip would change nothing"),
        ("--critic-steps 0", "--critic-steps 0 cannot work"),
        ("--beta2 1", "must be at least 0 and below 1"),
        ("--objective wgan --clip 0", "--clip 0.0 cannot work"),
        ("--objective wgan-gp --penalty-weight 0", "--penalty-weight 0.0 cannot work"),
        ("--objective began --diversity 1.5", "--diversity 1.5 cannot work"),
        ("--latent-dim 0", "must be at least 1"),
    ],
)
def test_what_cannot_be_gets_one_clear_line(
    arguments: str, words: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "dcgan", "--width", "4", "--data", str(pictures), "--out", str(tmp_path / "run")]
    assert main([*command, *arguments.split()]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
