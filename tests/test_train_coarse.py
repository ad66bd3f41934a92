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


def test_the_few_pictures_of_a_step_are_taught_as_if_all_were_there() -> None:
    real = pictures(64)
    some = pictures(48) * 0.5
    uint8 = [((picture + 1) * 127.5).to(torch.uint8) for picture in real]
    remembering, plain = CoarseDistance(uint8, remembered=40), CoarseDistance(uint8)
    gradients = []
    for distance in (remembering, plain):
        if distance is remembering:
            for start in range(0, 40, 8):
                distance(some[start : start + 8])
        torch.manual_seed(5)
        last = some[40:].clone().requires_grad_()
        others = [] if distance is remembering else [some[:40]]
        (gradient,) = torch.autograd.grad(distance(torch.cat([last, *others])), last)
        gradients.append(gradient)
    torch.testing.assert_close(gradients[0], gradients[1] * 6, atol=1e-7, rtol=1e-3)


def test_the_oldest_are_forgotten() -> None:
    real = pictures(64)
    distance = CoarseDistance([((picture + 1) * 127.5).to(torch.uint8) for picture in real], remembered=4)
    for picture in real[:6]:
        assert distance(picture[None]).isfinite()
    kept = distance.made_before.clone()
    fresh = CoarseDistance([((picture + 1) * 127.5).to(torch.uint8) for picture in real], remembered=4)
    for picture in real[2:6]:
        fresh(picture[None])
    torch.testing.assert_close(kept, fresh.made_before)
    assert int(distance.counted) == 4
