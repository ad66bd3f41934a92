"""Networks that look only so far: tiled equals whole, to the last bit of float32.

Networks run in float64 here: oneDNN picks another kernel for another size, which moves the last bit of float32 sums
whichever way a picture is cut (by 1e-7 at most; without oneDNN there is no difference).
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.render.enlarge import MemorySink, Settings, enlarge
from upimagine.render.exact import axis_spans, enlarge_exactly, halo_of
from upimagine.render.network import NetworkCalls
from upimagine.render.overlap import Finisher
from upimagine.render.radius import find_radius


class Net:
    """A module as an Upscaler with a finite radius."""

    guide_channels = 0

    def __init__(self, module: nn.Module, scale: int, radius_px: int | None, align_px: int = 1, window_px: int = 16):
        self.module, self.scale, self.radius_px, self.align_px = module, scale, radius_px, align_px
        self.window_px = window_px
        self.calls = 0

    def upscale(self, tiles: Tensor) -> Tensor:
        self.calls += 1
        output: Tensor = self.module(tiles.double())
        return output


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def srresnet(width: int = 8) -> nn.Module:
    """SRResNet with two blocks and no batch norm, x4: its radius is 4 + 2 + 2 + 1 + 1 + 1/2 + 1 = 11.5."""
    torch.manual_seed(0)
    return (
        nn.Sequential(
            nn.Conv2d(3, width, 9, 1, 4),
            nn.PReLU(),
            Block(width),
            Block(width),
            nn.Conv2d(width, width, 3, 1, 1),
            *(nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()),
            *(nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()),
            nn.Conv2d(width, 3, 9, 1, 4),
        )
        .eval()
        .double()
    )


def strided() -> nn.Module:
    """Half the size inside: down by a stride of 2, up again by 4."""
    torch.manual_seed(1)
    return (
        nn.Sequential(
            nn.Conv2d(3, 6, 4, 2, 1), nn.ReLU(), nn.Conv2d(6, 48, 3, 1, 1), nn.PixelShuffle(4), nn.Conv2d(3, 3, 3, 1, 1)
        )
        .eval()
        .double()
    )


def tiled(net: Net, picture: Tensor, core_px: int = 16, batch: int = 4) -> Tensor:
    sink = MemorySink()
    with NetworkCalls(batch, torch.device("cpu")) as calls, Finisher() as finisher:
        enlarge_exactly(picture, net, sink, calls, finisher, core_px=core_px)
    return sink.picture()


@pytest.mark.parametrize("size", [(40, 40), (37, 61), (16, 90), (5, 7), (33, 17)])
def test_tiled_equals_whole(size: tuple[int, int]) -> None:
    net = Net(srresnet(), 4, 12)
    picture = torch.rand(1, 3, *size) * 2 - 1
    with torch.inference_mode():
        whole = net.upscale(picture).clamp(-1, 1).float()
        assert torch.equal(tiled(net, picture), whole)


def test_a_halo_one_pixel_short_shows() -> None:
    net = Net(srresnet(), 4, 11)
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        error = (tiled(net, picture) - net.upscale(picture).clamp(-1, 1).float()).abs().max()
    assert 0 < error < 1e-2


@pytest.mark.parametrize("size", [(40, 40), (38, 62), (16, 90)])
def test_tiles_stay_on_the_grid_of_a_strided_network(size: tuple[int, int]) -> None:
    net = Net(strided(), 2, 0, align_px=2)
    net.radius_px = find_radius(net, 24)
    picture = torch.rand(1, 3, *size) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(tiled(net, picture, core_px=7), net.upscale(picture).clamp(-1, 1).float())
    with pytest.raises(UpimagineError, match="multiples of 2 px"):
        tiled(net, torch.zeros(1, 3, 39, 40))


def test_the_radius_is_found_whatever_the_weights() -> None:
    assert find_radius(Net(srresnet(), 4, None), 48) == 12
    dead = srresnet()
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    assert find_radius(Net(dead, 4, None), 48) == 12
    assert find_radius(Net(srresnet(), 4, None), 16) is None  # too small to tell
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Upsample(size=(96, 96)))
    assert find_radius(Net(pooled, 2, None), 48) is None


@given(length=st.integers(1, 200), core=st.integers(1, 64), halo=st.integers(0, 40))
@settings(deadline=None)
def test_cores_cover_every_pixel_once_and_halos_reach_as_far_as_there_is(length: int, core: int, halo: int) -> None:
    spans = axis_spans(length, core, halo)
    assert [pixel for span in spans for pixel in range(span.core_start, span.core_end)] == list(range(length))
    for span in spans:
        assert span.core_start - span.start >= min(halo, span.core_start)
        assert span.end - span.core_end >= min(halo, length - span.core_end)
    assert {span.end - span.start for span in spans} == {min(core + 2 * halo, length)}  # the same kernels for all


@pytest.mark.parametrize("size", [(33, 100), (99, 45), (38, 104), (72, 61)])
def test_tiled_equals_whole_to_the_last_bit_of_float32(size: tuple[int, int]) -> None:
    """Batches, and tiles smaller than others, would be up to 1e-7 off: other kernels are picked for them."""
    net = Net(srresnet(32).float(), 4, 12)
    net.upscale = net.module  # type: ignore[method-assign]
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    with torch.inference_mode():
        assert torch.equal(tiled(net, picture), net.module(picture).clamp(-1, 1))


def test_halos_hold_the_radius_on_the_grid() -> None:
    assert [halo_of(radius, 4) for radius in (0, 0.5, 4, 11.5)] == [0, 4, 4, 12]


@pytest.mark.parametrize("failing", range(0, 12, 2))
def test_out_of_memory_at_any_call_ends_in_the_same_picture_or_a_clear_error(failing: int) -> None:
    class Short(Net):
        """Fails once at a call, and always for tiles beyond a size."""

        def upscale(self, tiles: Tensor) -> Tensor:
            if self.calls == failing or tiles.shape[3] > 40:
                self.calls += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().upscale(tiles)

    net, picture = Short(srresnet(), 4, 12), torch.rand(1, 3, 50, 70) * 2 - 1
    with torch.inference_mode():
        whole = net.module(picture.double()).clamp(-1, 1).float()
    assert torch.equal(tiled(net, picture, core_px=32), whole)


def test_never_enough_memory_is_a_clear_error() -> None:
    class Hungry(Net):
        def upscale(self, tiles: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UpimagineError, match="out of memory on the tile"):
        tiled(Hungry(srresnet(), 4, 12), torch.zeros(1, 3, 50, 70))


def test_enlarge_takes_the_exact_way_by_itself() -> None:
    net = Net(srresnet(), 4, 12)
    picture = torch.rand(1, 3, 37, 50) * 2 - 1
    sink, told = MemorySink(), []
    report = enlarge(
        picture, net, guide=None, critic=None, settings=Settings(), sink=sink, progress=lambda *at: told.append(at)
    )
    with torch.inference_mode():
        assert torch.equal(sink.picture(), net.module(picture.double()).clamp(-1, 1).float())
    assert (report.plan.rows, report.plan.cols, report.tiles) == (3, 4, 12)
    assert told[-1][0] == told[-1][1]
