"""Objectives against their formulae."""

from __future__ import annotations

import math

import pytest
import torch

from upimagine.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    non_saturating_discriminator,
    non_saturating_generator,
)
from upimagine.losses.low_res import low_res_l1


def test_non_saturating_losses_are_the_published_ones() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    sigmoid = torch.sigmoid
    discriminator = -(sigmoid(real).log().mean() + (1 - sigmoid(fake)).log().mean())
    torch.testing.assert_close(non_saturating_discriminator(real, fake), discriminator)
    torch.testing.assert_close(non_saturating_generator(fake), -sigmoid(fake).log().mean())


def test_an_undecided_discriminator_costs_two_log_two() -> None:
    assert non_saturating_discriminator(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(2 * math.log(2))


def test_generator_loss_does_not_saturate_where_the_discriminator_is_sure() -> None:
    fake = torch.full((1,), -20.0, requires_grad=True)
    non_saturating_generator(fake).backward()
    assert fake.grad is not None
    assert fake.grad.item() == pytest.approx(-1.0)


def test_hinge_asks_only_for_what_is_not_clear_yet() -> None:
    real, fake = torch.tensor([3.0, 0.5, -1.0]), torch.tensor([-2.0, 0.25, 1.0])
    assert hinge_discriminator(real, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1.25 + 2) / 3)
    assert hinge_generator(fake).item() == pytest.approx(0.25)
    assert hinge_discriminator(torch.ones(4), -torch.ones(4)).item() == 0


def test_low_res_l1_leaves_detail_free_and_sees_tone() -> None:
    truth = torch.zeros(1, 3, 16, 16)
    detail = torch.ones(1, 3, 16, 16)
    detail[..., ::2] = -1  # strong texture, but every 8x8 block has mean 0
    assert low_res_l1(detail, truth).item() == 0
    assert low_res_l1(truth + 0.25, truth).item() == pytest.approx(0.25)
