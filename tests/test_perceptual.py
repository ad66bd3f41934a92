from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.losses.perceptual import PerceptualLoss
from upimagine.losses.unit_distance import unit_distance
from upimagine.nets.vgg import DEFAULT_LAYERS, Vgg16Features, VggFeatures, load_vgg, load_vgg16


@pytest.fixture(scope="module")
def network() -> Vgg16Features:
    torch.manual_seed(0)
    return Vgg16Features()


def picture(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def plain_chain(state: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """VGG16 written out by hand from torchvision's key names."""
    x = (x + 1) / 2
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    maps = {}
    blocks = {"relu1_2": (0, 2), "relu2_2": (5, 7), "relu3_3": (10, 12, 14), "relu4_3": (17, 19, 21)}
    for name, indices in blocks.items():
        if name != "relu1_2":
            x = F.max_pool2d(x, 2)
        for i in indices:
            x = F.relu(F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1))
        maps[name] = x
    return maps


def test_forward_is_the_plain_chain(network: Vgg16Features) -> None:
    x = picture(1, 2, 3, 40, 56)
    maps = network(x)
    expected = plain_chain(network.state_dict(), x)
    assert tuple(maps) == DEFAULT_LAYERS
    for name, wanted in expected.items():
        torch.testing.assert_close(maps[name], wanted)
    assert maps["relu4_3"].shape == (2, 512, 5, 7)


def test_computes_no_deeper_than_asked(network: Vgg16Features) -> None:
    # 2 px cannot be pooled three times, so the deep layers would fail.
    tiny = picture(2, 1, 3, 2, 2)
    assert set(network(tiny, ("relu1_2",))) == {"relu1_2"}
    with pytest.raises(RuntimeError):
        network(tiny)


def test_unknown_layer_and_grey_picture_are_refused(network: Vgg16Features) -> None:
    with pytest.raises(ValueError, match="relu9_9"):
        network(picture(3, 1, 3, 16, 16), ("relu9_9",))
    with pytest.raises(ValueError, match="N, 3, H, W"):
        network(picture(3, 1, 1, 16, 16))


def test_keys_are_those_of_torchvision_and_nothing_trains(network: Vgg16Features) -> None:
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
    assert set(network.state_dict()) == {f"features.{i}.{kind}" for i in convolutions for kind in ("weight", "bias")}
    assert sum(p.numel() for p in network.parameters()) == 7_635_264
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training


def test_loads_half_precision_and_passes_over_deeper_layers(network: Vgg16Features, tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in network.state_dict().items()}
    state["features.24.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "vgg.safetensors")
    loaded = load_vgg16(tmp_path / "vgg.safetensors")
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[name].float())


def one_line(error: pytest.ExceptionInfo[UpimagineError], path: Path) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_vgg19_loads_by_its_own_names_and_is_no_measure(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = VggFeatures(19)
    assert [net.layer_index[name] for name in ("relu1_1", "relu3_4", "relu4_4", "relu5_4")] == [1, 17, 26, 35]
    assert net.block_ends == ("relu1_2", "relu2_2", "relu3_4", "relu4_4")
    path = tmp_path / "vgg19.safetensors"
    save_file({name: value.half() for name, value in net.state_dict().items()}, path)
    loaded = load_vgg(path)
    assert loaded.depth == 19
    shown = torch.rand(1, 3, 32, 32)
    want = net(shown, ["relu5_4"])["relu5_4"]
    torch.testing.assert_close(loaded(shown, ["relu5_4"])["relu5_4"], want, rtol=2e-2, atol=1e-4)
    with pytest.raises(UpimagineError, match="not VGG16 but VGG19") as error:
        load_vgg16(path)
    one_line(error, path)


def test_another_network_is_refused(network: Vgg16Features, tmp_path: Path) -> None:
    path = tmp_path / "vgg11.safetensors"
    # The same first blocks, but what is deeper has other numbers.
    state = {name: t for name, t in network.state_dict().items() if int(name.split(".")[1]) <= 14}
    state["features.18.weight"] = torch.zeros(512, 512, 3, 3)
    save_file(state, path)
    with pytest.raises(UpimagineError, match="not VGG16 or VGG19") as error:
        load_vgg(path)
    assert "features.17.weight" in one_line(error, path)
    state["features.16.weight"] = torch.zeros(256, 256, 3, 3)  # VGG19, cut short
    save_file({name: t.clone() for name, t in state.items()}, path)
    with pytest.raises(UpimagineError, match="not VGG19") as error:
        load_vgg(path)
    assert "is missing" in one_line(error, path)


def test_a_download_is_opened_only_if_it_is_the_published_one(tmp_path: Path) -> None:
    path = tmp_path / "vgg16-397923af.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)  # a pickle of anybody's
    with pytest.raises(UpimagineError, match="SHA-256 begins with") as error:
        load_vgg(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:8] in one_line(error, path)


def test_wrong_shape_is_refused(network: Vgg16Features, tmp_path: Path) -> None:
    path = tmp_path / "narrow.safetensors"
    state = dict(network.state_dict())
    state["features.7.weight"] = torch.zeros(64, 128, 3, 3)
    save_file(state, path)
    with pytest.raises(UpimagineError, match="not VGG16") as error:
        load_vgg16(path)
    assert "(64, 128, 3, 3)" in one_line(error, path)


def test_no_file_and_broken_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match="no such file") as error:
        load_vgg16(tmp_path / "none.safetensors")
    one_line(error, tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"this is not a weight file at all")
    with pytest.raises(UpimagineError, match="not a readable") as error:
        load_vgg16(broken)
    one_line(error, broken)


def test_loss_is_zero_for_equal_and_by_definition_otherwise(network: Vgg16Features) -> None:
    a, b = picture(4, 2, 3, 32, 32), picture(5, 2, 3, 32, 32)
    loss = PerceptualLoss(network, crop_px=None)
    assert float(loss(a, a)) == 0
    fa, fb = plain_chain(network.state_dict(), a), plain_chain(network.state_dict(), b)
    expected = [(fa[n] - fb[n]).abs().mean() / fb[n].abs().mean() for n in ("relu1_2", "relu2_2", "relu3_3")]
    torch.testing.assert_close(loss(a, b), torch.stack(expected).mean())


class Doubled(nn.Module):
    """Feature maps scaled by a constant a layer: a loss in which layers weigh alike must not notice."""

    def __init__(self, network: Vgg16Features) -> None:
        super().__init__()
        self.network, self.block_ends = network, network.block_ends

    def forward(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        return {name: t * 10**i for i, (name, t) in enumerate(self.network(x, layers).items())}


def test_layers_weigh_alike_whatever_their_activations(network: Vgg16Features) -> None:
    a, b = picture(4, 1, 3, 32, 32), picture(5, 1, 3, 32, 32)
    plain = PerceptualLoss(network, crop_px=None)(a, b)
    scaled = PerceptualLoss(Doubled(network), crop_px=None)(a, b)
    torch.testing.assert_close(plain, scaled)


def test_gradient_reaches_the_output_only(network: Vgg16Features) -> None:
    output, target = picture(6, 2, 3, 48, 48).requires_grad_(), picture(7, 2, 3, 48, 48).requires_grad_()
    PerceptualLoss(network, crop_px=24)(output, target, torch.Generator().manual_seed(0)).backward()
    assert target.grad is None
    assert output.grad is not None
    for row in output.grad:
        touched = row.abs().sum(0).nonzero()
        height, width = (touched.amax(0) - touched.amin(0) + 1).tolist()
        assert height <= 24
        assert width <= 24
        assert len(touched) > 24 * 24 * 0.9


def test_crop_follows_the_generator(network: Vgg16Features) -> None:
    a, b = picture(8, 1, 3, 64, 64), picture(9, 1, 3, 64, 64)
    loss = PerceptualLoss(network, crop_px=16)
    values = [float(loss(a, b, torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)]
    assert values[0] == values[1]
    assert values[0] != values[2]
    torch.manual_seed(1)
    first = float(loss(a, b))
    torch.manual_seed(1)
    assert float(loss(a, b)) == first


def test_crop_lies_at_the_same_place_in_both(network: Vgg16Features) -> None:
    a = picture(10, 3, 3, 64, 64)
    assert float(PerceptualLoss(network, crop_px=16)(a, a.clone())) == 0


def test_small_pictures_are_used_whole(network: Vgg16Features) -> None:
    a, b = picture(11, 1, 3, 20, 32), picture(12, 1, 3, 20, 32)
    whole = PerceptualLoss(network, crop_px=None)(a, b)
    torch.testing.assert_close(PerceptualLoss(network, crop_px=96)(a, b), whole)


def test_unequal_shapes_are_refused(network: Vgg16Features) -> None:
    with pytest.raises(ValueError, match="differ"):
        PerceptualLoss(network)(picture(1, 1, 3, 32, 32), picture(1, 1, 3, 16, 16))


def test_bf16_autocast_and_channels_last_agree_with_float32(network: Vgg16Features) -> None:
    a, b = picture(13, 2, 3, 40, 40), picture(14, 2, 3, 40, 40)
    loss = PerceptualLoss(network, crop_px=32)
    plain = loss(a, b, torch.Generator().manual_seed(3))
    last_a, last_b = (t.to(memory_format=torch.channels_last) for t in (a, b))
    torch.testing.assert_close(loss(last_a, last_b, torch.Generator().manual_seed(3)), plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(last_a, last_b, torch.Generator().manual_seed(3))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, rtol=0.03, atol=0)


def test_unit_distance_is_that_of_the_measure_and_reaches_the_output_alone() -> None:
    from upimagine.measure.features import feature_distance
    from upimagine.nets.vgg import Vgg16Features

    torch.manual_seed(0)
    features = Vgg16Features()
    output, target = (torch.rand(1, 3, 64, 64) * 2 - 1 for _ in range(2))
    output.requires_grad_()
    loss = PerceptualLoss(features, crop_px=None, distance="unit")(output, target)
    # Random weights shrink activations, so the loss's floor shows a little here.
    assert loss.item() == pytest.approx(feature_distance(features, output.detach(), target).unit, rel=0.2)
    loss.backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert PerceptualLoss(features, distance="unit")(target, target).item() == pytest.approx(0, abs=1e-7)


def unit_vectors_apart(a: Tensor, b: Tensor) -> Tensor:
    """The formula as it reads."""
    units = [x / (x.square().sum(1, keepdim=True) + 1e-2).sqrt() for x in (a, b)]
    return (units[0] - units[1]).square().sum(1).mean()


def test_the_unit_distance_and_its_gradient_are_those_of_the_formula() -> None:
    a, b = picture(7, 2, 5, 4, 3).double(), picture(8, 2, 5, 4, 3).double()
    a[0, :, 0, 0] = 0  # a dead place
    ours, plain = a.clone().requires_grad_(), a.clone().requires_grad_()
    (3 * unit_distance(ours, b)).backward()
    (3 * unit_vectors_apart(plain, b)).backward()
    assert ours.grad is not None and plain.grad is not None
    torch.testing.assert_close(unit_distance(a, b), unit_vectors_apart(a, b), rtol=1e-12, atol=0)
    torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-10, atol=1e-14)
    assert abs(float(unit_distance(a, a))) < 1e-15


def test_the_unit_distance_of_bf16_maps_is_close_to_the_exact_one() -> None:
    a, b = picture(9, 2, 64, 8, 8).relu(), picture(10, 2, 64, 8, 8).relu()
    rounded = unit_distance(a.bfloat16(), b.bfloat16())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, unit_vectors_apart(a, b), rtol=2e-3, atol=0)
