"""FastGAN: its layer table, its gates, pictures that depend on their latents alone, training resumed to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from test_train import LOOP, assert_same_state
from torch import Tensor, nn

from upimagine import pixels
from upimagine.make.machine import settle
from upimagine.make.sampling import make_one, sample
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import load_generator
from upimagine.nets.dcgan import calibrate_batch_norm
from upimagine.nets.fastgan import (
    SIZES_PX,
    FastganDiscriminator,
    FastganGenerator,
    SkipExcitation,
    UpConv,
    _Noise,
    crop_each,
)
from upimagine.nets.vgg import Vgg16Features
from upimagine.train.ada import Ada
from upimagine.train.engine import Engine
from upimagine.train.fastgan import FastganSettings, FastganTask, make_fastgan_task
from upimagine.train.loop import Outcome, fit

TINY = FastganSettings(size_px=64, width=2, latent_dim=6)


def train(pictures: Path, run: Path, kimg: float, settings: FastganSettings = TINY) -> Outcome:
    task = make_fastgan_task([pictures], settings, 0, lambda path, reason: None)
    return fit(task, dataclasses.replace(LOOP, kimg=kimg), run)


def make_task(pictures: Path, settings: FastganSettings = TINY) -> FastganTask:
    torch.manual_seed(0)
    return make_fastgan_task([pictures], settings, 0, lambda path, reason: None)(Engine(LOOP))


def noisy_generator(size_px: int = 64) -> FastganGenerator:
    """A toy one in evaluation mode, in which noise counts."""
    torch.manual_seed(1)
    generator = FastganGenerator(size_px, latent_dim=6, width=4)
    for module in generator.modules():
        if isinstance(module, _Noise):
            nn.init.constant_(module.strength, 0.05)
    calibrate_batch_norm(generator, [torch.randn(32, 6)])
    return generator.eval()


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_generator_has_the_parameters_of_the_layer_table() -> None:
    by_hand = (
        (256 * 2048 * 16 + 4096)  # 4: 1024 channels, twice for the gate; batch norm has two numbers a channel
        + (1024 * 1024 * 9 + 2048 + 512 * 1024 * 9 + 2048 + 2)  # 8: 512 channels, two convolutions, two noises
        + (512 * 512 * 9 + 1024)  # 16: 256
        + (256 * 256 * 9 + 512 + 128 * 256 * 9 + 512 + 2)  # 32: 128, two
        + (128 * 256 * 9 + 512)  # 64: 128
        + (128 * 128 * 9 + 256 + 64 * 128 * 9 + 256 + 2)  # 128: 64, two
        + (64 * 64 * 9 + 128)  # 256: 32
        + (1024 * 128 * 16 + 128 * 128)  # 4 gates 64
        + (512 * 64 * 16 + 64 * 64)  # 8 gates 128
        + (256 * 32 * 16 + 32 * 32)  # 16 gates 256
        + 32 * 3 * 9
    )
    assert by_hand == 29_127_654
    with torch.device("meta"):
        assert parameters(FastganGenerator(256, 256, 64)) == by_hand
        # 512 px: 16 channels, two convolutions with noise, a gate from 32, colours from 16 channels instead of 32
        more = (32 * 32 * 9 + 64 + 16 * 32 * 9 + 64 + 2) + (128 * 16 * 16 + 16 * 16) - 16 * 3 * 9
        assert parameters(FastganGenerator(512, 256, 64)) == by_hand + more


def test_the_discriminator_has_the_parameters_of_the_layer_table() -> None:
    def down(inputs: int, outputs: int) -> int:
        return inputs * outputs * (16 + 1) + outputs**2 * 9 + 3 * 2 * outputs

    whole = (512 * 256 * 9 + 512) + (128 * 128 * 9 + 256) + (64 * 128 * 9 + 256) + (64 * 64 * 9 + 128) + 32 * 27
    part = (256 * 256 * 9 + 512) + (128 * 128 * 9 + 256) + (64 * 128 * 9 + 256) + 64 * 27  # up to 64 px
    head = 512 * 1024 + 2048 + 1024 * 16
    body = 3 * 32 * 9 + down(32, 64) + down(64, 128) + down(128, 256) + down(256, 512)
    with torch.device("meta"):
        assert parameters(FastganDiscriminator(128, 64)) == body + head + whole + part


@pytest.mark.parametrize("size_px", SIZES_PX)
def test_shapes_and_ranges(size_px: int) -> None:
    torch.manual_seed(0)
    generator = FastganGenerator(size_px, latent_dim=6, width=4, max_width=16).eval()
    discriminator = FastganDiscriminator(size_px, width=4, max_width=16).eval()
    made = generator(torch.randn(2, 6))
    assert made.shape == (2, 3, size_px, size_px)
    assert made.abs().max() <= 1
    assert set(generator.excite) == {str(extent) for extent in (64, 128, 256, 512) if extent <= size_px}
    logits, whole, part = discriminator.judge_and_rebuild(made, [(0, 8), (3, 5)])
    assert logits.shape == (2, 1, 5, 5)
    torch.testing.assert_close(logits, discriminator(made))
    assert whole.shape == (2, 3, min(size_px, 128), min(size_px, 128))
    assert part.shape == (2, 3, min(size_px // 2, 128), min(size_px // 2, 128))


def test_other_sizes_are_refused() -> None:
    for kind in (FastganGenerator, FastganDiscriminator):
        with pytest.raises(ValueError, match="96 px is not defined"):
            kind(96)
    with pytest.raises(ValueError, match=r"latents has shape \(2, 5\)"):
        FastganGenerator(64, latent_dim=6, width=2)(torch.zeros(2, 5))


def test_the_fused_enlargement_equals_its_two_parts() -> None:
    layer, x = UpConv(5, 7), torch.randn(2, 5, 6, 6)
    plain = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight.transpose(0, 1).flip(2, 3), padding=1)
    torch.testing.assert_close(layer(x), plain)


def test_a_gate_of_one_leaves_a_channel_and_a_gate_of_zero_takes_it_away() -> None:
    excitation = SkipExcitation(3, 4)
    small, large = torch.rand(2, 3, 8, 8) + 0.5, torch.randn(2, 4, 32, 32)
    _, first, _, second, _ = excitation.gate
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    nn.init.ones_(first.weight)
    with torch.no_grad():
        second.weight.copy_(torch.tensor([10.0, -10.0, 0.0, 10.0]).view(4, 1, 1, 1).expand(4, 4, 1, 1))
    gated = excitation(small, large)
    assert torch.equal(gated[:, 0], large[:, 0])
    assert torch.equal(gated[:, 1], torch.zeros_like(large[:, 1]))
    assert torch.equal(gated[:, 2], large[:, 2] / 2)
    assert torch.equal(gated[:, 3], large[:, 3])


def test_a_generator_whose_last_gate_is_shut_makes_grey() -> None:
    generator = noisy_generator()
    latents = torch.randn(2, 6)
    assert generator(latents).std() > 0
    gate = generator.excite["64"]
    assert isinstance(gate, SkipExcitation)
    gate.gate[4] = nn.Threshold(torch.inf, 0.0)  # whatever comes: 0
    assert torch.equal(generator(latents), torch.zeros(2, 3, 64, 64))


def test_a_picture_depends_on_its_latent_alone() -> None:
    generator, latents = noisy_generator(), torch.randn(5, 6)
    torch.manual_seed(2)
    together = generator(latents)
    torch.manual_seed(3)
    assert torch.equal(generator(latents), together)
    torch.testing.assert_close(generator(latents[2:3]), together[2:3], rtol=0, atol=1e-5)
    assert (together[0] - together[1]).std() > 0.1 * together.std()
    generator.train()
    assert not torch.equal(generator(latents), generator(latents)), "no fresh noise in training"


def test_calibrated_statistics_are_those_of_the_noise_that_pictures_are_made_with() -> None:
    generator, latents = noisy_generator(), torch.randn(16, 6)
    calibrate_batch_norm(generator, [latents])
    assert not generator.training
    seen: list[Tensor] = []
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(lambda module, given, out: seen.append(out - module.bias[:, None, None]))
    generator(latents)
    assert len(seen) == len(norms) == 7
    for out in seen:
        torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(out.shape[1]), rtol=0, atol=1e-3)


def test_windows_are_cut_where_their_corners_say() -> None:
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    maps = torch.stack((y, x))[None].repeat(3, 1, 1, 1)
    cut = crop_each(maps, [(0, 0), (8, 0), (3, 7)], 8)
    assert cut.shape == (3, 2, 8, 8)
    assert cut[:, :, 0, 0].tolist() == [[0, 0], [8, 0], [3, 7]]
    assert cut[:, :, 7, 7].tolist() == [[7, 7], [15, 7], [10, 14]]


def test_a_part_is_painted_from_the_quarter_that_it_is_compared_with(pictures: Path) -> None:
    task = make_task(pictures)
    discriminator = task.nets["discriminator"].eval()
    assert isinstance(discriminator, FastganDiscriminator)
    shown = torch.randn(2, 3, 64, 64, requires_grad=True)
    corners = [(0, 8), (8, 4)]
    discriminator.judge_and_rebuild(shown, corners)[2].square().sum().backward()
    assert shown.grad is not None
    seen = shown.grad.abs().sum(dim=1)
    assert (seen[0, :32, 32:] > 0).all()
    assert (seen[1, 32:, 16:48] > 0).all()
    assert seen[0, 48:].max() == seen[0, :, :16].max() == seen[1, :16].max() == 0  # 16 px beyond: out of sight
    assert torch.equal(task._parts(shown, corners)[0], shown[0, :, :32, 32:])
    assert torch.equal(task._parts(shown, corners)[1], shown[1, :, 32:, 16:48])


def test_gradients_reach_every_parameter(pictures: Path) -> None:
    task = make_task(pictures)
    batch = task.batch(0, 8)
    made = task.forward(batch, 0)
    for phase in task.phases:
        loss, _ = task.loss(phase.name, batch, made, 0)
        loss.backward()
        for name, parameter in task.nets[phase.name].named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name
        task.nets["discriminator"].requires_grad_(False)


def test_the_discriminator_learns_to_paint_what_it_is_shown(pictures: Path) -> None:
    settings = dataclasses.replace(TINY, width=8, augment=(), learning_rate=2e-3)
    task = make_task(pictures, settings)
    batch = task.batch(0, 8)
    rebuilt = []
    for _ in range(25):
        loss, numbers = task.loss("discriminator", batch, {"fake": -batch["real"]}, 0)
        task.phases[0].optimizer.zero_grad()
        loss.backward()
        task.phases[0].optimizer.step()
        rebuilt.append(numbers["rebuilt"].item())
    assert rebuilt[-1] < 0.7 * rebuilt[0], rebuilt


def test_what_was_painted_may_be_compared_by_features(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(Vgg16Features().half().state_dict(), tmp_path / "vgg.safetensors")
    numbers = {}
    for perceptual in (None, tmp_path / "vgg.safetensors"):
        task = make_task(pictures, dataclasses.replace(TINY, perceptual=perceptual))
        batch = task.batch(0, 2)
        loss, plotted = task.loss("discriminator", batch, {"fake": -batch["real"]}, 0)
        torch.testing.assert_close(loss, plotted["loss"] + plotted["rebuilt"])
        numbers[perceptual] = plotted["rebuilt"].item()
    assert len(set(numbers.values())) == 2
    assert task.settings()["perceptual"] == "vgg.safetensors", "a path tells of its maker's folders"


@pytest.mark.parametrize(
    "varied",
    [
        {},
        {"coarse_weight": 10.0},
        {"anchor_weight": 10.0},
        {"ada": True, "hold_out": 0.3, "gamma": 1.0, "gamma_every": 3},
    ],
)
def test_training_resumes_to_the_bit_and_its_model_makes_pictures(
    pictures: Path, tmp_path: Path, varied: dict[str, Any]
) -> None:
    settings = dataclasses.replace(TINY, **varied)
    straight = train(pictures, tmp_path / "straight", 0.016, settings)
    for kimg in (0.008, 0.016):
        train(pictures, tmp_path / "twice", kimg, settings)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    twice = tmp_path / "twice/model.safetensors"
    for one, other in zip(
        load_model_file(straight.model).main.state_dict().values(),
        load_model_file(twice).main.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(one, other)
    preview = pixels.read(sorted((tmp_path / "straight").glob("preview-*.jpg"))[-1]).pixels
    assert preview.shape == (3, 6 * 64, 8 * 64)
    candidates = sample(str(straight.model), 3, machine=settle(device="cpu", dtype="float32"))
    assert candidates.pictures.shape == (3, 3, 64, 64)
    assert "realism" in candidates.scores
    alone = make_one(load_generator(straight.model, "cpu", "float32"), candidates.latents[1])
    torch.testing.assert_close(alone[0], candidates.pictures[1], rtol=0, atol=1e-5)


def test_ada_counts_pictures_not_patches_and_r1_and_the_gauge_are_plotted(pictures: Path) -> None:
    settings = dataclasses.replace(TINY, ada=True, ada_target=-0.9, ada_kimg=0.1, hold_out=0.25, gamma=2.0)
    task = make_task(pictures, settings)
    assert (task.settings()["pictures"], task.settings()["held_out"]) == (9, 3)
    ada = task.nets["ada"]
    assert isinstance(ada, Ada)
    for step in range(4):
        batch = task.batch(step * 8, 8)
        loss, plotted = task.loss("discriminator", batch, task.forward(batch, step), step)
        assert ("r1" in plotted) == (step == 0)
        assert ("overfitting" in plotted) == (step == 0)
        if step == 0:
            held = loss - plotted["rebuilt"] - plotted["loss"]
            torch.testing.assert_close(held, 8 * 2.0 / 2 * plotted["r1"], rtol=1e-4, atol=1e-5)
    assert ada.chance == pytest.approx(32 / 100)  # 4 batches of 8 pictures, each of which has 25 logits


def test_a_run_may_begin_with_a_model(pictures: Path, tmp_path: Path) -> None:
    first = train(pictures, tmp_path / "first", 0.004)
    settings = dataclasses.replace(TINY, init_from=first.model, learning_rate=1e-9)
    second = train(pictures, tmp_path / "second", 0.004, settings)
    before, after = load_model_file(first.model), load_model_file(second.model)
    assert before.critic is not None
    assert after.critic is not None
    for old, new in ((before.main, after.main), (before.critic, after.critic)):
        for one, other in zip(old.parameters(), new.parameters(), strict=True):
            torch.testing.assert_close(other, one, rtol=2e-3, atol=1e-5)  # fp16 in between
    assert after.story["begun_from"]["kimg"] == 0.004


def test_stretched_latents_are_not_brought_back_by_the_statistics_of_a_saved_model(
    pictures: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(TINY, anchor_weight=10.0)
    plain, stretched = (make_task(pictures, dataclasses.replace(settings, anchor_stretch=each)) for each in (1.0, 2.0))
    stretched.nets["generator"].load_state_dict(plain.nets["generator"].state_dict())
    saved = []
    for number, task in enumerate((plain, stretched)):
        task.save_model(tmp_path / f"{number}.safetensors", task.nets["generator"], {})
        saved.append(load_model_file(tmp_path / f"{number}.safetensors").main.eval())
    for name, tensor in saved[0].state_dict().items():
        torch.testing.assert_close(saved[1].state_dict()[name], tensor)
    latents = torch.randn(4, TINY.latent_dim)
    one, two = (net.first[0](net.recall(latents)[:, :, None, None]) for net in saved)
    torch.testing.assert_close(two, 2 * one)


def test_a_saved_model_makes_the_same_pictures(tmp_path: Path) -> None:
    generator, discriminator = noisy_generator(), FastganDiscriminator(64, width=4).eval()
    latents = torch.randn(3, 6)
    made = generator(latents)
    save_model(tmp_path / "m.safetensors", "generator", generator, discriminator, {}, half=False)
    back = load_model_file(tmp_path / "m.safetensors")
    assert back.role == "generator"
    assert torch.equal(back.main(latents), made)
    assert back.critic is not None
    assert torch.equal(back.critic(made), discriminator(made))
    save_model(tmp_path / "half.safetensors", "generator", generator, discriminator, {})
    half = load_generator(tmp_path / "half.safetensors", "cpu", "float32")
    assert (half.generate(latents) - made).abs().max() < 2 / 255
