"""Set distances and MS-SSIM, against closed forms and scikit-image."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.losses.msssim import WEIGHTS, ms_ssim, pair_similarity, scales_for, ssim
from upimagine.measure.frechet import frechet_distance, gaussian_frechet, kernel_distance, set_features
from upimagine.nets.vgg import Vgg16Features


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def soft_noise(seed: int, *shape: int) -> Tensor:
    """Smooth random pictures in [-1, 1]."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.tanh(torch.nn.functional.avg_pool2d(noise, 5, 1, 2) * 4)


# Fréchet


def test_frechet_of_diagonal_gaussians_is_the_closed_form() -> None:
    mean_a, mean_b = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0])
    std_a, std_b = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 2.0, 0.0])
    expected = float(((mean_a - mean_b) ** 2).sum() + ((std_a - std_b) ** 2).sum())  # 5 + 4.25
    assert gaussian_frechet(mean_a, std_a.square().diag(), mean_b, std_b.square().diag()) == pytest.approx(expected)


def test_frechet_does_not_change_with_the_axes() -> None:
    a, b = normal(1, 6, 6), normal(2, 6, 6)
    cov_a, cov_b, mean_a, mean_b = a @ a.T, b @ b.T, normal(3, 6), normal(4, 6)
    turn = torch.linalg.qr(normal(5, 6, 6)).Q
    plain = gaussian_frechet(mean_a, cov_a, mean_b, cov_b)
    turned = gaussian_frechet(turn @ mean_a, turn @ cov_a @ turn.T, turn @ mean_b, turn @ cov_b @ turn.T)
    assert turned == pytest.approx(plain, rel=1e-9)
    assert gaussian_frechet(mean_b, cov_b, mean_a, cov_a) == pytest.approx(plain, rel=1e-9)


def test_frechet_agrees_with_the_eigenvalues_of_the_plain_product() -> None:
    a, b = normal(6, 5, 5), normal(7, 5, 5)
    cov_a, cov_b, zero = a @ a.T, b @ b.T, torch.zeros(5)
    cross = torch.linalg.eigvals(cov_a @ cov_b).real.sqrt().sum()
    expected = float(cov_a.trace() + cov_b.trace() - 2 * cross)
    assert gaussian_frechet(zero, cov_a, zero, cov_b) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_a_set_with_itself_is_zero_even_when_singular() -> None:
    rows = normal(8, 20, 64)  # 20 rows span no 64 dimensions
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-6)


# Kernel


def test_kernel_is_zero_within_its_error_where_frechet_is_not() -> None:
    # 64-d Gaussians, 200 of each: Fréchet about 11 by bias alone (and 2.2 at 1000), the kernel distance 0.
    few = frechet_distance(normal(10, 200, 64), normal(11, 200, 64))
    many = frechet_distance(normal(12, 1000, 64), normal(13, 1000, 64))
    assert few == pytest.approx(11.0, rel=0.15)
    assert many == pytest.approx(2.2, rel=0.15)
    results = [kernel_distance(normal(2 * s, 200, 64), normal(2 * s + 1, 200, 64)) for s in range(20, 40)]
    assert sum(abs(r.value) <= 2 * r.error for r in results) >= 18
    values = torch.tensor([r.value for r in results])
    assert abs(float(values.mean())) <= 3 * float(values.std()) / len(values) ** 0.5
    assert bool((values < 0).any())  # unbiased, hence of either sign


def test_kernel_error_is_about_the_true_spread() -> None:
    shifted = [kernel_distance(normal(2 * s, 120, 16), normal(2 * s + 1, 120, 16) + 0.7) for s in range(40, 60)]
    spread = float(torch.tensor([r.value for r in shifted]).std())
    stated = float(torch.tensor([r.error for r in shifted]).mean())
    assert 0.6 < stated / spread < 1.8
    assert all(r.value > 3 * r.error for r in shifted)


def test_kernel_equals_the_sum_written_out() -> None:
    a, b = normal(14, 7, 3), normal(15, 5, 3) + 1

    def k(x: Tensor, y: Tensor) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within_a = sum(k(a[i], a[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_b = sum(k(b[i], b[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    between = sum(k(x, y) for x in a for y in b) / 35
    expected = within_a + within_b - 2 * between
    assert kernel_distance(a, b).value == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(a, b, rows=2).value == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(a, b, seed=3) == kernel_distance(a, b, seed=3)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(UpimagineError, match="too few"):
        frechet_distance(normal(1, 1, 4), normal(1, 9, 4))
    with pytest.raises(UpimagineError, match="too few"):
        kernel_distance(normal(1, 3, 4), normal(1, 9, 4))


def test_set_features_are_means_of_the_deepest_map() -> None:
    torch.manual_seed(0)
    network = Vgg16Features()
    pictures = soft_noise(1, 5, 3, 32, 32)
    rows = set_features(network, pictures, batch=2)
    assert rows.shape == (5, 512)
    torch.testing.assert_close(rows, network(pictures)["relu4_3"].mean((2, 3)).double() / 32, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(set_features(network, iter([pictures[:3], pictures[3:]])), rows, rtol=1e-4, atol=1e-7)
    with pytest.raises(UpimagineError, match="no pictures"):
        set_features(network, iter([]))


# MS-SSIM


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_single_scale_agrees_with_scikit_image(noise: float) -> None:
    a = soft_noise(2, 1, 3, 48, 40)
    b = (a + noise * torch.randn(a.shape, generator=torch.Generator().manual_seed(3))).clamp(-1, 1)
    _, full = structural_similarity(
        ((a[0] + 1) / 2).numpy(),
        ((b[0] + 1) / 2).numpy(),
        data_range=1.0,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    interior = full[:, 5:-5, 5:-5].mean()
    assert float(ssim(a, b)[0]) == pytest.approx(float(interior), abs=1e-4)


def test_equal_pictures_score_one_and_noise_lowers_it() -> None:
    a = soft_noise(4, 2, 3, 176, 180)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(ms_ssim(a, a), torch.ones(2))
    values = [float(ms_ssim(a, (a + s * noise).clamp(-1, 1)).mean()) for s in (0.02, 0.1, 0.4, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.95
    assert values[-1] < 0.8
    torch.testing.assert_close(ms_ssim(a, a.roll(3, 2)), ms_ssim(a.roll(3, 2), a))


def test_brightness_counts_at_the_coarsest_scale_only() -> None:
    # Between two flat greys every structure term is 1, and luminance enters with the weight of the last scale.
    a, b = torch.full((1, 3, 176, 176), -0.2), torch.full((1, 3, 176, 176), 0.6)
    luminance = (2 * 0.4 * 0.8 + 1e-4) / (0.4**2 + 0.8**2 + 1e-4)
    assert float(ms_ssim(a, b)) == pytest.approx(luminance ** WEIGHTS[-1], abs=1e-4)
    small_a, small_b = a[..., :40, :40], b[..., :40, :40]  # two scales: weights .0448 and .2856 renormalised
    assert float(ms_ssim(small_a, small_b)) == pytest.approx(luminance ** (0.2856 / 0.3304), abs=1e-4)


@pytest.mark.parametrize(
    ("side", "scales"), [(11, 1), (21, 1), (22, 2), (87, 3), (88, 4), (128, 4), (175, 4), (176, 5), (999, 5)]
)
def test_scales_that_fit(side: int, scales: int) -> None:
    assert scales_for(side, 1000) == scales


def test_too_small_for_a_window_is_refused() -> None:
    with pytest.raises(UpimagineError, match="at least 11x11"):
        ms_ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))


def test_collapsed_sets_are_more_alike() -> None:
    varied = soft_noise(6, 24, 3, 44, 44)
    collapsed = varied[:3].repeat(8, 1, 1, 1)
    alike, diverse = pair_similarity(collapsed, pairs=150), pair_similarity(varied, pairs=150)
    assert diverse.pairs == 150
    assert alike.mean > diverse.mean + 0.1
    assert 0 < diverse.error < 0.05
    assert pair_similarity(varied, pairs=150) == diverse
    assert pair_similarity(varied, pairs=150, seed=1) != diverse


def test_all_pairs_are_taken_once_when_they_are_few() -> None:
    pictures = soft_noise(7, 4, 3, 24, 24)
    result = pair_similarity(pictures, pairs=50)
    values = [float(ms_ssim(pictures[i : i + 1], pictures[j : j + 1])) for i in range(4) for j in range(i + 1, 4)]
    assert result.pairs == 6
    assert result.mean == pytest.approx(sum(values) / 6, rel=1e-5)
    with pytest.raises(UpimagineError, match="at least 2"):
        pair_similarity(pictures[:1])
