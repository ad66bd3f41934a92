"""Rendering that died and goes on: the rows that come then are the rows that would have come."""

from __future__ import annotations

import pytest
import torch
from test_render_enlarge import Net, inventing, plane
from test_render_exact import Net as ExactNet
from test_render_exact import srresnet
from torch import Tensor

from upimagine.render.enlarge import MemorySink, Settings, enlarge
from upimagine.render.joined import Blend
from upimagine.render.sinks import Sink
from upimagine.roles import Upscaler

LOW = plane(30, 19)


class Dies(Exception):
    """The process is gone."""


class Memory:
    """A journal in memory, due after every row, that ends the process after so many."""

    def __init__(self, lives: int) -> None:
        self.state: dict[str, Tensor] | None = None
        self.rows_then = 0
        self._lives = lives
        self.sink = _Counting()

    def load(self) -> dict[str, Tensor] | None:
        return self.state

    def due(self) -> bool:
        return True

    def save(self, state: dict[str, Tensor]) -> None:
        self.state = {name: value.clone() for name, value in state.items()}
        self.rows_then = self.sink.rows
        self._lives -= 1
        if self._lives == 0:
            raise Dies


class _Counting:
    def __init__(self) -> None:
        self.strips: list[Tensor] = []

    @property
    def rows(self) -> int:
        return sum(strip.shape[1] for strip in self.strips)

    def write_rows(self, rows: Tensor) -> None:
        self.strips.append(rows.clone())


def whole(net: Upscaler, settings: Settings) -> Tensor:
    sink = MemorySink()
    enlarge(LOW, net, guide=None, critic=None, settings=settings, sink=sink)
    return sink.picture()[0]


def interrupted(net: Upscaler, settings: Settings, lives: int) -> Tensor:
    """The picture of a rendering that died after so many rows and another that went on."""
    journal = Memory(lives)
    with pytest.raises(Dies):
        enlarge(LOW, net, guide=None, critic=None, settings=settings, sink=journal.sink, journal=journal)
    strips = journal.sink.strips  # of a wrapped picture the first tile row may bring none
    before = torch.cat(strips, dim=1)[:, : journal.rows_then] if strips else LOW.new_empty(3, 0, 4 * LOW.shape[3])
    after: Sink = _Counting()
    journal._lives = -1
    journal.sink = after  # type: ignore[assignment]
    enlarge(LOW, net, guide=None, critic=None, settings=settings, sink=after, journal=journal)
    return torch.cat((before, *after.strips), dim=1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("blend", ["feather", "cut", "multiband"])
@pytest.mark.parametrize("stride_px", [3, 5])
def test_a_rendering_goes_on_to_the_same_bits_after_any_row(blend: Blend, stride_px: int, wrap: bool) -> None:
    settings = Settings(
        stride_px=stride_px,
        feather_px=6,
        blend=blend,
        wrap=wrap,
        contrasts=(0.8, 1.0, 1.2),
        noise_seeds=(1,),
        border_px=2,
    )
    expected = whole(inventing(), settings)
    for lives in (1, 2, 4):
        assert torch.equal(interrupted(inventing(), settings, lives), expected)


def test_seams_are_measured_over_both_lives() -> None:
    settings = Settings(stride_px=5, feather_px=0)
    journal = Memory(3)
    with pytest.raises(Dies):
        enlarge(LOW, inventing(), guide=None, critic=None, settings=settings, sink=journal.sink, journal=journal)
    second = enlarge(LOW, inventing(), guide=None, critic=None, settings=settings, sink=MemorySink(), journal=journal)
    once = enlarge(LOW, inventing(), guide=None, critic=None, settings=settings, sink=MemorySink())
    assert second.seams.ratio == pytest.approx(once.seams.ratio, rel=1e-6)
    assert second.seams.contrast_dip == pytest.approx(once.seams.contrast_dip, rel=1e-6)
    assert second.winners == once.winners


@pytest.mark.parametrize("wrap", [False, True])
def test_a_network_with_a_radius_goes_on_too(wrap: bool) -> None:
    net = ExactNet(srresnet().double(), 4, 12, window_px=8)
    settings = Settings(wrap=wrap)
    expected = whole(net, settings)
    for lives in (1, 3):
        assert torch.equal(interrupted(net, settings, lives), expected)


def test_a_smaller_batch_found_in_the_first_life_is_kept() -> None:
    net = inventing()
    most = 3

    class Small(Net):
        def upscale(self, tiles: Tensor) -> Tensor:
            if len(tiles) > most:
                raise MemoryError
            return super().upscale(tiles)

    small = Small(net.enlarging, net.scale, net.window_px)
    journal = Memory(2)
    with pytest.raises(Dies):
        enlarge(LOW, small, guide=None, critic=None, settings=Settings(stride_px=5), sink=journal.sink, journal=journal)
    report = enlarge(
        LOW, small, guide=None, critic=None, settings=Settings(stride_px=5), sink=MemorySink(), journal=journal
    )
    assert report.batch_tiles <= most
