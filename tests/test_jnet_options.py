"""The J-net's options: each does what it says, and none changes the network that has none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from upimagine.losses.feature_matching import feature_matching
from upimagine.losses.laplacian import laplacian_l1, laplacian_pyramid
from upimagine.losses.low_res import low_res_l1
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import load_upscaler
from upimagine.nets.jnet import JNet, JNetDiscriminator, enlarge_smoothly
from upimagine.train.begin import begin_with

TINY = 1 / 16
OPTIONS = {
    "resize": {"up": "resize"},
    "batch": {"norm": "batch"},
    "dropout": {"dropout_px": (2, 4, 8)},
    "noise": {"noise_channels": 2},
    "low": {"low_px": (64, 256)},
    "residual": {"residual_blocks": 2},
}


def made(**options: object) -> JNet:
    torch.manual_seed(5)
    net = JNet(0, TINY, "residual", **options)  # type: ignore[arg-type]
    nn.init.normal_(net.out.weight, 0.0, 0.05)
    return net.eval()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option_keeps_the_shape_and_comes_back_from_its_file(options: dict[str, object], tmp_path: Path) -> None:
    net = made(**options)
    tiles = torch.rand(2, 3, 32, 32) * 2 - 1
    pictures = net(tiles)
    assert pictures.shape == (2, 3, 256, 256)
    save_model(tmp_path / "m.safetensors", "upscaler", net, JNetDiscriminator(3, 4), {}, half=False)
    back = load_model_file(tmp_path / "m.safetensors").main
    torch.testing.assert_close(back(tiles), pictures, rtol=0, atol=0)


def test_without_options_the_weights_are_named_as_ever() -> None:
    names = set(JNet(0, TINY).state_dict())
    assert {name.partition(".")[0] for name in names} == {"stem", "down", "up", "fuse", "refine", "out"}
    with pytest.raises(ValueError, match="deconv or resize"):
        JNet(0, TINY, up="nearest")  # type: ignore[arg-type]


def test_the_seeds_network_has_its_parameters_with_options_left_away() -> None:
    with torch.device("meta"):
        plain, more = JNet(), JNet(residual_blocks=1)
    count = [sum(p.numel() for p in net.parameters()) for net in (plain, more)]
    assert count[0] == 40_556_867
    assert count[1] - count[0] == sum(2 * (9 * c * c + c) for c in (512, 256, 128, 64))


def test_new_residual_blocks_change_nothing_until_they_learn(tmp_path: Path) -> None:
    old, tiles = made(), torch.rand(1, 3, 32, 32)
    save_model(tmp_path / "old.safetensors", "upscaler", old, JNetDiscriminator(3, 4), {}, half=False)
    new = made(residual_blocks=2)
    begin_with(tmp_path / "old.safetensors", new, JNetDiscriminator(3, 4))
    assert torch.equal(new(tiles), old(tiles))
    new(tiles).square().mean().backward()
    grown = new.residual["64"][0].second.weight.grad  # type: ignore[index, union-attr]
    assert grown is not None
    assert grown.abs().max() > 0


@pytest.mark.parametrize("name", ["dropout", "noise"])
def test_chance_comes_from_the_seeds_alone_whatever_the_batch(name: str, tmp_path: Path) -> None:
    net = made(**OPTIONS[name])
    tile = torch.rand(1, 3, 32, 32)
    three = net(tile.expand(3, -1, -1, -1), torch.tensor([4, 9, 4]))
    assert torch.equal(three[0], three[2])
    assert (three[0] - three[1]).abs().max() > 1e-4
    assert torch.equal(net(tile), net(tile))  # no seeds, no chance
    save_model(tmp_path / "m.safetensors", "upscaler", net, None, {}, half=False)
    upscaler = load_upscaler(tmp_path / "m.safetensors", "cpu", "float32")
    pair = upscaler.upscale(torch.cat((tile, tile + 0.01)))
    torch.testing.assert_close(upscaler.upscale(tile)[0], pair[0], rtol=0, atol=1e-5)
    assert not torch.equal(upscaler.upscale(tile), net(tile))  # the tile itself says what is left to chance


def test_resize_convolution_leaves_no_checkerboard_on_a_flat_tile() -> None:
    """One resize-convolution of a flat map is flat inside; a deconvolution alternates with a period of two."""
    flat = torch.ones(1, 3, 32, 32) * 0.3

    def alternation(up: str) -> float:
        torch.manual_seed(2)
        step = JNet(0, TINY, up=up).up[-1]  # type: ignore[arg-type]
        maps = step(torch.ones(1, next(step.parameters()).shape[0 if up == "deconv" else 1], 16, 16))[..., 4:-4, 4:-4]
        return float((maps[..., ::2, :] - maps[..., 1::2, :]).detach().abs().max())

    assert alternation("deconv") > 1e-2
    assert alternation("resize") < 1e-5
    assert made(up="resize")(flat).isfinite().all()


def test_low_res_input_at_a_scale_reaches_the_decoder_there() -> None:
    net = made(low_px=(128,))
    level = 6  # 128 px
    assert net.fuse[level].in_channels == net.fuse[level].out_channels + 3  # type: ignore[operator]
    seen: list[torch.Tensor] = []
    net.fuse[level].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    tile = torch.rand(1, 3, 32, 32)
    net(tile)
    torch.testing.assert_close(F.avg_pool2d(seen[0][:, -3:], 4), tile)


def test_a_laplacian_pyramid_adds_up_and_its_levels_weigh_alone() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    levels = laplacian_pyramid(a, 4)
    assert [level.shape[-1] for level in levels] == [64, 32, 16, 8]
    flat = laplacian_pyramid(torch.full((1, 3, 64, 64), 0.5), 4)
    assert all(level.abs().max() < 1e-6 for level in flat[:-1])
    torch.testing.assert_close(flat[-1], torch.full((1, 3, 8, 8), 0.5))
    each = [laplacian_l1(a, b, [float(i == j) for j in range(4)]) for i in range(4)]
    torch.testing.assert_close(
        laplacian_l1(a, b, (1, 2, 3, 4)), sum(w * x for w, x in zip((1, 2, 3, 4), each, strict=True))
    )
    assert laplacian_l1(a, a, (1, 1, 1, 1)) == 0
    # Like the J-net's low-res L1, the coarsest level alone lets fine noise go free.
    noisy = a + 0.2 * torch.randn(a.shape)
    fine, coarse = laplacian_l1(noisy, a, (1, 0, 0, 0)), laplacian_l1(noisy, a, (0, 0, 0, 1))
    assert coarse < 0.2 * fine
    assert low_res_l1(noisy, a) < 0.2 * fine
    with pytest.raises(ValueError, match="no pyramid"):
        laplacian_pyramid(torch.rand(1, 3, 36, 36), 4)


def test_feature_matching_pulls_the_made_pictures_only() -> None:
    torch.manual_seed(0)
    judge = JNetDiscriminator(3, 4)
    low, high = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 256, 256)
    fake = torch.rand(2, 3, 256, 256, requires_grad=True)
    loss = feature_matching(judge.features(fake, low), judge.features(high, low))
    loss.backward()
    assert fake.grad is not None
    assert fake.grad.abs().max() > 0
    assert feature_matching(judge.features(high, low), judge.features(high, low)) == 0


@pytest.mark.parametrize("size", [(32, 32), (96, 64)])
def test_smooth_enlargement_is_bicubic(size: tuple[int, int]) -> None:
    low = torch.rand(2, 3, *size) * 2 - 1
    wanted = F.interpolate(low, scale_factor=8, mode="bicubic", align_corners=False)
    torch.testing.assert_close(enlarge_smoothly(low), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_overwriting_maps_changes_nothing(options: dict[str, object]) -> None:
    net, tile = made(**options), torch.rand(2, 3, 32, 32)
    given = tile.clone()
    with torch.inference_mode():
        spared = net(tile)
    assert torch.equal(tile, given)
    assert torch.equal(spared, net(tile).detach())
