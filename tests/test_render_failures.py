"""What goes wrong while rendering: memory, numbers, shapes, settings."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from toy_upscalers import PLAIN, Net, nearest, plane, render

from upimagine.errors import UpimagineError
from upimagine.render.enlarge import Settings


def failing(net: Net, calls: set[int], error: Exception) -> Net:
    """The net, out of memory at these calls."""
    inner = net.enlarging

    def enlarging(tiles: Tensor) -> Tensor:
        if net.calls - 1 in calls:
            raise error
        return inner(tiles)

    net.enlarging = enlarging
    return net


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried ..."),
)


@pytest.mark.parametrize("index", range(12))
def test_out_of_memory_at_any_call_leaves_the_right_picture(index: int) -> None:
    settings = Settings(stride_px=5, feather_px=6, batch_tiles=4)
    expected, plain = render(plane(), nearest(), settings)
    net = failing(nearest(), {index}, OUT_OF_MEMORY[index % 3])
    picture, report = render(plane(), net, settings)
    assert plain.batch_tiles == 4
    assert report.batch_tiles == 2
    assert report.winners == plain.winners
    assert torch.allclose(picture, expected, atol=1e-6)


def test_out_of_memory_again_and_again_goes_down_to_one_tile_then_says_so() -> None:
    settings = Settings(stride_px=5, feather_px=6, batch_tiles=5)
    _, report = render(plane(), failing(nearest(), {0, 1, 2}, OUT_OF_MEMORY[0]), settings)
    assert report.batch_tiles == 1
    net = failing(nearest(), {0, 1, 2, 6}, OUT_OF_MEMORY[2])
    with pytest.raises(UpimagineError, match=r"out of memory on tile row 1, column 4") as error:
        render(plane(), net, settings)
    assert "\n" not in str(error.value)
    assert net.calls == 7


def test_other_errors_of_the_net_rise_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        render(plane(), failing(nearest(), {2}, RuntimeError("mat1 and mat2 shapes cannot be multiplied")), PLAIN)


def test_a_critic_out_of_memory_halves_too() -> None:
    class Tight:
        calls = 0

        def score(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
            self.calls += 1
            if len(pictures) > 2:
                raise MemoryError
            return pictures.mean((1, 2, 3))

    _, report = render(plane(), nearest(), Settings(stride_px=5, feather_px=6, batch_tiles=8), critic=Tight())
    assert report.batch_tiles == 2


# Broken networks


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused_by_tile(value: float) -> None:
    low = plane(20, 26)
    low[0, :, 8, 14] = 0.99  # a mark that only the tile at row 2, column 3 sees
    net = nearest()
    inner = net.enlarging

    def enlarging(tiles: Tensor) -> Tensor:
        outputs = inner(tiles).clone()
        marked = tiles[:, :3].amax((1, 2, 3)) > 0.98
        outputs[marked, 1, 3, 5] = value
        return outputs

    net.enlarging = enlarging
    with pytest.raises(UpimagineError, match="NaN or infinity on tile row 2, column 3"):
        render(low, net, Settings(stride_px=6, feather_px=4))


def test_a_wrong_shape_is_refused() -> None:
    net = Net(lambda x: F.interpolate(x, scale_factor=2), 4, 8)
    with pytest.raises(UpimagineError, match="scale"):
        render(plane(), net, PLAIN)


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UpimagineError, match="guide of shape"):
        render(plane(), nearest(guide_channels=3), PLAIN, guide=plane(10, 10))
    with pytest.raises(UpimagineError, match="guide channels"):
        render(plane(), nearest(), PLAIN, guide=plane())
    with pytest.raises(UpimagineError, match="shape"):
        render(plane(channels=1), nearest(), PLAIN)
    with pytest.raises(UpimagineError, match="NaN"):
        render(plane() * float("nan"), nearest(), PLAIN)
    with pytest.raises(UpimagineError, match="stride"):
        render(plane(), nearest(), Settings(stride_px=9))


@pytest.mark.parametrize(
    "values",
    [
        {"stride_px": 0},
        {"feather_px": -1},
        {"ramp": "k/O"},
        {"batch_tiles": 0},
        {"veto_db": float("nan")},
        {"floor_db": float("inf")},
        {"realism": float("inf")},
        {"agreement": -1.0},
        {"tone_match": -1},
    ],
)
def test_settings_that_cannot_work_say_which(values: dict[str, float]) -> None:
    with pytest.raises(UpimagineError, match=next(iter(values))):
        Settings(**values)


# Guides
