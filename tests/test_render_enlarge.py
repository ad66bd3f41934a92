import json
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.enlarge import MemorySink, Report, Settings, enlarge
from upimagine.roles import Critic, Upscaler


class Net:
    """An upscaler made of one function; counts its calls."""

    radius_px: int | None = None

    def __init__(self, enlarging: Callable[[Tensor], Tensor], scale: int, window_px: int, guide_channels: int = 0):
        self.enlarging, self.scale, self.window_px, self.guide_channels = enlarging, scale, window_px, guide_channels
        self.calls = 0

    def upscale(self, tiles: Tensor) -> Tensor:
        assert tiles.shape[1:] == (3 + self.guide_channels, self.window_px, self.window_px)
        self.calls += 1
        return self.enlarging(tiles)


def nearest(scale: int = 4, window_px: int = 8, guide_channels: int = 0) -> Net:
    return Net(lambda x: F.interpolate(x[:, :3], scale_factor=scale, mode="nearest"), scale, window_px, guide_channels)


def inventing(scale: int = 4, window_px: int = 8) -> Net:
    """Texture that depends on the whole tile, row by row: what a net with a global field does."""

    def enlarging(tiles: Tensor) -> Tensor:
        base = F.interpolate(tiles[:, :3], scale_factor=scale, mode="bilinear")
        phase = torch.arange(window_px * scale, dtype=torch.float32)
        weights = torch.linspace(0, 9, window_px**2 * 3)
        pitch = (tiles[:, :3].flatten(1) * weights).sum(1).view(-1, 1, 1, 1)
        return base + 0.1 * torch.sin(phase * pitch) * torch.cos(phase.view(-1, 1) * (pitch + 1))

    return Net(enlarging, scale, window_px)


def plane(height: int = 20, width: int = 27, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def render(
    low: Tensor, net: Upscaler, settings: Settings, guide: Tensor | None = None, critic: Critic | None = None
) -> tuple[Tensor, Report]:
    sink = MemorySink()
    report = enlarge(low, net, guide=guide, critic=critic, settings=settings, sink=sink)
    return sink.picture(), report


PLAIN = Settings(stride_px=5, feather_px=6)


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


class Wishing:
    """A critic made of one function."""

    def __init__(self, wish: Callable[[Tensor, Tensor], Tensor]):
        self.wish = wish

    def score(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None
        return self.wish(pictures, context)


def slanted(height: int = 20, width: int = 27) -> Tensor:
    """Brighter to the right, so that a net can tell a mirrored tile."""
    return torch.linspace(-0.5, 0.5, width).expand(1, 3, height, width).contiguous()


def is_mirrored(tiles: Tensor) -> Tensor:
    return (tiles[:, 0, :, 0] > tiles[:, 0, :, -1]).any(1).view(-1, 1, 1, 1)


def two_moods(when_mirrored: Tensor) -> Net:
    """Adds something to the enlarged tile when it was shown mirrored."""

    def enlarging(tiles: Tensor) -> Tensor:
        return F.interpolate(tiles[:, :3], scale_factor=4, mode="nearest") + is_mirrored(tiles) * when_mirrored

    return Net(enlarging, 4, 8)


def checkers(strength: float) -> Tensor:
    """Texture whose average over each low-res pixel is nothing."""
    lines = torch.arange(32)
    return (((lines + lines.view(-1, 1)) % 2) * 2.0 - 1.0) * strength


def flat(winners: tuple[tuple[int, ...], ...]) -> Iterator[int]:
    return (winner for row in winners for winner in row)


def test_the_sharper_candidate_wins_and_the_critic_can_outvote_it() -> None:
    settings = Settings(stride_px=5, feather_px=6, agreement=0.0)
    _, report = render(slanted(), two_moods(checkers(0.1)), settings)
    assert set(flat(report.winners)) == {1}
    softer = Wishing(lambda pictures, context: -pictures.diff(dim=-1).abs().mean((1, 2, 3)))
    doubled = Settings(stride_px=5, feather_px=6, agreement=0.0, realism=2.0)
    _, report = render(slanted(), two_moods(checkers(0.1)), doubled, critic=softer)
    assert set(flat(report.winners)) == {0}


def test_the_veto_keeps_a_sharp_liar_from_winning() -> None:
    liar = checkers(0.1) + 0.3
    tolerant = Settings(stride_px=5, feather_px=6, agreement=0.0, veto_db=500.0)
    assert set(flat(render(slanted(), two_moods(liar), tolerant)[1].winners)) == {1}
    strict = Settings(stride_px=5, feather_px=6, agreement=0.0, veto_db=3.0)
    assert set(flat(render(slanted(), two_moods(liar), strict)[1].winners)) == {0}


def test_the_critic_sees_finished_candidates_beside_the_original_tile() -> None:
    seen = []

    def wish(pictures: Tensor, context: Tensor) -> Tensor:
        expected = F.interpolate(context, scale_factor=4, mode="nearest")
        seen.append(float((pictures - expected).abs().max()))
        return pictures.sum((1, 2, 3))

    settings = Settings(stride_px=5, feather_px=6, contrasts=(1.0, 1.2), saturations=(1.0, 0.7))
    render(plane(), nearest(), settings, critic=Wishing(wish))
    assert seen
    assert max(seen) < 1e-5


def test_agreement_turns_patchwork_into_one_mood() -> None:
    def whim(pictures: Tensor, context: Tensor) -> Tensor:
        # Likes texture in about half of the tiles, for no reason that a neighbour would share.
        left = (context[:, 0, 0, 0] * 1e3).sin()
        return left * (pictures.diff(dim=-1).abs().mean((1, 2, 3)))

    def winners(agreement: float) -> tuple[tuple[int, ...], ...]:
        settings = Settings(stride_px=6, feather_px=4, sharpness=0.0, agreement=agreement)
        return render(slanted(32, 56), two_moods(checkers(0.1)), settings, critic=Wishing(whim))[1].winners

    assert set(flat(winners(0.0))) == {0, 1}
    changes = [sum(a != b for row in winners(weight) for a, b in pairwise(row)) for weight in (0.0, 1e6)]
    assert changes[0] > 0
    assert changes[1] == 0
    assert len(set(flat(winners(1e6)))) == 1


def test_a_tile_agrees_with_the_foot_of_the_tile_above() -> None:
    def enlarging(tiles: Tensor) -> Tensor:
        outputs = F.interpolate(tiles[:, :3], scale_factor=4, mode="nearest")
        upper = (tiles[:, 3, 0, 0] == 0).view(-1, 1, 1, 1)
        lines = torch.arange(32).view(-1, 1)
        # Mirrored, the upper tile lightens its last 12 lines and the lower one its first 12: the same pixels.
        return outputs + 0.4 * is_mirrored(tiles) * torch.where(upper, lines >= 20, lines < 12)

    def wish(pictures: Tensor, context: Tensor) -> Tensor:
        upper = context[:, 3, 0, 0] == 0
        return torch.where(upper, pictures.mean((1, 2, 3)), torch.zeros(()))  # indifferent about the lower tile

    guide = torch.arange(13.0).view(1, 1, 13, 1).expand(1, 1, 13, 8)
    for agreement, lower in ((50.0, 1), (0.0, 0)):
        settings = Settings(stride_px=5, feather_px=0, tone_match=0, sharpness=0.0, veto_db=500.0, agreement=agreement)
        _, report = render(slanted(13, 8), Net(enlarging, 4, 8, 1), settings, guide=guide, critic=Wishing(wish))
        assert report.winners == ((1,), (lower,))


# The rest of the walk


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
    assert torch.equal(seen[0][0], F.pad(F.pad(low, (0, 0, 0, 2), "reflect"), (0, 0, 0, 3), "reflect")[0, :, :, :8])
    assert torch.allclose(picture, F.interpolate(low, scale_factor=2), atol=1e-6)


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
