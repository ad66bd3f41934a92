"""A whole enlargement with toy networks: sizes, blending, guide, report."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor
from toy_upscalers import PLAIN, Net, Wishing, inventing, nearest, plane, render

from upimagine.render.enlarge import MemorySink, Settings, enlarge
from upimagine.render.joined import Blend


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_nearest_net_gives_the_nearest_picture_at_any_size_and_stride(data: st.DataObject) -> None:
    window, scale = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    low = plane(data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24)))
    settings = Settings(
        stride_px=data.draw(st.integers(1, window)),
        feather_px=data.draw(st.none() | st.integers(0, 20)),
        flips=data.draw(st.booleans()),
        contrasts=data.draw(st.sampled_from([(1.0,), (0.9, 1.1)])),
        saturations=data.draw(st.sampled_from([(1.0,), (0.8,)])),
        sharpness=1.0 if window * scale >= 3 else 0.0,
        tone_match=data.draw(st.integers(0, 2)),
        batch_tiles=data.draw(st.integers(1, 9)),
    )
    picture, report = render(low, nearest(scale, window), settings)
    expected = F.interpolate(low, scale_factor=scale, mode="nearest")
    assert picture.shape == expected.shape
    assert torch.allclose(picture, expected, atol=1e-5)
    assert report.tiles == report.plan.rows * report.plan.cols == sum(len(row) for row in report.winners)


def test_a_bilinear_net_in_tiles_equals_the_whole_picture_at_once() -> None:
    low = plane(40, 61)
    net = Net(lambda x: F.interpolate(x, scale_factor=8, mode="bilinear"), 8, 16)
    # Overlap 6 px; the outermost low-res pixel of a tile knows too little, and a feather of 4 px stays clear of it.
    picture, _ = render(low, net, Settings(stride_px=10, feather_px=32, tone_match=0))
    assert torch.allclose(picture, F.interpolate(low, scale_factor=8, mode="bilinear"), atol=1e-6)
    unclear, _ = render(low, net, Settings(stride_px=15, feather_px=None, tone_match=0))
    assert not torch.allclose(unclear, F.interpolate(low, scale_factor=8, mode="bilinear"), atol=1e-3)


def test_constant_in_constant_out() -> None:
    low = torch.tensor([0.3, -0.7, 1.0]).view(1, 3, 1, 1).expand(1, 3, 19, 33)
    picture, _ = render(low, nearest(), PLAIN)
    assert torch.allclose(picture, low[:, :, :1, :1].expand_as(picture), atol=1e-6)


def test_repeating_gives_the_same_bytes_and_batches_hardly_matter() -> None:
    low = plane()
    first, report = render(low, inventing(), PLAIN)
    again, _ = render(low, inventing(), PLAIN)
    assert torch.equal(first, again)
    for batch in (1, 3, 50):
        net = inventing()
        other, _ = render(low, net, Settings(stride_px=5, feather_px=6, batch_tiles=batch))
        assert torch.allclose(first, other, atol=1e-4)
        per_row = -(-report.plan.cols * 2 // batch)
        assert net.calls == report.plan.rows * per_row


def test_a_net_that_reuses_its_output_memory_leaves_no_stale_tile() -> None:
    fresh, shared = inventing(), inventing()
    memory = torch.empty(8, 3, 32, 32)
    inner = shared.enlarging
    shared.enlarging = lambda tiles: memory[: len(tiles)].copy_(inner(tiles))
    settings = Settings(stride_px=5, feather_px=6, tone_match=0)
    assert torch.equal(render(plane(), shared, settings)[0], render(plane(), fresh, settings)[0])


def test_half_precision_and_channels_last_outputs_are_welcome() -> None:
    net = nearest()
    inner = net.enlarging
    net.enlarging = lambda tiles: inner(tiles).bfloat16().contiguous(memory_format=torch.channels_last)
    picture, _ = render(plane(), net, PLAIN)
    assert picture.dtype == torch.float32
    assert torch.allclose(picture, F.interpolate(plane(), scale_factor=4), atol=0.01)


# Out of memory


def test_the_guide_reaches_the_net_in_its_place_and_is_mirrored_with_the_picture() -> None:
    net = Net(lambda x: F.interpolate(x[:, 3:], scale_factor=4, mode="nearest"), 4, 8, 3)
    guide = plane(seed=8)
    mirrored = Settings(stride_px=5, feather_px=6, tone_match=0, veto_db=500.0, sharpness=0.0)
    for wished in (1.0, -1.0):
        seen: list[float] = []

        def wish(pictures: Tensor, context: Tensor, wished: float = wished, seen: list[float] = seen) -> Tensor:
            expected = F.interpolate(context[:, 3:], scale_factor=4, mode="nearest")
            seen.append(float((pictures - expected).abs().max()))
            return torch.arange(len(pictures)) * wished  # later candidates are mirrored ones

        picture, _ = render(plane(), net, mirrored, guide=guide, critic=Wishing(wish))
        assert max(seen) < 1e-6
        assert torch.allclose(picture, F.interpolate(guide, scale_factor=4), atol=1e-6)


def test_no_guide_is_an_empty_guide() -> None:
    net = Net(lambda x: F.interpolate(x[:, 3:], scale_factor=4, mode="nearest"), 4, 8, 3)
    picture, _ = render(plane(), net, Settings(stride_px=5, tone_match=0))
    assert torch.allclose(picture, -torch.ones_like(picture), atol=1e-6)


# Choosing


def test_tone_match_holds_a_drifting_net_to_the_low_res_plane() -> None:
    low = F.interpolate(plane(5, 7), size=(20, 28), mode="bicubic") * 0.7

    def drifting(tiles: Tensor) -> Tensor:
        cast = tiles[:, :3].mean((2, 3), keepdim=True) * 0.4 + 0.1
        return F.interpolate(tiles[:, :3], scale_factor=4, mode="bilinear") + cast

    def psnr(iterations: int) -> float:
        settings = Settings(stride_px=5, feather_px=6, tone_match=iterations)
        picture, _ = render(low, Net(drifting, 4, 8), settings)
        return float(10 * torch.log10(4 / (F.avg_pool2d(picture, 4) - low).square().mean()))

    assert psnr(0) < 26
    assert psnr(2) > 40


def test_stages_can_be_chained_and_the_picture_is_an_ordinary_tensor() -> None:
    first, _ = render(plane(), nearest(2), PLAIN)
    second, _ = render(first, nearest(4), PLAIN)
    assert torch.allclose(second, F.interpolate(plane(), scale_factor=8), atol=1e-5)
    assert not second.is_inference()


def test_pictures_smaller_than_the_window_see_their_own_reflection() -> None:
    seen = []

    def enlarging(tiles: Tensor) -> Tensor:
        seen.append(tiles)
        return F.interpolate(tiles, scale_factor=2, mode="nearest")

    low = plane(3, 12)
    picture, _ = render(low, Net(enlarging, 2, 8), Settings(stride_px=4, flips=False))
    assert torch.equal(seen[0][0], low[0, :, [0, 1, 2, 2, 1, 0, 0, 1], :8])
    assert torch.allclose(picture, F.interpolate(low, scale_factor=2), atol=1e-6)


@pytest.mark.parametrize("blend", ["feather", "cut"])
@pytest.mark.parametrize(("height", "width"), [(40, 27), (16, 20), (3, 50)])
def test_what_a_network_does_at_the_end_of_its_sight_is_not_in_the_picture(
    height: int, width: int, blend: Blend
) -> None:
    low = plane(height, width)
    rim = torch.ones(64, 64)
    rim[4:-4, 4:-4] = 0  # a low-res pixel wide, as zeros beyond the tile's edge make it

    def enlarging(tiles: Tensor) -> Tensor:
        return F.interpolate(tiles[:, :3], scale_factor=4, mode="nearest") + rim

    expected = F.interpolate(low, scale_factor=4, mode="nearest")
    settings = Settings(stride_px=8, blend=blend, feather_px=4, flips=False, tone_match=0)
    spoiled, _ = render(low, Net(enlarging, 4, 16), settings)
    clean, report = render(low, Net(enlarging, 4, 16), dataclasses.replace(settings, border_px=4))
    assert float((spoiled - expected).abs().max()) > 0.1
    assert torch.allclose(clean, expected, atol=1e-5)
    assert report.plan.height_px == max(height, 16) + 8


def test_the_report_fits_into_json_and_progress_reaches_the_end() -> None:
    steps: list[tuple[int, int]] = []
    sink = MemorySink()
    report = enlarge(
        plane(),
        nearest(),
        guide=None,
        critic=None,
        settings=PLAIN,
        sink=sink,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps[-1] == (report.tiles, report.tiles)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    told = json.loads(json.dumps(report.as_dict()))
    assert told["variants"][1]["flip"]
    assert len(told["winners"]) == report.plan.rows
    assert 0 < report.network_s < report.total_s
    assert 0 < report.outside_share < 1


def test_inference_mode_around_it_changes_nothing() -> None:
    """Tensors made in that mode could not be changed by the threads that finish tiles."""
    settings = Settings(stride_px=5, feather_px=6)
    wanted, _ = render(plane(), inventing(), settings)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with torch.inference_mode():
        found, _ = render(plane(), inventing(), settings)
    torch.set_num_threads(before)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("candidates", [1, 6])
def test_large_rows_without_a_spare_buffer_give_the_same_bytes(
    candidates: int, wrap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such rows take each other's place; what is still being joined must not change with them."""
    settings = dataclasses.replace(PLAIN, best_of=candidates, stride_px=5, wrap=wrap)
    low = plane(48, 40)
    with_spare, _ = render(low, inventing(), settings)
    monkeypatch.setattr("upimagine.render.rows._BUFFER_BYTES", 0)
    for _ in range(3):  # threads meet otherwise each time
        assert torch.equal(render(low, inventing(), settings)[0], with_spare)
