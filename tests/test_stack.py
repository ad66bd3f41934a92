"""The second stage: StackGAN's layers, what it begins with, and what its pictures depend on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from upimagine.models.architectures import architecture_of
from upimagine.nets.dcgan import DcganGenerator
from upimagine.nets.pggan import PgganGenerator
from upimagine.nets.stack import SecondStage, StackGenerator

FIRST: dict[str, Any] = {"architecture": "dcgan", "config": {"size_px": 64, "latent_dim": 6, "width": 2}}


def kernels(net: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in net.parameters() if p.dim() == 4]


def test_the_layers_are_those_of_the_published_stage_two() -> None:
    """Widths and kernels of hanzhanggit/StackGAN, stageII/model.py, g = 128, ef = 4 g here: 64 px to 256 px."""
    g = 128
    residual = [(4 * g, 4 * g, 3, 3)] * 2
    up = [(4 * g, 2 * g, 3, 3), (2 * g, g, 3, 3), (g, g // 2, 3, 3), (g // 2, g // 4, 3, 3)]  # (inputs, outputs)
    wanted = [(g, 3, 3, 3), (2 * g, g, 4, 4), (4 * g, 2 * g, 4, 4), (4 * g, 8 * g, 3, 3), *residual * 4, *up]
    with torch.device("meta"):
        assert kernels(SecondStage(4, 100, width=g, blocks=4)) == [*wanted, (3, g // 4, 3, 3)]


@pytest.mark.parametrize("times", [2, 4])
def test_it_begins_with_the_small_picture_enlarged(times: int) -> None:
    torch.manual_seed(0)
    net = SecondStage(times, 6, width=4, blocks=1).eval()
    latents, small = torch.randn(2, 6), torch.rand(2, 3, 16, 16) - 0.5
    enlarged = F.interpolate(small, scale_factor=times, mode="bicubic")
    made = net(latents, small)
    assert made.shape == (2, 3, 16 * times, 16 * times)
    assert 0 < (made - enlarged).abs().mean() < 0.1
    torch.nn.init.zeros_(net.colours.weight)
    torch.testing.assert_close(net(latents, small), enlarged)


def test_it_heeds_both_the_picture_and_the_latent() -> None:
    torch.manual_seed(0)
    net = SecondStage(2, 6, width=4, blocks=1).eval()
    latents, small = torch.randn(1, 6, requires_grad=True), (torch.rand(1, 3, 16, 16) - 0.5).requires_grad_()
    (net(latents, small) - F.interpolate(small.detach(), scale_factor=2, mode="bicubic")).square().sum().backward()
    for given in (latents, small):
        assert given.grad is not None
        assert given.grad.abs().max() > 0


def test_a_stack_is_its_two_stages_and_no_picture_depends_on_its_batch_mates() -> None:
    torch.manual_seed(0)
    stack = StackGenerator(FIRST, 128, width=4, blocks=1).eval()
    latents = torch.randn(3, 6)
    together = stack(latents)
    assert together.shape == (3, 3, 128, 128)
    torch.testing.assert_close(together, torch.cat([stack(row[None]) for row in latents]), atol=1e-5, rtol=0)
    torch.testing.assert_close(together, stack.second(latents, stack.first(latents)))
    assert not stack.truncates


def test_a_stack_may_stand_on_a_stack_and_says_how_to_build_it_again() -> None:
    lower = StackGenerator(FIRST, 128, width=2, blocks=0)
    name, config = architecture_of(lower)
    upper = StackGenerator({"architecture": name, "config": config}, 256, width=2, blocks=0)
    again = StackGenerator(**architecture_of(upper)[1])
    again.load_state_dict(upper.state_dict())
    latents = torch.randn(1, 6)
    assert torch.equal(again.eval()(latents), upper.eval()(latents))


def test_truncation_reaches_the_first_stage() -> None:
    torch.manual_seed(0)
    pggan = PgganGenerator(32, 16, 256, 16)
    name, config = architecture_of(pggan)
    stack = StackGenerator({"architecture": name, "config": config}, 64, width=4, blocks=1).eval()
    assert stack.truncates
    latents = torch.randn(1, stack.latent_dim)
    wanted = stack.second(latents, stack.first.truncated(latents, 0.3))
    assert torch.equal(stack.truncated(latents, 0.3), wanted)
    assert not torch.equal(wanted, stack(latents))


@pytest.mark.parametrize(
    ("first", "size_px", "said"),
    [
        ({"architecture": "jnet", "config": {}}, 128, "no first stage"),
        ({"architecture": "dcgan"}, 128, "no first stage"),
        (FIRST, 512, "x2 or x4"),
        ({"architecture": "stack", "config": {"first": FIRST, "size_px": 1024}}, 2048, "up to 1024"),
        ({"architecture": "pggan", "config": {"size_px": 8}}, 16, "16 px or more"),
        ({"architecture": "dcgan", "config": {"size_px": "64"}}, 128, "16 px or more"),
    ],
)
def test_what_cannot_be_stacked_is_refused_before_it_is_built(first: dict[str, Any], size_px: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StackGenerator(first, size_px)


def test_other_enlargements_are_refused() -> None:
    with pytest.raises(ValueError, match="x3"):
        SecondStage(3, 6)


def test_a_stage_in_training_mode_gives_gradients_to_all_its_weights() -> None:
    torch.manual_seed(0)
    net = SecondStage(4, 6, width=4, blocks=1)
    first = DcganGenerator(64, 6, width=2).eval()
    latents = torch.randn(2, 6)
    with torch.no_grad():
        small = first(latents)
    net(latents, small).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters() if p.dim() > 1)
