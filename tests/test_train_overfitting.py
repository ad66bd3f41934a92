"""The overfitting gauge: which pictures are held out, what it reads, and that it leaves training alone."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.nets.dcgan import DcganDiscriminator
from upimagine.train.overfitting import OverfittingGauge, hold_out, judged_aside


def numbered(count: int) -> list[Tensor]:
    return [torch.tensor(float(index)) for index in range(count)]


def test_held_out_pictures_are_kept_apart_and_are_the_same_every_time() -> None:
    kept, held = hold_out(numbered(40), 0.1)
    assert (len(kept), len(held)) == (36, 4)
    assert sorted(float(picture) for picture in kept + held) == list(range(40))
    assert hold_out(numbered(40), 0.1)[1] == held
    assert hold_out(numbered(7), 0.0) == (numbered(7), [])
    assert len(hold_out(numbered(7), 0.01)[1]) == 1
    with pytest.raises(UpimagineError, match=r"--hold-out 0\.5 of 1 picture leaves none"):
        hold_out(numbered(1), 0.5)


def test_the_gauge_reads_by_hand() -> None:
    def read(train: float, held: float, made: float) -> float:
        numbers = OverfittingGauge().heed(*(torch.full((4, 1, 1, 1), value) for value in (train, held, made)))
        assert float(numbers["held_out"]) == held
        return float(numbers["overfitting"])

    assert read(3, 3, -1) == 0  # held-out pictures are as good as training pictures
    assert read(3, -1, -1) == 1  # and as bad as made ones
    assert read(3, 2, -1) == 0.25
    assert read(-1, 2, 3) == 0  # nothing is told apart
    assert read(1, -9, 0) == 2


def test_the_gauge_divides_means_rather_than_meaning_quotients() -> None:
    gauge = OverfittingGauge()
    gauge.heed(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([0.9]))
    numbers = gauge.heed(torch.tensor([3.0]), torch.tensor([2.0]), torch.tensor([-0.9]))
    assert float(numbers["overfitting"]) == pytest.approx((2 - 1) / (2 - 0))


def test_a_discriminator_that_learns_noise_by_heart_is_caught() -> None:
    """Nothing but the pictures themselves tells these training pictures from others."""
    torch.manual_seed(0)
    real, held = torch.randn(16, 300), torch.randn(400, 300)
    judge = torch.nn.Linear(300, 1)
    descent = torch.optim.Adam(judge.parameters(), 1e-2)
    gauge = OverfittingGauge()
    for _ in range(60):
        made = torch.randn(16, 300)
        loss = F.softplus(-judge(real)).mean() + F.softplus(judge(made)).mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
        numbers = gauge.heed(judge(real), judge(held), judge(torch.randn(400, 300)))
    assert 0.8 < float(numbers["overfitting"]) < 1.2


def test_a_look_at_held_out_pictures_leaves_no_trace() -> None:
    torch.manual_seed(0)
    judge = DcganDiscriminator(64, width=4, minibatch_spread=True)
    before, pictures = copy.deepcopy(judge.state_dict()), torch.randn(4, 3, 64, 64)
    aside = judged_aside(judge, pictures)
    for name, value in judge.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(aside, judge(pictures))  # judged as in training
    assert not torch.equal(judge.state_dict()["features.3.running_mean"], before["features.3.running_mean"])
