"""Objectives and gradient penalties against hand values and identities."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from upimagine.losses.adversarial import (
    least_squares_discriminator,
    least_squares_generator,
    minimax_generator,
    non_saturating_generator,
    wasserstein_critic,
    wasserstein_generator,
)
from upimagine.losses.began import began_discriminator, began_generator, convergence, next_k
from upimagine.losses.cramer import CramerObjective, cramer_generator, cramer_scores, cramer_surrogate
from upimagine.losses.objective import ScoreObjective
from upimagine.losses.penalties import gradient_penalty, r1_penalty

REAL, FAKE = torch.tensor([2.0, -0.5]), torch.tensor([0.5, -3.0])


def slope(loss: object, at: float) -> float:
    score = torch.tensor([at], requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(score), score)  # type: ignore[operator]
    return float(gradient)


def test_minimax_and_non_saturating_pull_alike_where_the_discriminator_is_undecided() -> None:
    assert slope(minimax_generator, 0.0) == slope(non_saturating_generator, 0.0) == -0.5
    assert slope(minimax_generator, -10.0) == pytest.approx(-1 / (1 + math.exp(10)))  # saturates
    assert slope(non_saturating_generator, -10.0) == pytest.approx(-1 / (1 + math.exp(-10)))


def test_minimax_is_the_logarithm_of_one_minus_the_probability() -> None:
    torch.testing.assert_close(minimax_generator(FAKE), (1 - torch.sigmoid(FAKE)).log().mean())


def test_least_squares_by_hand() -> None:
    # reals 2, -0.5 wanted 1: (1 + 2.25) / 2; fakes 0.5, -3 wanted 0: (0.25 + 9) / 2
    assert least_squares_discriminator(REAL, FAKE).item() == pytest.approx((1.625 + 4.625) / 2)
    assert least_squares_generator(FAKE).item() == pytest.approx((0.25 + 16) / 2 / 2)
    # Pearson's form (-1, 1, 0): reals as before; fakes wanted -1: (2.25 + 4) / 2
    assert least_squares_discriminator(REAL, FAKE, -1.0, 1.0).item() == pytest.approx((1.625 + 3.125) / 2)
    assert least_squares_generator(FAKE, 0.0).item() == pytest.approx((0.25 + 9) / 2 / 2)


def test_wasserstein_by_hand() -> None:
    assert wasserstein_critic(REAL, FAKE).item() == pytest.approx(-1.25 - 0.75)
    assert wasserstein_generator(FAKE).item() == pytest.approx(1.25)


def linear(length: float) -> tuple[nn.Module, Tensor]:
    """D(x) = <a, x> with ||a|| = length, and a."""
    a = torch.randn(3 * 4 * 4)
    a *= length / a.norm()
    critic = nn.Sequential(nn.Flatten(), nn.Linear(48, 1, bias=False))
    critic[1].weight.data.copy_(a)  # type: ignore[union-attr]
    return critic, a


@pytest.mark.parametrize("length", [1.0, 2.0, 0.25])
def test_gradient_penalties_of_a_linear_critic_are_known(length: float) -> None:
    torch.manual_seed(0)
    critic, a = linear(length)
    real, fake = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    assert gradient_penalty(critic, real, fake).item() == pytest.approx((length - 1) ** 2, abs=1e-6)
    real.requires_grad_()
    assert r1_penalty(critic(real), real).item() == pytest.approx(length**2, rel=1e-5)
    assert float(a.norm()) == pytest.approx(length)


def test_the_gradient_penalty_teaches_the_critic_the_length_it_wants() -> None:
    torch.manual_seed(0)
    critic, a = linear(2.0)
    weight = critic[1].weight  # type: ignore[index]
    (gradient,) = torch.autograd.grad(
        gradient_penalty(critic, torch.randn(4, 3, 4, 4), torch.randn(4, 3, 4, 4)), weight
    )
    torch.testing.assert_close(gradient[0], 2 * (2 - 1) * a / 2)  # of (||w|| - 1)^2


def test_the_gradient_penalty_is_taken_between_real_and_made_pictures_at_a_place_of_each_pair() -> None:
    seen: list[Tensor] = []

    def critic(pictures: Tensor) -> Tensor:
        seen.append(pictures.detach())
        return pictures.square().sum(dim=(1, 2, 3))

    gradient_penalty(critic, torch.ones(64, 3, 2, 2), torch.zeros(64, 3, 2, 2))
    shares = seen[0].flatten(1)
    assert (shares == shares[:, :1]).all()
    assert len(shares[:, 0].unique()) == 64
    assert 0.35 < shares.mean() < 0.65


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 1e-6), (torch.bfloat16, 1e-2)])
def test_the_gradient_penalty_is_of_float32_under_float16_and_near_it_under_bfloat16(
    dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    critic, _ = linear(2.0)
    with torch.autocast("cpu", dtype=dtype):
        penalty = gradient_penalty(critic, torch.randn(4, 3, 4, 4), torch.randn(4, 3, 4, 4))
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(1.0, abs=tolerance)


def test_wgan_gp_adds_the_weighted_penalty_to_the_distance() -> None:
    torch.manual_seed(0)
    critic, a = linear(2.0)
    real, fake = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    judged = ScoreObjective(wasserstein_critic, wasserstein_generator, 10.0).discriminator(critic, real, fake)
    torch.testing.assert_close(judged.loss, ((fake - real).mean(0).flatten() * a).sum() + 10.0)
    torch.testing.assert_close(judged.plotted["penalty"], torch.tensor(1.0))


def vectors() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    real, fake, other = torch.randn(3, 6, 8, dtype=torch.float64)
    return real, fake, other


def test_the_cramer_surrogate_over_swapped_fakes_is_its_symmetrised_form() -> None:
    r, g1, g2 = vectors()
    norm = partial(torch.linalg.vector_norm, dim=1)
    symmetrised = (
        norm(r - g1) / 2 + norm(r - g2) / 2 - norm(r) - norm(g1 - g2) + norm(g1) / 2 + norm(g2) / 2
    ).mean()  # fmt: skip
    torch.testing.assert_close((cramer_surrogate(r, g1, g2) + cramer_surrogate(r, g2, g1)) / 2, symmetrised)


def test_the_cramer_generator_loss_is_the_energy_distance_but_for_what_depends_on_data_alone() -> None:
    r, g1, g2 = vectors()
    norm = partial(torch.linalg.vector_norm, dim=1)
    wanted = (norm(r - g1) + norm(r - g2) - norm(g1 - g2)).mean()
    torch.testing.assert_close(cramer_generator(r, g1, g2), wanted)
    torch.testing.assert_close(cramer_generator(r, g2, g1), wanted)


def test_cramer_of_equal_samples() -> None:
    x = torch.tensor([[3.0, 4.0]]).repeat(5, 1)
    assert cramer_generator(x, x, x).item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(cramer_scores(x, x), torch.full((5,), -5.0))  # -||x||


def test_the_cramer_objective_sets_the_halves_of_the_made_pictures_against_each_other() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(4, 3, 2, 2), torch.randn(8, 3, 2, 2)
    objective = CramerObjective(penalty_weight=10.0)
    r, (g, other) = real.flatten(1), fake.flatten(1).chunk(2)
    judged = objective.discriminator(lambda pictures: pictures, real, fake)
    torch.testing.assert_close(judged.loss, -cramer_surrogate(r, g, other) + 10 * judged.plotted["penalty"])
    torch.testing.assert_close(judged.real, cramer_scores(r, other))
    torch.testing.assert_close(
        objective.generator(lambda pictures: pictures, fake, real), cramer_generator(r, g, other)
    )
    with pytest.raises(ValueError, match="give both"):
        objective.generator(lambda pictures: pictures, fake, None)


def test_the_cramer_penalty_holds_the_other_made_picture_fixed() -> None:
    """With h = identity, grad f = (x - g') / ||x - g'|| - x / ||x||: 0 on one ray beyond g', so the penalty is 1."""
    direction = torch.randn(1, 3, 2, 2)
    real, fake = direction * torch.tensor([5.0, 6.0]).view(2, 1, 1, 1), direction * 4
    both = torch.cat((fake, fake, direction, direction))  # g twice, then g' twice
    judged = CramerObjective().discriminator(lambda pictures: pictures, real, both)
    assert judged.plotted["penalty"].item() == pytest.approx(1.0, abs=1e-4)


def test_began_losses_by_hand() -> None:
    real, fake = torch.tensor([-0.2, -0.4]), torch.tensor([-0.1, -0.3])  # scores: minus the errors
    assert began_discriminator(real, fake, torch.tensor(0.5)).item() == pytest.approx(0.3 - 0.5 * 0.2)
    assert began_generator(fake).item() == pytest.approx(0.2)


def test_began_balance_moves_by_its_rate_and_stays_between_none_and_one() -> None:
    k, real, fake = torch.tensor(0.5), torch.tensor(0.4), torch.tensor(0.1)
    assert next_k(k, real, fake, diversity=0.5).item() == pytest.approx(0.5 + 0.001 * (0.2 - 0.1))
    assert next_k(k, real, fake, 0.5, rate=100).item() == 1.0
    assert next_k(k, fake, real, 0.5, rate=100).item() == 0.0
    assert convergence(real, fake, 0.5).item() == pytest.approx(0.4 + 0.1)


def test_began_with_a_perfect_autoencoder_stands_still() -> None:
    nothing = torch.zeros(3)
    assert began_discriminator(nothing, nothing, torch.tensor(0.0)).item() == 0
    assert next_k(torch.tensor(0.0), nothing.mean(), nothing.mean(), 0.5).item() == 0
    assert convergence(nothing.mean(), nothing.mean(), 0.5).item() == 0
