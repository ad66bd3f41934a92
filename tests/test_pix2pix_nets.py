"""U-Net and PatchGAN: layer tables, what a logit sees, what the statistics and the noise depend on."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from upimagine.nets.chance import draws_of, drop_half
from upimagine.nets.pix2pix import PatchDiscriminator, Statistics, UNet


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("size_px", "parameters"), [(128, 41_828_995), (256, 54_413_955), (512, 66_998_915)])
def test_the_u_net_has_the_published_parameter_counts(size_px: int, parameters: int) -> None:
    with torch.device("meta"):
        net = UNet(size_px)
    assert count(net) == parameters


@pytest.mark.parametrize(("patch_px", "logits"), [(1, 256), (16, 126), (34, 62), (70, 30), (142, 14), (286, 6)])
def test_the_discriminator_gives_a_map_of_logits(patch_px: int, logits: int) -> None:
    with torch.device("meta"):
        net = PatchDiscriminator(patch_px)
        assert net(torch.empty(2, 3, 256, 256), torch.empty(2, 3, 32, 32)).shape == (2, 1, logits, logits)
    if patch_px == 70:
        assert count(net) == 2_768_705


@pytest.mark.parametrize("patch_px", [1, 16, 34, 70])
def test_a_logit_sees_exactly_its_patch(patch_px: int) -> None:
    torch.manual_seed(0)
    net = PatchDiscriminator(patch_px, width=4).double().eval()  # by its averages: statistics would see everything
    size = max(8, 3 * patch_px)
    pictures = torch.rand(1, 3, size, size, dtype=torch.float64).requires_grad_()
    logits = net(pictures, torch.zeros(1, 3, size, size, dtype=torch.float64))
    middle = logits.shape[2] // 2
    (seen,) = torch.autograd.grad(logits[0, 0, middle, middle], pictures)
    rows = seen[0].abs().sum((0, 2)).nonzero().flatten()
    assert len(rows) == patch_px == int(rows[-1] - rows[0]) + 1
    inside, outside = int(rows[0]), int(rows[0]) - 1
    for row, changes in ((inside, True), (outside, False), (int(rows[-1]), True), (int(rows[-1]) + 1, False)):
        changed = pictures.detach().clone()
        changed[0, :, row] += 1.0
        after = net(changed, torch.zeros_like(changed))[0, 0, middle, middle]
        assert bool(after != logits[0, 0, middle, middle]) is changes


def test_the_largest_patch_adds_two_steps_of_stride_two() -> None:
    strides = [m.stride[0] for m in PatchDiscriminator(286, width=1).layers if isinstance(m, nn.Conv2d)]
    seen = 1
    for stride in reversed(strides):
        seen = (seen - 1) * stride + 4
    assert seen == 286


@pytest.mark.parametrize(("size_px", "scale"), [(128, 1), (256, 8), (128, 32)])
def test_shapes(size_px: int, scale: int) -> None:
    net = UNet(size_px, width=2, scale=scale)
    made = net(torch.rand(1, 3, size_px // scale, size_px // scale) * 2 - 1)
    assert made.shape == (1, 3, size_px, size_px)
    assert made.abs().max() <= 1
    assert net.window_px == size_px // scale


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"size_px": 96}, {"scale": 7}, {"statistics": "moving"}):
        with pytest.raises(ValueError, match=r"choose|divide"):
            UNet(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="choose one of"):
        PatchDiscriminator(71)
    with pytest.raises(ValueError, match="pictures has shape"):
        UNet(128, 2)(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="given has shape"):
        PatchDiscriminator(70, 2)(torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 32, 16))


def test_the_bottleneck_has_no_norm_and_tells_pictures_apart() -> None:
    net = UNet(128, width=4)
    assert isinstance(net.down_norm[-1], nn.Identity)
    assert isinstance(net.down_norm[0], nn.Identity)
    assert sum(isinstance(norm, nn.BatchNorm2d) for norm in (*net.down_norm, *net.up_norm)) == 5 + 6
    codes: list[Tensor] = []
    net.down[-1].register_forward_hook(lambda module, inputs, output: codes.append(output))
    net.train()
    for _ in range(2):
        net(torch.rand(1, 3, 128, 128) * 2 - 1)
    assert codes[0].shape == (1, 32, 1, 1)
    assert not torch.allclose(codes[0], codes[1])


def pictures(number: int) -> Tensor:
    return torch.rand(number, 3, 128, 128, generator=torch.Generator().manual_seed(4)) * 2 - 1


@pytest.mark.parametrize("statistics", ["batch", "running", "instance"])
def test_after_training_a_picture_does_not_depend_on_its_batch_mates(statistics: Statistics) -> None:
    torch.manual_seed(0)
    net = UNet(128, width=4, statistics=statistics).eval()
    shown, seeds = pictures(3), torch.tensor([5, 6, 7])
    together = net(shown, seeds)
    for row in range(3):
        torch.testing.assert_close(net(shown[row : row + 1], seeds[row : row + 1])[0], together[row])


def test_batch_statistics_of_one_picture_are_what_training_saw() -> None:
    torch.manual_seed(0)
    net = UNet(128, width=4, dropout_px=())
    shown = pictures(2)
    trained = net.train()(shown[:1])
    torch.testing.assert_close(net.eval()(shown[:1]), trained)
    running = UNet(128, width=4, dropout_px=(), statistics="running")
    running.load_state_dict(net.state_dict())
    assert not torch.allclose(running.eval()(shown[:1]), trained, atol=1e-3)
    # While training, a batch shares its statistics; instances never do.
    assert not torch.allclose(net.train()(shown)[0], trained[0], atol=1e-3)
    alone = UNet(128, width=4, dropout_px=(), statistics="instance")
    alone.load_state_dict(net.state_dict())
    torch.testing.assert_close(alone.train()(shown)[0], trained[0])


def test_noise_comes_from_the_seeds_alone_and_only_where_dropout_is() -> None:
    torch.manual_seed(0)
    net = UNet(128, width=4).eval()
    shown = pictures(1).expand(4, -1, -1, -1)
    made = net(shown, torch.tensor([1, 2, 1, 3]))
    assert torch.equal(made[0], made[2])
    differ = [(made[a] - made[b]).abs().max() for a, b in itertools.combinations((0, 1, 3), 2)]
    assert min(differ) > 1e-4
    assert torch.equal(net(shown[:1]), net(shown[:1]))  # no seeds, no noise
    plain = UNet(128, width=4, dropout_px=()).eval()
    assert torch.equal(plain(shown[:1], torch.tensor([1])), plain(shown[:1], torch.tensor([2])))


def test_half_of_the_values_are_dropped_and_the_mean_stays() -> None:
    maps = torch.ones(2, 32, 8, 8)
    assert torch.equal(drop_half(maps, False, None), maps)
    for dropped in (drop_half(maps, True, None), drop_half(maps, False, draws_of(torch.tensor([0, 1])))):
        assert set(dropped.unique().tolist()) == {0.0, 2.0}
        assert abs(float(dropped.mean()) - 1) < 0.06
        assert not torch.equal(dropped[0], dropped[1])
