"""Layer tables against known parameter counts and shapes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator, MinibatchSpread, calibrate_batch_norm
from upimagine.nets.doubling import double_discriminator, double_generator
from upimagine.nets.jnet import JNet, JNetDiscriminator, enlarge_smoothly
from upimagine.nets.norms import GeneratorNorm


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("size_px", "width", "generator", "discriminator"),
    [(64, 64, 3_576_704, 2_765_568), (64, 128, 12_658_432, 11_036_160), (128, 64, 12_786_560, 11_164_416)],
)
def test_dcgan_has_the_published_parameter_counts(size_px: int, width: int, generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        assert count(DcganGenerator(size_px, width=width)) == generator
        assert count(DcganDiscriminator(size_px, width=width)) == discriminator


@pytest.mark.parametrize("size_px", [64, 128, 256])
def test_dcgan_shapes(size_px: int) -> None:
    pictures = DcganGenerator(size_px, width=2)(torch.randn(2, 100))
    assert pictures.shape == (2, 3, size_px, size_px)
    assert pictures.abs().max() <= 1
    assert DcganDiscriminator(size_px, width=2)(pictures).shape == (2, 1, 1, 1)


def test_a_doubled_dcgan_makes_the_same_pictures_and_judges_them_alike() -> None:
    torch.manual_seed(0)
    small, critic = DcganGenerator(64, width=16), DcganDiscriminator(64, width=16).eval()
    latents = torch.randn(64, 100)
    calibrate_batch_norm(small, [latents])
    for module in small.modules():  # as if trained: pictures that use their range
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.data *= 2
    calibrate_batch_norm(small, [latents])
    small.eval()
    large, larger_critic = DcganGenerator(128, width=8), DcganDiscriminator(128, width=8)
    double_generator(small, large, latents)
    pictures = small(latents)
    enlarged = F.interpolate(pictures, scale_factor=2, mode="bilinear")
    assert (large.eval()(latents) - enlarged).abs().mean() < 0.05 * pictures.std()
    double_discriminator(critic, larger_critic, enlarged)
    shrunk = critic(F.avg_pool2d(enlarged, 2))
    assert (larger_critic.eval()(enlarged) - shrunk).abs().mean() < 0.05 * shrunk.std()
    with pytest.raises(ValueError, match="same maps"):
        double_generator(small, DcganGenerator(128, width=16), latents)


def test_dcgan_refuses_sizes_and_shapes_it_was_not_made_for() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        DcganGenerator(96)
    with pytest.raises(ValueError, match=r"latents has shape \(1, 7\), expected \(any, 100\)"):
        DcganGenerator(64, width=2)(torch.randn(1, 7))


def test_calibration_makes_running_statistics_those_of_the_given_latents() -> None:
    torch.manual_seed(0)
    net = DcganGenerator(64, width=4).eval()
    latents = torch.randn(64, 100)
    calibrate_batch_norm(net, [latents])
    before_norm = net.layers[0](latents[:, :, None, None])
    norm = net.layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    torch.testing.assert_close(norm.running_mean, before_norm.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, before_norm.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert not net.training
    assert norm.momentum == 0.1


def test_jnet_has_the_derived_parameter_counts() -> None:
    with torch.device("meta"):
        assert count(JNet()) == 40_556_867
        assert count(JNetDiscriminator()) == 2_814_785


def test_jnet_shapes() -> None:
    net = JNet(3, width=1 / 16)
    assert net(torch.rand(2, 6, 32, 32)).shape == (2, 3, 256, 256)
    assert net(torch.rand(1, 6, 96, 96)).shape == (1, 3, 768, 768)
    with pytest.raises(ValueError, match="multiples of 32"):
        net(torch.rand(1, 6, 40, 32))
    logits = JNetDiscriminator(6, width=4)(torch.rand(2, 3, 256, 256), torch.rand(2, 6, 32, 32))
    assert logits.shape == (2, 1, 30, 30)


def test_he_initialisation_keeps_the_signal_alive_without_normalisation() -> None:
    torch.manual_seed(0)
    assert 0.1 < JNet(3, width=1 / 4)(torch.randn(2, 6, 32, 32)).std() < 1.0


def test_one_pixel_of_the_input_reaches_every_pixel_of_the_output() -> None:
    torch.manual_seed(0)
    net = JNet(0, width=1 / 8).double()
    tile = torch.rand(1, 3, 32, 32, dtype=torch.float64) * 2 - 1
    other = tile.clone()
    other[0, 0, 3, 28] += 0.5
    with torch.no_grad():
        changed = (net(tile) != net(other)).any(dim=1)
    assert changed.all()  # 65,536 of them: tiles can never agree exactly where they overlap


def test_discriminator_features_meet_the_low_res_input_where_extents_are_equal() -> None:
    maps = JNetDiscriminator(6, width=4).features(torch.rand(2, 3, 256, 256), torch.rand(2, 6, 32, 32))
    assert [map_.shape[2] for map_ in maps] == [128, 64, 32, 31]


@pytest.mark.parametrize("consistency", ["residual", "project"])
def test_tied_forms_begin_as_the_enlarged_input(consistency: str) -> None:
    torch.manual_seed(0)
    tile = F.interpolate(torch.rand(1, 3, 8, 8) - 0.5, size=32, mode="bicubic")
    made = JNet(0, width=1 / 16, consistency=consistency)(tile)
    assert (made - enlarge_smoothly(tile)).abs().mean() < 0.03


def test_projection_brings_the_pooled_output_back_to_the_input() -> None:
    torch.manual_seed(0)
    tile = F.interpolate(torch.rand(1, 3, 8, 8) - 0.5, size=32, mode="bicubic")
    errors = {}
    for consistency in ("residual", "project"):
        torch.manual_seed(1)
        net = JNet(0, width=1 / 16, consistency=consistency)
        nn.init.normal_(net.out.weight, 0.0, 0.1)
        errors[consistency] = (F.avg_pool2d(net(tile), 8) - tile).abs().mean().item()
    assert errors["project"] < errors["residual"] / 10


def test_unknown_consistency_is_refused() -> None:
    with pytest.raises(ValueError, match="choose none, residual or project"):
        JNet(0, width=1 / 16, consistency="tight")


def test_minibatch_spread_tells_sameness_apart_and_judges_alone_when_evaluating() -> None:
    torch.manual_seed(0)
    spread = MinibatchSpread()
    varied, alike = torch.randn(8, 3, 4, 4), torch.randn(1, 3, 4, 4).repeat(8, 1, 1, 1)
    assert spread(varied)[:, 3].mean() > 0.5
    assert spread(alike)[:, 3].max() < 1e-3
    net = DcganDiscriminator(64, width=4, minibatch_spread=True).eval()
    pictures = torch.randn(5, 3, 64, 64)
    torch.testing.assert_close(net(pictures)[2:3], net(pictures[2:3]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "batch-own", "per-sample", "none"])
def test_every_norm_of_a_generator_lets_the_signal_through_and_judges_no_batch_mates(norm: GeneratorNorm) -> None:
    torch.manual_seed(0)
    net, latents = DcganGenerator(64, latent_dim=16, width=8, norm=norm), torch.randn(32, 16)
    made = net.train()(latents)
    assert made.std() > 0.02, "N(0, 0.02) without normalisation would give next to nothing"
    calibrate_batch_norm(net, [latents])
    net.eval()
    torch.testing.assert_close(net(latents)[3:4], net(latents[3:4]), atol=1e-4, rtol=1e-3)
    assert net(latents).std(dim=0).mean() > 0.01, "every latent makes another picture"


def test_a_picture_by_its_own_statistics_is_instance_norm_with_learned_gains() -> None:
    torch.manual_seed(0)
    own, sample = (DcganGenerator(64, 16, 8, norm=norm).eval() for norm in ("batch-own", "per-sample"))
    sample.load_state_dict({name: own.state_dict()[name] for name in sample.state_dict()})
    latents = torch.randn(3, 16)
    torch.testing.assert_close(own(latents), sample(latents))
