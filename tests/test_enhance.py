"""EnhanceGAN: layer tables, the chain, its three stages, and the model as an upscaler."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from conftest import draw_pictures
from torch import nn

from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file
from upimagine.models.loaded import load_upscaler
from upimagine.nets.enhance import Autoencoder, CodeDiscriminator, EnhanceGan, PictureDiscriminator, Refiner
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.engine import Engine
from upimagine.train.enhance import EnhanceSettings, EnhanceTask, make_enhance_task
from upimagine.train.loop import fit
from upimagine.train.settings import LoopSettings

TINY = EnhanceSettings(width=4, code_dim=8)
LOOP = LoopSettings(
    kimg=0.024, batch=4, precision="float32", device="cpu", threads=1, tick_kimg=0.008, preview_kimg=0.012
)


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameters_by_hand() -> None:
    decoder = (
        (128 * 8192 + 1024) + (512 * 256 * 16 + 512) + (256 * 128 * 16 + 256) + (128 * 64 * 16 + 128) + 64 * 27 + 3
    )
    a = (3 * 64 * 9 + 128) + (64 * 128 * 16 + 256) + (128 * 256 * 16 + 512) + (256 * 4 * 128 + 128)
    b = (3 * 64 * 16 + 128) + (64 * 128 * 16 + 256) + (128 * 256 * 16 + 512) + (256 * 16 * 128 + 128)
    c = (3 * 64 * 9 + 64) + 12 * (64 * 64 * 9 + 64) + (64 * 3 * 9 + 3)
    assert (count(Autoencoder(8, 32)), count(Autoencoder(32, 32)), count(Refiner())) == (a + decoder, b + decoder, c)
    assert count(CodeDiscriminator()) == (128 * 512 + 512) + (512 * 512 + 512) + 513
    assert count(PictureDiscriminator()) == 3 * 64 * 16 + 64 + (64 * 128 * 16 + 256) + (128 * 256 * 16 + 512) + 4097


@pytest.mark.parametrize("low_px", [4, 8, 16, 32])
def test_shapes_and_range_at_every_size(low_px: int) -> None:
    chain = EnhanceGan(low_px, width=2, code_dim=5).eval()
    made = chain.enhance(torch.randn(3, 3, low_px, low_px).clamp(-1, 1))
    assert [picture.shape for picture in made.pictures] == [(3, 3, 4 * low_px, 4 * low_px)] * 3
    assert [code.shape for code in made.codes] == [(3, 5)] * 2
    assert all(picture.abs().max() <= 1 for picture in made.pictures)
    assert PictureDiscriminator(4 * low_px, 2)(made.pictures[0]).shape == (3,)


def test_a_new_refiner_changes_nothing() -> None:
    chain = EnhanceGan(8, width=3, code_dim=4).eval()
    made = chain.enhance(torch.randn(2, 3, 8, 8).clamp(-1, 1))
    assert torch.equal(made.pictures[2], made.pictures[1])


def test_a_new_decoder_draws_no_chequerboard() -> None:
    torch.manual_seed(0)
    deconvolutions = [layer for layer in Autoencoder(8, 32, 4, 8).decoder if isinstance(layer, nn.ConvTranspose2d)]
    assert len(deconvolutions) == 3
    for layer in deconvolutions:
        even = layer(torch.randn(1, layer.in_channels, 1, 1).expand(-1, -1, 6, 6))[:, :, 2:-2, 2:-2]
        torch.testing.assert_close(even, even[:, :, :1, :1].expand_as(even))
        assert layer(torch.randn(1, layer.in_channels, 6, 6)).std() > 0.1, "and yet it does something"


def test_a_frozen_model_keeps_its_weights_and_its_statistics() -> None:
    chain = EnhanceGan(8, width=3, code_dim=4, stages="ab")
    chain.frozen = ("a",)
    chain.train()
    before = {name: value.clone() for name, value in chain.a.state_dict().items()}
    made = chain.enhance(torch.randn(4, 3, 8, 8).clamp(-1, 1))
    made.pictures[-1].square().sum().backward()
    assert all(parameter.grad is None for parameter in chain.a.parameters())
    assert chain.b is not None
    assert all(parameter.grad is not None for parameter in chain.b.parameters())
    for name, value in chain.a.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("faces"), 6, 48)


@pytest.fixture(scope="module")
def chain(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of every stage, each begun with the one before."""
    folder = tmp_path_factory.mktemp("chain")
    models: dict[str, Path] = {}
    before: Path | None = None
    for stage in ("a", "b", "c", "joint"):
        settings = dataclasses.replace(TINY, stage=stage, init_from=before)
        before = train(faces, folder / stage, settings)
        models[stage] = before
    return models


def train(faces: Path, run: Path, settings: EnhanceSettings, loop: LoopSettings = LOOP) -> Path:
    return fit(make_enhance_task([faces], settings, loop.seed, lambda path, reason: None), loop, run).model


def parts(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {name: part.state_dict() for name, part in load_model_file(path).main.named_children()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_each_stage_trains_its_own_model_alone(chain: dict[str, Path]) -> None:
    a, b, c, joint = (parts(chain[stage]) for stage in ("a", "b", "c", "joint"))
    assert (list(a), list(b), list(c)) == (["a"], ["a", "b"], ["a", "b", "c"])
    assert equal(a["a"], b["a"])
    assert equal(b["a"], c["a"])
    assert equal(b["b"], c["b"])
    assert not any(equal(c[name], joint[name]) for name in "abc"), "the joint stage trains all three"


def test_the_joint_stage_is_gentle_to_what_was_begun_before_and_may_have_an_adversary(
    faces: Path, chain: dict[str, Path]
) -> None:
    def begun(**changes: object) -> EnhanceTask:
        settings = dataclasses.replace(TINY, stage="joint", init_from=chain["b"], **changes)  # type: ignore[arg-type]
        return make_enhance_task([faces], settings, 0, lambda path, reason: None)(Engine(LOOP))

    task = begun()
    rates = [group["lr"] for group in task.phases[-1].optimizer.param_groups]
    assert rates == pytest.approx([2e-5, 2e-5, 2e-4]), "C is new"
    assert "discriminator" not in task.nets, "as in the post"
    task = begun(joint_gan_weight=0.1)
    assert [phase.name for phase in task.phases] == ["code_a", "code_b", "discriminator", "generator"]
    batch = task.batch(0, 4)
    assert "adversarial" in task.loss("generator", batch, task.forward(batch, 0), 0)[1]


def test_a_model_is_an_upscaler_of_four(chain: dict[str, Path]) -> None:
    upscaler = load_upscaler(chain["joint"], "cpu", "float32")
    assert (upscaler.scale, upscaler.window_px, upscaler.guide_channels, upscaler.critic) == (4, 8, 0, None)
    tiles = torch.randn(5, 3, 8, 8).clamp(-1, 1)
    made = upscaler.upscale(tiles)
    assert made.shape == (5, 3, 32, 32)
    torch.testing.assert_close(made[2:3], upscaler.upscale(tiles[2:3]))


@pytest.mark.parametrize("stage", ["a", "joint"])
def test_a_stop_on_the_way_changes_nothing(faces: Path, chain: dict[str, Path], tmp_path: Path, stage: str) -> None:
    settings = dataclasses.replace(TINY, stage=stage, init_from=None if stage == "a" else chain["c"])  # type: ignore[arg-type]
    train(faces, tmp_path / "whole", settings)
    train(faces, tmp_path / "halves", settings, dataclasses.replace(LOOP, kimg=0.012))
    train(faces, tmp_path / "halves", settings)
    one, other = load_checkpoint(tmp_path / "whole"), load_checkpoint(tmp_path / "halves")
    assert one is not None
    assert other is not None
    assert one["nets"].keys() >= ({"generator", "code_a", "discriminator"} if stage == "a" else {"code_a", "code_b"})
    for name, net in one["nets"].items():
        assert equal(net, other["nets"][name]), name
    assert equal(one["average"], other["average"])


def test_what_does_not_fit_is_refused(faces: Path, chain: dict[str, Path], tmp_path: Path) -> None:
    for changes, told in [
        ({"stage": "b"}, "--init-from"),
        ({"stage": "b", "freeze": ("b",), "init_from": chain["a"]}, "nothing to train"),
        ({"low_px": 7}, "--low-px 7"),
        ({"freeze": ("d",)}, "among a, b and c"),
        ({"pixel_weight": -1.0}, "0 or more"),
        ({"stage": "joint", "init_from": chain["a"]}, "no model B"),
        ({"stage": "b", "init_from": chain["a"], "width": 5}, "--width 4"),
    ]:
        with pytest.raises(UpimagineError, match=told):
            train(faces, tmp_path / "run", dataclasses.replace(TINY, **changes))  # type: ignore[arg-type]


def test_enlarge_takes_the_model(chain: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = draw_pictures(tmp_path / "tiny", 1, 16)
    picture = next(tiny.iterdir())
    out = tmp_path / "out.png"
    assert main(["enlarge", str(picture), "--with", str(chain["joint"]), "--to", "64", "-o", str(out)]) == 0
    assert out.exists()
