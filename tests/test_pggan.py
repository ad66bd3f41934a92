"""The Progressive GAN against its layer table and its own definitions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from upimagine.nets.dcgan import MinibatchSpread
from upimagine.nets.equalised import Conv
from upimagine.nets.pggan import PgganDiscriminator, PgganGenerator, faded_pictures, widths_at

IN_USE = {
    64: (22_484_227, 22_489_857),
    128: (22_926_467, 22_932_097),
    256: (23_036_995, 23_042_625),
    512: (23_064_611, 23_070_241),
    1024: (23_071_507, 23_077_137),
}


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("size_px", IN_USE)
def test_parameters_are_those_of_the_table(size_px: int) -> None:
    with torch.device("meta"):
        generator, discriminator = PgganGenerator(size_px), PgganDiscriminator(size_px)
    assert (parameters(generator), parameters(discriminator)) == IN_USE[size_px]


def test_channels_are_those_of_the_table() -> None:
    assert list(widths_at(1024, 4, 8192, 512).values()) == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert list(widths_at(128, 4, 2048, 512).values()) == [512, 512, 256, 128, 64, 32], "of the ablation table"
    assert list(widths_at(8, 2, 8192, 512)) == [2, 4, 8]


def small(base_px: int = 4) -> tuple[PgganGenerator, PgganDiscriminator]:
    torch.manual_seed(0)
    return PgganGenerator(32, 12, 128, 16, base_px, growing=True), PgganDiscriminator(
        32, 128, 16, base_px, growing=True
    )


@pytest.mark.parametrize("base_px", [2, 4])
def test_a_size_that_has_not_faded_in_yet_changes_nothing(base_px: int) -> None:
    generator, discriminator = small(base_px)
    latents = torch.randn(4, 12)
    before = generator(latents, until_px=16)
    begun = generator(latents, until_px=32, faded=0.0)
    assert torch.equal(begun, F.interpolate(before, scale_factor=2, mode="nearest")), "no bit may differ"
    torch.testing.assert_close(discriminator(begun, faded=0.0), discriminator(before))


@pytest.mark.parametrize(("until_px", "faded"), [(16, 1.0), (32, 0.25), (32, 1.0), (4, 1.0)])
def test_a_grown_copy_is_the_same_network_without_what_is_not_used(until_px: int, faded: float) -> None:
    generator, discriminator = small()
    latents = torch.randn(4, 12)
    made, judge = generator.grown(until_px, faded), discriminator.grown(until_px, faded)
    pictures = generator(latents, until_px, faded)
    assert torch.equal(made(latents), pictures.clamp(-1, 1))
    assert torch.equal(judge(pictures), discriminator.eval()(pictures, faded))
    assert len(made.colours) == (1 if faded == 1 else 2)


def test_the_deviation_of_a_group_is_told_to_its_pictures() -> None:
    spread = MinibatchSpread(2)
    maps = torch.randn(4, 3, 2, 2)
    channel = spread(maps)[:, 3]
    for one, other in ((0, 2), (1, 3)):  # picture i belongs to group i mod 2
        deviation = ((maps[one] - maps[other]) / 2).square().add(1e-8).sqrt().mean()
        torch.testing.assert_close(channel[one], deviation.expand(2, 2))
        torch.testing.assert_close(channel[other], deviation.expand(2, 2))


def test_the_first_map_has_the_same_strength_at_either_size() -> None:
    torch.manual_seed(0)
    for base_px in (2, 4):
        first = PgganGenerator(8, 64, 128, 64, base_px).first
        assert first.scaled()[0].std().item() == pytest.approx(2**0.5 / base_px / 8, rel=0.05)


def test_fading_goes_straight_from_the_smaller_size_to_the_larger() -> None:
    generator, _ = small()
    latents = torch.randn(2, 12)
    ends = generator(latents, 32, 0.0), generator(latents, 32, 1.0)
    torch.testing.assert_close(generator(latents, 32, 0.25), torch.lerp(*ends, 0.25))
    torch.testing.assert_close(generator(latents), ends[1])


def test_real_pictures_sharpen_with_the_size_that_fades_in() -> None:
    pictures = torch.randn(2, 3, 8, 8)
    assert faded_pictures(pictures, 1.0) is pictures
    blocks = faded_pictures(pictures, 0.0)
    torch.testing.assert_close(blocks[:, :, ::2, ::2], F.avg_pool2d(pictures, 2))
    torch.testing.assert_close(blocks[:, :, ::2, ::2], blocks[:, :, 1::2, 1::2])


def test_only_the_direction_of_a_latent_counts() -> None:
    generator, _ = small()
    latents = torch.randn(3, 12)
    torch.testing.assert_close(generator(latents * 7), generator(latents), atol=1e-4, rtol=1e-4)


def test_features_have_length_one_at_every_place() -> None:
    generator, _ = small()
    seen = []
    generator.colours["32"].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    generator(torch.randn(2, 12))
    lengths = seen[0].square().mean(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-3, rtol=0)


def test_kept_weights_follow_the_parameters() -> None:
    conv = Conv(3, 5, 3)
    x = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        before = conv(x)
        conv.weight.mul_(2)
        torch.testing.assert_close(conv(x), 2 * before)
        conv.load_state_dict({"weight": torch.zeros(5, 3, 3, 3), "bias": torch.ones(5)})
        torch.testing.assert_close(conv(x), torch.ones(1, 5, 6, 6))
    conv.to(torch.bfloat16)
    with torch.no_grad():
        assert conv(x.bfloat16()).dtype == torch.bfloat16


def test_a_layer_scales_by_he_whatever_adam_sees() -> None:
    torch.manual_seed(0)
    conv = Conv(64, 64, 3)
    assert abs(float(conv.weight.detach().std()) - 1) < 0.02
    assert abs(float(conv.scaled()[0].detach().std()) - (2 / (64 * 9)) ** 0.5) < 0.002
