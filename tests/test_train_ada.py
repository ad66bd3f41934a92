"""ADA: what its changes do, how often, and how their chance is steered."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_train import LOOP, TINY, assert_same_state
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.losses.penalties import r1_penalty
from upimagine.train import ada_pipe
from upimagine.train.ada import Ada
from upimagine.train.ada_pipe import ada_augment, draw_colours, draw_geometry, recolour
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.dcgan import make_dcgan_task
from upimagine.train.loop import fit
from upimagine.train.symlet import symlet
from upimagine.train.warp import warp

CPU = torch.device("cpu")


def waves(height: int = 32, width: int = 32) -> Tensor:
    """(1, 3, H, W): smooth, and alike in no two directions."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    channels = [torch.sin(x / 5 + phase) * 0.5 + torch.cos(y / 7 - phase) * 0.4 for phase in (0.0, 0.7, 1.9)]
    return torch.stack(channels)[None]


def inside(pictures: Tensor) -> Tensor:
    """Without the edges, where what is reflected comes in."""
    return pictures[..., 6:-6, 6:-6]


def number(value: float) -> Tensor:
    return torch.tensor([float(value)])


def test_the_filter_is_sym6() -> None:
    taps = symlet(6)
    for shift in range(6):
        assert (taps[2 * shift :] * taps[: 12 - 2 * shift]).sum() == pytest.approx(float(shift == 0), abs=1e-12)
    signs = (-1.0) ** np.arange(12)
    for moment in range(6):  # the high-pass partner sees no polynomial below degree 6
        assert (taps * signs * np.arange(12) ** moment).sum() == pytest.approx(0, abs=1e-5)
    # stylegan2-ada, training/augment.py, to nine places
    assert taps[[0, 5, 11]] == pytest.approx([0.015404109, 0.787641141, -0.007800708], abs=1e-9)
    assert symlet(2) == pytest.approx([0.482962913, 0.836516304, 0.224143868, -0.129409523])  # Daubechies' D4


def test_what_is_not_warped_comes_back() -> None:
    noise = torch.randn(2, 3, 24, 20)
    torch.testing.assert_close(warp(noise, torch.eye(3).repeat(2, 1, 1)), noise, atol=5e-5, rtol=0)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (ada_pipe.scaled(number(-1), number(1)), lambda x: x.flip(3)),
        (ada_pipe.turned(number(math.pi / 2)), lambda x: x.rot90(1, (2, 3))),
        (ada_pipe.turned(number(math.pi)), lambda x: x.rot90(2, (2, 3))),
        (ada_pipe.shifted(number(3), number(-2)), lambda x: x.roll((-2, 3), (2, 3))),
    ],
    ids=["flip", "quarter turn", "half turn", "shift"],
)
def test_flips_turns_and_shifts_move_pixels(matrix: Tensor, expected: Callable[[Tensor], Tensor]) -> None:
    torch.testing.assert_close(inside(warp(waves(), matrix)), inside(expected(waves())), atol=4e-3, rtol=0)


def test_scales_and_turns_by_any_angle_go_where_they_should() -> None:
    y, x = torch.meshgrid(torch.arange(40.0) - 19.5, torch.arange(40.0) - 19.5, indexing="ij")

    def blob(to_x: float, to_y: float, size: float) -> Tensor:
        return torch.exp(-((x - to_x) ** 2 + (y - to_y) ** 2) / (2 * size**2)).expand(1, 3, -1, -1)

    larger = warp(blob(5, -3, 2), ada_pipe.scaled(number(1.5), number(1.5)))
    torch.testing.assert_close(larger, blob(7.5, -4.5, 3), atol=0.02, rtol=0)
    turned = warp(blob(8, 0, 3), ada_pipe.turned(number(math.pi / 6)))  # counterclockwise, y being down
    expected = blob(8 * math.cos(math.pi / 6), -4, 3)
    torch.testing.assert_close(inside(turned), inside(expected), atol=0.02, rtol=0)


def test_what_comes_in_from_outside_is_reflected() -> None:
    ramp = torch.arange(32.0).expand(1, 3, 32, 32)
    right = warp(ramp, ada_pipe.shifted(number(10), number(0)))[0, 0, 16]
    assert right[10:26] == pytest.approx((ramp[0, 0, 16, :16]).tolist(), abs=0.1)
    assert right[:10] == pytest.approx([10 - i for i in range(10)], abs=0.1)
    far = warp(ramp, ada_pipe.scaled(number(0.1), number(0.1)))
    assert (far > 5).any()
    assert (far >= -1).all()
    assert (far <= 32).all()


def test_shrinking_makes_no_false_patterns() -> None:
    stripes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 3, 32, 32)  # one pixel light, one dark
    shrunk = warp(stripes, ada_pipe.scaled(number(0.7), number(0.7)))
    assert shrunk.abs().mean() < 0.15


def test_colours_change_as_they_should() -> None:
    picture = torch.rand(1, 3, 8, 8) * 2 - 1
    grey = torch.linspace(-1, 1, 16).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    close = torch.testing.assert_close
    close(recolour(picture, ada_pipe.brightened(number(0.25))), picture + 0.25)
    close(recolour(picture, ada_pipe.contrasted(number(3))), picture * 3)
    flipped = recolour(picture, ada_pipe.luma_flipped(number(1)))
    close(flipped.mean(1), -picture.mean(1))
    close(flipped - flipped.mean(1, True), picture - picture.mean(1, True))
    close(recolour(grey, ada_pipe.luma_flipped(number(1))), -grey)
    third = recolour(picture, ada_pipe.hue_turned(number(2 * math.pi / 3)))
    close(third, picture[:, [2, 0, 1]])  # red is where green was
    close(recolour(picture, ada_pipe.hue_turned(number(2 * math.pi))), picture)
    for change in (ada_pipe.hue_turned(number(1.0)), ada_pipe.saturated(number(2.5))):
        close(recolour(grey, change), grey)
        close(recolour(picture, change).mean(1), picture.mean(1))
    close(recolour(picture, ada_pipe.saturated(number(0))), picture.mean(1, True).expand_as(picture))


def test_without_a_chance_nothing_happens_to_the_bit() -> None:
    pictures = torch.randn(6, 3, 16, 16)
    assert torch.equal(ada_augment(pictures, 0.0), pictures)
    some = ada_augment(pictures, 0.02)
    assert sum(torch.equal(one, other) for one, other in zip(some, pictures, strict=True)) >= 3


def test_changes_happen_as_often_and_as_strongly_as_published() -> None:
    torch.manual_seed(0)
    count, chance = 40_000, 0.3
    left = 1 - chance
    for matrices, untouched in (
        # Mirroring, a quarter turn and the luma flip draw "nothing" among their choices.
        (draw_geometry(count, chance, 256, 256, CPU), (1 - chance / 2) * (1 - chance * 3 / 4) * left**5),
        (draw_colours(count, chance, CPU), (1 - chance / 2) * left**4),
    ):
        alike = (matrices == torch.eye(matrices.shape[1])).flatten(1).all(dim=1).float().mean()
        assert float(alike) == pytest.approx(untouched, abs=0.01)
    geometry, colours = draw_geometry(count, 1.0, 256, 256, CPU), draw_colours(count, 1.0, CPU)
    areas, volumes = torch.linalg.det(geometry[:, :2, :2]), torch.linalg.det(colours[:, :3, :3])
    for values, deviation in ((areas, 2 * 0.2), (volumes, math.hypot(3 * 0.5, 2 * 1.0))):
        assert float((values < 0).float().mean()) == pytest.approx(0.5, abs=0.01)
        assert float(values.abs().log2().std()) == pytest.approx(deviation, rel=0.02)
        assert float(values.abs().log2().mean()) == pytest.approx(0, abs=0.05)


def test_gradients_flow_once_and_twice() -> None:
    torch.manual_seed(1)
    pictures = torch.randn(2, 1, 8, 9, dtype=torch.float64, requires_grad=True)
    inverse = draw_geometry(2, 1.0, 8, 9, CPU).double()
    assert torch.autograd.gradcheck(lambda x: warp(x, inverse), pictures)
    assert torch.autograd.gradgradcheck(lambda x: warp(x, inverse).pow(3), pictures)


def test_r1_sees_through_the_changes() -> None:
    """With everything linear, the gradient is the transpose of the changes: its square has a known derivative."""
    torch.manual_seed(2)
    pictures, weight = torch.randn(3, 3, 12, 12, requires_grad=True), torch.randn(3, 12, 12, requires_grad=True)
    penalty = r1_penalty((ada_augment(pictures, 1.0) * weight).sum(dim=(1, 2, 3)), pictures)
    (gradient,) = torch.autograd.grad(penalty, weight)
    value = float(penalty.detach())
    assert float((gradient * weight.detach()).sum()) == pytest.approx(2 * value, rel=1e-4)  # Euler: of degree 2
    assert value > 0


def steered(logits: list[Tensor], target: float = 0.6, speed: int = 500_000) -> Ada:
    ada = Ada(target, speed)
    for batch in logits:
        ada.heed(batch)
    return ada


def test_from_nothing_to_everything_in_500_000_pictures() -> None:
    """320 pictures a batch are 1,562.5 batches; steps come every four, so 1,560 are not enough and 1,564 are."""
    sure = torch.ones(320, 1, 1, 1)
    almost = steered([sure] * 1_563)
    assert almost.chance == 1_560 * 320 / 500_000 < 1
    almost.heed(sure)
    assert almost.chance == 1
    for _ in range(8):
        almost.heed(sure)
    assert almost.chance == 1  # so that it need not come back from beyond
    assert steered([sure] * 3).chance == 0
    assert steered([sure] * 4).chance == 1_280 / 500_000
    assert steered([sure] * 4, speed=100_000).chance == 1_280 / 100_000


def test_the_chance_follows_the_mean_sign_of_four_batches() -> None:
    def batch(positive: int) -> Tensor:
        return torch.cat((torch.full((positive,), 0.01), torch.full((10 - positive,), -9.0)))

    assert steered([batch(8)] * 4).chance == 0  # r_t is 0.6: exactly on target
    assert steered([batch(8)] * 3 + [batch(9)]).chance == 40 / 500_000
    up_and_down = steered([batch(10)] * 8 + [batch(0)] * 4)
    assert up_and_down.chance == 40 / 500_000
    for _ in range(12):
        up_and_down.heed(batch(7))
    assert up_and_down.chance == 0  # and not below
    assert steered([batch(7)] * 4, target=0.3).chance == 40 / 500_000
    assert float(Ada().heed(batch(7))["sureness"]) == pytest.approx(0.4)
    assert float(Ada().heed(torch.tensor([torch.nan, 1.0]))["sureness"]) == 0.5


def test_a_run_with_ada_r1_and_held_out_pictures_resumes_to_the_bit(pictures: Path, tmp_path: Path) -> None:
    steep = dataclasses.replace(TINY, learning_rate=5e-3, gamma=1.0, hold_out=0.25)
    settings = dataclasses.replace(steep, ada=True, ada_kimg=0.04, ada_target=-0.9)

    def run(out: Path, kimg: float) -> None:
        task = make_dcgan_task([pictures], settings, 0, lambda path, reason: None)
        fit(task, dataclasses.replace(LOOP, kimg=kimg), out)

    run(tmp_path / "straight", 0.04)  # ten steps of four; the controller has half counted its third four
    run(tmp_path / "twice", 0.024)
    run(tmp_path / "twice", 0.04)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    state = load_checkpoint(tmp_path / "twice")
    assert state is not None
    assert (int(state["nets"]["ada"]["raised"]), int(state["nets"]["ada"]["seen"])) == (32, 8)
    assert int(state["nets"]["gauge"]["looks"]) == 3  # at steps 0, 4, 8
    assert (state["settings"]["pictures"], state["settings"]["held_out"]) == (9, 3)
    lines = [json.loads(line) for line in (tmp_path / "twice/log.jsonl").read_text().splitlines()]
    last = [line for line in lines if "discriminator/loss" in line][-1]  # previews write lines, too
    assert last["discriminator/augment_chance"] == pytest.approx(0.8)
    assert {"discriminator/sureness", "discriminator/held_out", "discriminator/overfitting"} <= last.keys()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"ada_target": 1.0}, "--ada-target"), ({"ada_kimg": 0.0}, "--ada-kimg"), ({"hold_out": 0.6}, "--hold-out 0.6")],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, float], words: str, pictures: Path) -> None:
    with pytest.raises(UpimagineError, match=words):
        make_dcgan_task([pictures], dataclasses.replace(TINY, **changes), 0, lambda path, reason: None)
