import pytest
import torch
import torch.nn.functional as F

from upimagine.render.tone import match_low_res, pool


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(10 * torch.log10(4 / (first - second).square().mean()))


def smooth_low(seed: int = 0) -> torch.Tensor:
    rough = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) - 0.5
    return F.interpolate(rough, size=(32, 32), mode="bicubic")


def drifting(low: torch.Tensor) -> torch.Tensor:
    """Texture, a colour cast, and a slope in brightness, as of a net that never saw these colours."""
    texture = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(9)) * 0.08
    slope = torch.linspace(-0.15, 0.15, 256).view(1, 1, 256, 1)
    cast = torch.tensor([0.1, -0.05, 0.15]).view(1, 3, 1, 1)
    return F.interpolate(low, scale_factor=8, mode="bilinear") * 0.9 + texture + slope + cast


def test_pool_is_the_area_average() -> None:
    output = torch.rand(2, 3, 24, 32)
    assert torch.allclose(pool(output, (6, 8)), F.avg_pool2d(output, 4), atol=1e-6)


def test_a_drifting_net_is_brought_back_above_40_db() -> None:
    low = smooth_low()
    output = drifting(low)
    before = psnr(pool(output, (32, 32)), low)
    matched = [match_low_res(output, low, iterations) for iterations in (1, 2, 3)]
    after = [psnr(pool(one, (32, 32)), low) for one in matched]
    assert before < 25
    assert after[0] > 40
    assert after[0] < after[1] < after[2]
    # Texture within low-res pixels stays: what was added is smooth.
    added = matched[2] - output
    assert float(added.diff(dim=-1).abs().max()) < 0.02


def test_iterations_equal_plain_back_projection() -> None:
    low, output = smooth_low(), drifting(smooth_low())
    expected = output
    for _ in range(3):
        missing = low - F.avg_pool2d(expected, 8)
        expected = expected + F.interpolate(missing, scale_factor=8, mode="bicubic", align_corners=False)
    assert torch.allclose(match_low_res(output, low, 3), expected, atol=2e-6)


@pytest.mark.parametrize("iterations", [0, 2])
def test_what_is_already_right_stays(iterations: int) -> None:
    low = smooth_low()
    right = F.interpolate(low, scale_factor=8, mode="nearest")
    assert torch.allclose(match_low_res(right, low, iterations), right, atol=1e-6)


def test_the_network_output_is_not_written_over() -> None:
    low, output = smooth_low(), drifting(smooth_low())
    kept = output.clone()
    out = torch.empty_like(output)
    assert match_low_res(output, low, 1, out=out) is out
    assert torch.equal(output, kept)
