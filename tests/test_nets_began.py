"""BEGAN's networks against counts made by hand, and discriminators with other norms than batch norm."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from upimagine.models.file import load_model_file, save_model
from upimagine.nets.began import BeganAutoencoder, BeganGenerator
from upimagine.nets.dcgan import DcganDiscriminator
from upimagine.nets.norms import Norm


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


# 64 px, width n = 64, 64 numbers; convolutions 9 in out + out.
# Decoder: dense 64 * 4,096 + 4,096; four levels of two 64->64 (36,928 each); colours 1,731.
# Joined maps: 9 * 64 * 64 weights more at each of three levels.
# Encoder: 3->64 (1,792); 2 x 64->64 and a strided one (110,784); 64->128, 2 x 128->128 (369,024); 128->192,
# 2 x 192->192 (885,312); 192->256, 256->256 (1,032,704); dense 16,384 * 64 + 64 (1,048,640).
DECODER, JOINED, ENCODER = 266_240 + 8 * 36_928 + 1_731, 3 * 36_864, 3_448_256


@pytest.mark.parametrize(("skip", "decoder"), [(False, DECODER), (True, DECODER + JOINED)])
def test_began_has_the_parameter_counts_of_its_table(skip: bool, decoder: int) -> None:
    with torch.device("meta"):
        assert count(BeganGenerator(64, skip=skip)) == decoder
        assert count(BeganAutoencoder(64, skip=skip)) == decoder + ENCODER


@pytest.mark.parametrize("size_px", [64, 128, 256])
def test_began_shapes(size_px: int) -> None:
    pictures = BeganGenerator(size_px, latent_dim=5, width=2)(torch.randn(2, 5))
    assert pictures.shape == (2, 3, size_px, size_px)
    autoencoder = BeganAutoencoder(size_px, hidden=5, width=2)
    assert autoencoder.reconstruct(pictures).shape == pictures.shape
    assert autoencoder.encoder(pictures).shape == (2, 5)
    assert autoencoder(pictures).shape == (2, 1)
    with pytest.raises(ValueError, match="choose one of"):
        BeganGenerator(96)


def test_the_decoder_is_fed_with_uniform_numbers() -> None:
    fed: list[torch.Tensor] = []
    net = BeganGenerator(64, latent_dim=64, width=1)
    net.decoder.register_forward_pre_hook(lambda module, inputs: fed.append(inputs[0]))
    torch.manual_seed(0)
    with torch.no_grad():
        net(torch.randn(100, 64))
    places = torch.cat(fed).flatten().sort().values
    ideal = torch.linspace(-1, 1, len(places))
    assert (places - ideal).abs().max() < 0.06  # of a length of 2: beyond it once in ten thousand samples (Kolmogorov)


def test_an_evaluated_decoder_stays_within_the_range_of_pictures() -> None:
    net = BeganGenerator(64, latent_dim=4, width=2)
    net.decoder.colours.weight.data *= 1000
    latents = torch.randn(4, 4)
    assert net(latents).abs().max() > 1
    assert net.eval()(latents).abs().max() == 1


def test_what_comes_back_well_scores_higher() -> None:
    torch.manual_seed(0)
    net = BeganAutoencoder(64, hidden=4, width=2)
    pictures = torch.rand(3, 3, 64, 64) * 2 - 1
    back = net.reconstruct(pictures)
    torch.testing.assert_close(net(pictures)[:, 0], -(pictures - back).abs().mean(dim=(1, 2, 3)))
    net.decoder = nn.Sequential()  # type: ignore[assignment]
    net.decoder.first = nn.Linear(1, 1)  # only asked for its number format
    net.decoder.forward = lambda codes: pictures  # type: ignore[method-assign]
    assert (net(pictures) == 0).all()


@pytest.mark.parametrize("norm", ["batch", "batch-own", "layer", "per-sample", "spectral", "none"])
def test_a_finished_discriminator_judges_each_picture_alone_and_comes_back_from_its_file(
    norm: Norm, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = DcganDiscriminator(64, width=4, norm=norm)
    pictures = torch.randn(5, 3, 64, 64)
    net(pictures)
    net.eval()
    torch.testing.assert_close(net(pictures)[2:3], net(pictures[2:3]), rtol=0, atol=1e-5)
    save_model(tmp_path / "m.safetensors", "generator", BeganGenerator(64, 4, 2), net, {}, half=False)
    back = load_model_file(tmp_path / "m.safetensors").critic
    assert back is not None
    assert torch.equal(back(pictures), net(pictures))


@pytest.mark.parametrize(("norm", "alone"), [("batch", False), ("layer", True), ("per-sample", True), ("none", True)])
def test_only_batch_norm_couples_the_pictures_while_training(norm: Norm, alone: bool) -> None:
    torch.manual_seed(0)
    net = DcganDiscriminator(64, width=4, norm=norm)
    pictures = torch.randn(5, 3, 64, 64)
    assert torch.allclose(net(pictures)[2:3], net(pictures[2:3]), rtol=0, atol=1e-5) == alone


def test_batch_statistics_of_one_picture_are_used_at_inference() -> None:
    torch.manual_seed(0)
    net = DcganDiscriminator(64, width=4, norm="batch-own")
    picture = torch.randn(1, 3, 64, 64)
    in_training = net(picture)
    net(torch.randn(8, 3, 64, 64) * 3)  # moves the running averages, which must not count
    torch.testing.assert_close(net.eval()(picture), in_training)


def test_spectral_norm_bounds_every_layer_after_some_steps() -> None:
    torch.manual_seed(0)
    net = DcganDiscriminator(64, width=4, norm="spectral")
    for _ in range(50):
        net(torch.randn(2, 3, 64, 64))
    net.eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)
            assert largest.item() == pytest.approx(1.0, abs=0.05)


def test_without_normalisation_the_signal_stays_alive() -> None:
    torch.manual_seed(0)
    assert 0.3 < DcganDiscriminator(128, width=16, norm="none")(torch.randn(8, 3, 128, 128)).std() < 5
