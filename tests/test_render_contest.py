"""Who may compete for a tile: grain, several networks, so many in all, and judges of one's own."""

from __future__ import annotations

import pytest
import torch
from test_render_enlarge import Net, plane, render
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.render.candidates import Variant, best_of, variants
from upimagine.render.enlarge import MemorySink, Settings, enlarge


def tinting(value: float) -> Net:
    """Enlarges and adds a pattern of its own strength that averages out, so that every choice is faithful."""
    pattern = torch.tensor([1.0, -1.0]).repeat(2) * value
    return Net(lambda x: x[:, :3].repeat_interleave(4, 2).repeat_interleave(4, 3) + pattern.repeat(x.shape[3]), 4, 8)


class Prefers:
    """A judge with one wish."""

    def __init__(self, wish: float) -> None:
        self.wish = wish
        self.contexts: list[Tensor] = []

    def score(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None
        self.contexts.append(context)
        return self.wish * (pictures[..., 1:] - pictures[..., :-1]).abs().mean(dim=(1, 2, 3))


def test_the_best_of_so_many_is_so_many_different_ones() -> None:
    for count in (1, 2, 5, 14, 20):
        shown = best_of(count)
        assert len(shown) == len(set(shown)) == count
        assert shown[0] == Variant()
    assert best_of(2)[1] == Variant(flip=True)
    assert {variant.model for variant in best_of(5, models=2)} == {0, 1}
    with pytest.raises(UpimagineError, match="one for each model"):
        best_of(1, models=2)


def test_candidates_of_one_model_lie_together_and_the_plain_tile_comes_first() -> None:
    shown = variants(True, (1.0, 1.1), (1.0,), noise_seeds=(3, 4), models=2)
    assert shown[0] == Variant()
    assert [variant.model for variant in shown] == [0] * 6 + [1] * 6
    assert len(set(shown)) == 12


@pytest.mark.parametrize(("wish", "winner"), [(1.0, 1), (-1.0, 0)])
def test_networks_compete_and_ones_own_judge_decides(wish: float, winner: int) -> None:
    judge, sink = Prefers(wish), MemorySink()
    settings = Settings(stride_px=8, flips=False, sharpness=0.0, realism=0.0, agreement=0.0)
    report = enlarge(
        plane(16, 24), (tinting(0.0), tinting(0.05)), guide=None, critic=None, judge=judge, settings=settings, sink=sink
    )
    assert {won for row in report.winners for won in row} == {winner}
    assert report.variants[winner].model == winner
    assert judge.contexts[0].shape[1:] == (3, 8, 8)
    difference = (sink.picture() - plane(16, 24).repeat_interleave(4, 2).repeat_interleave(4, 3)).abs()
    assert float(difference.mean()) == pytest.approx(0.05 * winner, abs=1e-3)


def test_every_tile_is_shown_to_every_network_once_for_each_candidate() -> None:
    nets = tinting(0.0), tinting(0.05)
    seen = [0, 0]
    for index, net in enumerate(nets):
        plain = net.enlarging

        def counted(x: Tensor, index: int = index, plain=plain) -> Tensor:  # type: ignore[no-untyped-def]
            seen[index] += len(x)
            return plain(x)

        net.enlarging = counted
    sink = MemorySink()
    report = enlarge(
        plane(16, 24), nets, guide=None, critic=None, settings=Settings(stride_px=8, batch_tiles=5), sink=sink
    )
    assert seen == [2 * report.tiles, 2 * report.tiles]


def test_networks_of_different_windows_cannot_compete() -> None:
    other = Net(lambda x: x, 4, 16)
    with pytest.raises(UpimagineError, match="one scale, one window"):
        enlarge(plane(), (tinting(0.0), other), guide=None, critic=None, settings=Settings(), sink=MemorySink())


def test_grain_is_a_field_over_the_plane_and_its_seed_tells_all() -> None:
    seen: list[Tensor] = []

    def noting(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x[:, :3].repeat_interleave(4, 2).repeat_interleave(4, 3)

    low = torch.zeros(1, 3, 8, 14)
    settings = Settings(stride_px=6, flips=False, noise_seeds=(7,), noise=0.1, batch_tiles=64)
    picture, report = render(low, Net(noting, 4, 8), settings)
    tiles = seen[0]
    assert report.variants == (Variant(), Variant(noise_seed=7))
    assert not tiles[:2].any(), "the plain tiles come first"
    left, right = tiles[2], tiles[3]
    assert torch.equal(left[:, :, 6:], right[:, :, :2]), "neighbours see the same grain where they overlap"
    assert float(torch.cat((left, right)).std()) == pytest.approx(0.1, rel=0.2)
    again, _ = render(low, Net(noting, 4, 8), settings)
    assert torch.equal(again, picture)
