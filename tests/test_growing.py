"""The generator that grows: nothing changes in the moment of growing, and training resumes to the bit across it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from test_train import LOOP, assert_same_state

from upimagine.losses.penalties import r1_penalty
from upimagine.models.file import load_model_file
from upimagine.models.loaded import load_generator
from upimagine.nets.growing import GrowingDiscriminator, GrowingGenerator, _Down, _Up, enlarge_twice, widths_at
from upimagine.train.engine import Engine
from upimagine.train.loop import Outcome, fit
from upimagine.train.progressive import ProgressiveSettings, make_progressive_task

TINY = ProgressiveSettings(
    size_px=32, start_px=16, stage_kimg=0.012, width=4, max_width=8, latent_dim=6, gamma_every=2, warmup_kimg=0.008
)


def train(pictures: Path, run: Path, kimg: float) -> Outcome:
    task = make_progressive_task([pictures], TINY, 0, LOOP.batch, lambda path, reason: None)
    return fit(task, dataclasses.replace(LOOP, kimg=kimg), run)


def test_the_fused_steps_equal_their_two_parts() -> None:
    up, down, x = _Up(5, 7), _Down(5, 7), torch.randn(2, 5, 6, 6)
    weight, bias = up.scaled()
    plain = F.conv2d(F.interpolate(x, scale_factor=2), weight.transpose(0, 1).flip(2, 3), bias, padding=1)
    torch.testing.assert_close(up(x), plain)
    torch.testing.assert_close(down(x), F.avg_pool2d(F.conv2d(x, *down.scaled(), padding=1), 2))


def test_widths_double_towards_the_smallest_map() -> None:
    assert widths_at(128, 24, 192) == {4: 192, 8: 192, 16: 192, 32: 96, 64: 48, 128: 24}
    with pytest.raises(ValueError, match="choose one of"):
        widths_at(96, 24, 192)


def test_a_new_size_begins_with_nothing_to_add() -> None:
    generator = GrowingGenerator(64, latent_dim=8, width=4, max_width=16, start_px=16)
    latents = torch.randn(3, 8)
    small = generator(latents, until_px=16)
    assert small.shape == (3, 3, 16, 16)
    torch.testing.assert_close(generator(latents), enlarge_twice(enlarge_twice(small)))
    discriminator = GrowingDiscriminator(64, width=4, max_width=16, start_px=16).eval()
    pictures = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(discriminator(pictures), discriminator(F.avg_pool2d(pictures, 4)))


def test_only_the_direction_of_the_latent_counts() -> None:
    generator = GrowingGenerator(16, latent_dim=8, width=4, max_width=8, start_px=16).eval()
    latents = torch.randn(2, 8)
    torch.testing.assert_close(generator(latents), generator(3 * latents))
    assert generator(latents).abs().max() <= 1


def test_every_picture_is_its_own_whatever_its_batch_mates() -> None:
    generator = GrowingGenerator(32, latent_dim=8, width=4, max_width=16).eval()
    latents = torch.randn(5, 8)
    torch.testing.assert_close(generator(latents)[2:3], generator(latents[2:3]), atol=1e-4, rtol=1e-4)


def test_r1_of_a_linear_discriminator_is_its_squared_length() -> None:
    weights = torch.randn(3, 4, 4)
    pictures = torch.randn(6, 3, 4, 4, requires_grad=True)
    logits = (pictures * weights).flatten(1).sum(dim=1)
    torch.testing.assert_close(r1_penalty(logits, pictures), weights.square().sum())


def test_training_resumes_to_the_bit_in_every_stage_and_grows(pictures: Path, tmp_path: Path) -> None:
    straight = train(pictures, tmp_path / "straight", 0.024)
    for kimg in (0.008, 0.016, 0.024):  # the first stop is before growing at 0.012, the second after
        train(pictures, tmp_path / "thrice", kimg)
    assert_same_state(tmp_path / "straight", tmp_path / "thrice")
    model = load_model_file(straight.model)
    assert model.main.colours["32"].weight.abs().max() > 0, "the larger size was never trained"
    assert load_generator(straight.model, dtype="float32").generate(torch.randn(2, 6)).shape == (2, 3, 32, 32)


def test_the_size_in_training_doubles_with_every_stage(pictures: Path) -> None:
    task = make_progressive_task([pictures], TINY, 0, LOOP.batch, lambda path, reason: None)(Engine(LOOP))
    assert [task.size_at(position) for position in (0, 11, 12, 24, 10**9)] == [16, 16, 32, 32, 32]
    assert task.batch(0, 2)["real"].shape == (2, 3, 16, 16)
