"""Measures of single pictures: feature distance, consistency, sharpness, spectrum."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.losses.luma import luma
from upimagine.losses.sharpness import laplacian_variance
from upimagine.measure.consistency import down_consistency, psnr, sharpness_ratio
from upimagine.measure.features import feature_distance
from upimagine.measure.spectrum import radial_spectrum, spectral_slope
from upimagine.nets.vgg import DEFAULT_LAYERS, Vgg16Features


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def network() -> Vgg16Features:
    torch.manual_seed(0)
    net = Vgg16Features()
    for parameter in net.parameters():  # default biases drown the signal of random weights in deep layers
        parameter.copy_(parameter * 3 if parameter.ndim == 4 else parameter * 0)
    return net


def test_feature_distance_by_its_definition(network: Vgg16Features) -> None:
    a, b = noise(1, 1, 3, 32, 40), noise(2, 1, 3, 32, 40)
    found = feature_distance(network, a, b)
    fa, fb = network(a), network(b)
    for name in DEFAULT_LAYERS:
        l1 = (fa[name] - fb[name]).abs().mean() / fb[name].abs().mean()
        unit = (F.normalize(fa[name], dim=1) - F.normalize(fb[name], dim=1)).square().sum(1).mean()
        assert found.l1_by_layer[name] == pytest.approx(float(l1), rel=1e-4)
        assert found.unit_by_layer[name] == pytest.approx(float(unit), rel=1e-4)
    assert found.l1 == pytest.approx(sum(found.l1_by_layer.values()) / 4)
    assert found.unit == pytest.approx(sum(found.unit_by_layer.values()) / 4)


def test_feature_distance_is_zero_for_equal_and_grows_with_noise(network: Vgg16Features) -> None:
    truth = noise(3, 1, 3, 48, 48)
    distances = [feature_distance(network, truth + s * noise(4, 1, 3, 48, 48), truth) for s in (0.0, 0.1, 0.4, 1.0)]
    assert (distances[0].l1, distances[0].unit) == (0, 0)
    for figure in ("l1", "unit"):
        values = [getattr(distance, figure) for distance in distances]
        assert values == sorted(set(values))


@pytest.mark.parametrize("size", [(24, 160), (149, 29)])
def test_tiles_give_what_the_whole_picture_gives(network: Vgg16Features, size: tuple[int, int]) -> None:
    a, b = noise(5, 1, 3, *size), noise(6, 1, 3, *size)
    whole, tiled = feature_distance(network, a, b, tile_px=160), feature_distance(network, a, b, tile_px=16)
    for name in DEFAULT_LAYERS:
        assert tiled.l1_by_layer[name] == pytest.approx(whole.l1_by_layer[name], rel=1e-5)
        assert tiled.unit_by_layer[name] == pytest.approx(whole.unit_by_layer[name], rel=1e-5)


def test_feature_distance_refuses_what_it_cannot_compare(network: Vgg16Features) -> None:
    with pytest.raises(UpimagineError, match="one size"):
        feature_distance(network, noise(1, 1, 3, 32, 32), noise(1, 1, 3, 32, 40))
    with pytest.raises(UpimagineError, match="too small"):
        feature_distance(network, noise(1, 1, 3, 8, 8), noise(1, 1, 3, 8, 8))


def test_consistency_is_infinite_for_exact_and_known_for_an_offset() -> None:
    low = noise(7, 1, 3, 6, 5) * 0.5
    exact = low.repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert down_consistency(exact, low) > 120  # float32 rounding of the mean alone
    # Detail that averages to nothing is free.
    detail = torch.tensor([[0.2, -0.2], [-0.2, 0.2]]).repeat(24, 20)
    assert down_consistency(exact + detail, low) > 120
    # An offset of 0.02 out of a range of 2: 20 log10(2 / .02) = 40 dB.
    assert down_consistency(exact + 0.02, low) == pytest.approx(40, abs=1e-3)
    assert math.isinf(psnr(low, low.clone()))


def test_consistency_wants_a_whole_multiple() -> None:
    with pytest.raises(UpimagineError, match="whole multiple"):
        down_consistency(noise(1, 1, 3, 50, 40), noise(1, 1, 3, 6, 5))
    with pytest.raises(UpimagineError, match="whole multiple"):
        down_consistency(noise(1, 1, 3, 48, 48), noise(1, 1, 3, 6, 3))


def test_luma_weights() -> None:
    primaries = torch.eye(3)[:, :, None, None]
    torch.testing.assert_close(luma(primaries).flatten(), torch.tensor([0.299, 0.587, 0.114]))


def test_laplacian_variance_of_known_patterns() -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(14.0), indexing="ij")

    def grey(plane: Tensor) -> Tensor:  # 0 to 255 as a picture in [-1, 1]
        return (plane / 127.5 - 1).expand(1, 3, -1, -1)

    assert float(laplacian_variance(grey(3 * x + 5 * y + 20))) == pytest.approx(0, abs=1e-4)  # a ramp has no curvature
    # A checkerboard of +-a: the Laplacian is -+8a.
    board = 128 + 10 * (-1) ** (x + y)
    assert float(laplacian_variance(grey(board))) == pytest.approx(80**2, rel=1e-4)
    # Stripes of +-a along x: the Laplacian is -+4a.
    stripes = 128 + 10 * (-1) ** x
    assert float(laplacian_variance(grey(stripes))) == pytest.approx(40**2, rel=1e-4)
    assert sharpness_ratio(grey(stripes), grey(board)) == pytest.approx(0.25, rel=1e-4)
    flat = grey(torch.full_like(x, 100.0))
    assert sharpness_ratio(flat, flat) == 1
    assert math.isinf(sharpness_ratio(grey(board), flat))


def test_laplacian_variance_is_one_number_a_picture() -> None:
    pictures = noise(8, 3, 3, 20, 20)
    together = laplacian_variance(pictures)
    assert together.shape == (3,)
    for i in range(3):
        torch.testing.assert_close(laplacian_variance(pictures[i : i + 1])[0], together[i])


def shaped(exponent: float, seed: int, size: tuple[int, int]) -> Tensor:
    """Grey pictures whose power falls as frequency ** exponent."""
    white = torch.randn((8, *size), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    fy, fx = torch.fft.fftfreq(size[0])[:, None], torch.fft.fftfreq(size[1])[None]
    radius = (fy.square() + fx.square()).sqrt()
    radius[0, 0] = 1
    plane = torch.fft.ifft2(torch.fft.fft2(white) * radius ** (exponent / 2)).real
    return (plane / plane.std() / 4)[:, None].expand(-1, 3, -1, -1).float()


@pytest.mark.parametrize("exponent", [0.0, -1.0, -2.0, -3.0])
@pytest.mark.parametrize("size", [(96, 96), (96, 128)])
def test_slope_of_shaped_noise(exponent: float, size: tuple[int, int]) -> None:
    assert spectral_slope(shaped(exponent, 9, size)) == pytest.approx(exponent, abs=0.15)


def test_a_wave_stands_at_its_frequency() -> None:
    x = torch.arange(64.0)
    wave = (0.5 * torch.sin(2 * math.pi * x / 8)).expand(1, 3, 64, 64)
    frequencies, log_power = radial_spectrum(wave)
    assert float(frequencies[log_power.argmax()]) == pytest.approx(1 / 8)
    assert float(frequencies[-1]) == 0.5
    assert len(frequencies) == 32


def test_flat_pictures_have_a_finite_spectrum_and_tiny_ones_are_refused() -> None:
    _, log_power = radial_spectrum(torch.zeros(1, 3, 32, 32))
    assert bool(log_power.isfinite().all())
    with pytest.raises(UpimagineError, match="too small"):
        radial_spectrum(torch.zeros(1, 3, 8, 32))
