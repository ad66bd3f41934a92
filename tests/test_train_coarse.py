"""The energy distance and what of it the generator is told."""

from __future__ import annotations

import math

import torch

from upimagine.losses.energy import sliced_energy_distance
from upimagine.train.coarse import CoarseDistance


def test_energy_distance_of_two_points_from_two_points() -> None:
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    between = (3 + 5 + 2 + 4) / 4
    assert float(sliced_energy_distance(a, b, torch.ones(1, 1))) == 2 * between - 1 - 2


def test_energy_distance_is_zero_on_average_however_small_the_sets() -> None:
    torch.manual_seed(0)
    directions = torch.eye(3)
    drawn = [float(sliced_energy_distance(torch.randn(2, 3), torch.randn(5, 3), directions)) for _ in range(4000)]
    mean, error = sum(drawn) / len(drawn), torch.tensor(drawn).std() / math.sqrt(len(drawn))
    assert abs(mean) < 4 * float(error)


def test_energy_distance_is_that_of_two_normal_distributions() -> None:
    """E|N(0, s)| = s sqrt(2/pi), so N(0, 1) and N(0, 4) are 2 sqrt(5) - sqrt(2) - 2 sqrt(2) of that apart."""
    torch.manual_seed(0)
    wanted = math.sqrt(2 / math.pi) * (2 * math.sqrt(5) - math.sqrt(2) - math.sqrt(8))
    found = sliced_energy_distance(torch.randn(3000, 1), 2 * torch.randn(3000, 1), torch.ones(1, 1))
    assert abs(float(found) - wanted) < 0.02


def pictures(count: int) -> torch.Tensor:
    """Pictures that differ by a colour and a gradient."""
    torch.manual_seed(1)
    ramp = torch.linspace(-1, 1, 64)
    made = torch.randn(count, 3, 1, 1) * 0.3 + torch.randn(count, 1, 1, 1) * 0.3 * ramp
    return made.expand(-1, -1, 64, -1).clamp(-1, 1)


def coarse(real: torch.Tensor) -> CoarseDistance:
    return CoarseDistance([((picture + 1) * 127.5).to(torch.uint8) for picture in real])


def test_pictures_that_are_too_alike_are_told_and_taught_apart() -> None:
    real = pictures(200)
    distance = coarse(real)
    alike = real[:1].repeat(16, 1, 1, 1) + 0.01 * torch.randn(16, 3, 1, 1)
    others = pictures(216)[200:]
    assert distance(alike) > 10 * abs(distance(others))
    alike.requires_grad_()
    before = float(alike.detach().std(dim=0).mean())
    for _ in range(30):
        (gradient,) = torch.autograd.grad(distance(alike), alike)
        alike = (alike - 0.02 * gradient.sign()).detach().requires_grad_()
    assert alike.std(dim=0).mean() > 2 * before


def test_what_is_fine_does_not_count() -> None:
    real = pictures(64)
    distance = coarse(real)
    fine = torch.tensor([0.2, -0.2]).repeat(32)
    torch.manual_seed(3)
    plain = distance(real[:16])
    torch.manual_seed(3)
    torch.testing.assert_close(distance(real[:16] + fine), plain, atol=1e-5, rtol=0)
