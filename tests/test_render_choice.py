"""Which candidate wins a tile, and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from toy_upscalers import Net, Wishing, nearest, plane, render

from upimagine.render.enlarge import Settings


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


def test_an_upper_tile_gives_way_to_a_wish_of_the_tile_below() -> None:
    def enlarging(tiles: Tensor) -> Tensor:
        return F.interpolate(tiles[:, :3], scale_factor=4, mode="nearest") + 0.3 * is_mirrored(tiles)

    def wish(pictures: Tensor, context: Tensor) -> Tensor:
        lower = context[:, 3, 0, 0] > 0
        return torch.where(lower, pictures.mean((1, 2, 3)), torch.zeros(()))  # the upper tile is indifferent

    guide = torch.arange(13.0).view(1, 1, 13, 1).expand(1, 1, 13, 8)
    settings = Settings(stride_px=5, feather_px=0, tone_match=0, sharpness=0.0, veto_db=500.0, agreement=50.0)
    _, report = render(slanted(13, 8), Net(enlarging, 4, 8, 1), settings, guide=guide, critic=Wishing(wish))
    assert report.winners == ((1,), (1,))
