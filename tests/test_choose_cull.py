"""Culling, features and ranking."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from upimagine.choose.cull import cull
from upimagine.choose.features import oklab, picture_features
from upimagine.choose.ranking import best_first, combine, face_symmetry_score, sharpness_score
from upimagine.errors import UpimagineError


def random(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def blank(count: int) -> Tensor:
    return torch.zeros(count, 3, 16, 16)


# Cull


def test_one_of_each_planted_cluster() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    cluster = torch.arange(80) % 4
    features = centres[cluster] + random(1, 80, 2)
    scores = random(2, 80)
    chosen = cull(blank(80), scores, 4, features)
    assert sorted(cluster[chosen].tolist()) == [0, 1, 2, 3]
    assert chosen[0] == int(scores.argmax())
    assert all(scores[i] >= scores.sort(descending=True).values[19] for i in chosen)  # all of the best quarter
    assert cull(blank(80), scores, 4, features) == chosen


def test_one_of_each_kind_of_picture_without_given_features() -> None:
    kinds = torch.cat([random(3, 1, 3, 4, 4), random(4, 2, 3, 4, 4)]) * 2 - 1
    kinds = F.interpolate(kinds, size=32, mode="bilinear")
    pictures = kinds.repeat(6, 1, 1, 1) + 0.02 * random(5, 18, 3, 32, 32)
    chosen = cull(pictures, random(6, 18), 3, share=1.0)
    assert sorted(i % 3 for i in chosen) == [0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 30),
    keep=st.integers(1, 30),
    share=st.floats(0.01, 1.0),
    levels=st.sampled_from([1, 2, 1000]),
)
def test_kept_are_distinct_never_vetoed_and_of_the_best_share(
    seed: int, count: int, keep: int, share: float, levels: int
) -> None:
    scores = (random(seed, count) * levels).floor()  # few levels: many ties and equal features
    scores[random(seed + 1, count) < 0.2] = math.nan
    features = (random(seed + 2, count, 3) * levels).floor()
    valid = int((~scores.isnan()).sum())
    if valid < keep:
        with pytest.raises(UpimagineError, match="keep fewer"):
            cull(blank(count), scores, keep, features, share=share)
        return
    chosen = cull(blank(count), scores, keep, features, share=share)
    assert len(set(chosen)) == len(chosen) == keep
    assert not scores[chosen].isnan().any()
    pool = max(keep, math.ceil(share * valid))
    assert float(scores[chosen].min()) >= float(scores[~scores.isnan()].sort(descending=True).values[pool - 1])


def test_farthest_first_is_within_twice_the_best_spread() -> None:
    # Gonzalez's guarantee: every point of the pool lies within twice the best possible radius of a chosen one.
    features = random(7, 12, 2)
    chosen = cull(blank(12), random(8, 12), 3, features, share=1.0)

    def radius(centres: tuple[int, ...]) -> float:
        return float(torch.cdist(features, features[list(centres)]).amin(1).max())

    best = min(radius(centres) for centres in itertools.combinations(range(12), 3))
    assert radius(tuple(chosen)) <= 2 * best + 1e-6


def test_senseless_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        cull(blank(3), torch.zeros(2), 1)
    with pytest.raises(ValueError, match="at least 1"):
        cull(blank(3), torch.zeros(3), 0)


# Features


def test_oklab_of_known_colours() -> None:
    colours = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[:, :, None, None]
    # From Ottosson's page and CSS Color 4: white, black, red, lime, blue.
    expected = torch.tensor(
        [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.17950], [0.45201, -0.03246, -0.31153]]
    )
    torch.testing.assert_close(oklab(colours)[:, :, 0, 0], expected, atol=2e-4, rtol=0)


def test_feature_rows_do_not_depend_on_the_batch() -> None:
    pictures = random(9, 70, 3, 24, 20) * 2 - 1
    rows = picture_features(pictures)
    assert rows.shape == (70, 896)
    torch.testing.assert_close(picture_features(pictures[66:67])[0], rows[66], rtol=1e-5, atol=1e-6)


def test_likeness_orders_distances() -> None:
    face = F.interpolate(random(10, 1, 3, 5, 5) * 2 - 1, size=64, mode="bicubic").clamp(-1, 1)
    noisy = (face + 0.05 * (random(11, 1, 3, 64, 64) - 0.5)).clamp(-1, 1)
    tinted = (face + torch.tensor([0.5, 0.0, -0.5])[:, None, None]).clamp(-1, 1)
    other = F.interpolate(random(12, 1, 3, 5, 5) * 2 - 1, size=64, mode="bicubic").clamp(-1, 1)
    rows = picture_features(torch.cat([face, noisy, tinted, other]))
    distances = (rows - rows[0]).norm(dim=1).tolist()
    assert distances[0] == 0
    assert distances[1] < 0.5 * distances[2]
    assert distances[2] < distances[3]


def test_edges_are_told_by_direction_and_place() -> None:
    ramp = torch.linspace(-1, 1, 32)
    across, down = ramp.expand(1, 3, 32, 32), ramp[:, None].expand(1, 3, 32, 32)
    edges = picture_features(torch.cat([across, down]))[:, 768:].unflatten(1, (8, 16))
    assert edges[0].sum(1).argmax() == 0  # gradient along x
    assert edges[1].sum(1).argmax() == 4  # a quarter turn on
    left_only = across.clone()
    left_only[..., 16:] = 0
    cells = picture_features(left_only)[0, 768:].unflatten(0, (8, 4, 4)).sum(0)
    assert float(cells[:, 0].min()) > 0
    assert float(cells[:, 3].max()) == 0


# Ranking


def test_combination_is_robust_and_free_of_units() -> None:
    critic = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 1e9])
    sharp = torch.tensor([9.0, 8, 7, 6, 5, 4, 3, 2, 1])
    combined = combine({"critic": critic, "sharpness": sharp})
    other_units = combine({"critic": critic * 1000 - 5, "sharpness": sharp / 7})
    torch.testing.assert_close(combined, other_units, atol=1e-6, rtol=1e-6)
    # The freak counts for 3 deviations at most; by hand: median 5, MAD 2 in both.
    deviation = 1.4826 * 2
    assert float(combined[8]) == pytest.approx(3 - 4 / deviation)
    assert float(combined[0]) == pytest.approx(-4 / deviation + 4 / deviation)


def test_weights_choose_and_turn_scores() -> None:
    scores = {"a": torch.arange(5.0), "b": torch.tensor([3.0, 1, 4, 1, 5])}
    assert best_first(combine(scores, {"a": 1.0})) == [4, 3, 2, 1, 0]
    assert best_first(combine(scores, {"a": -2.0})) == [0, 1, 2, 3, 4]
    added = 2 * combine(scores, {"a": 1.0}) + combine(scores, {"b": 0.5})
    torch.testing.assert_close(combine(scores, {"a": 2.0, "b": 0.5}), added)
    with pytest.raises(UpimagineError, match="no such score: symmetry"):
        combine(scores, {"symmetry": 1.0})


def test_nan_is_a_veto_and_does_not_shift_the_others() -> None:
    whole = torch.tensor([1.0, 2, 3, 4, 5])
    with_veto = torch.tensor([1.0, 2, math.nan, 3, 4, 5, math.inf])
    combined = combine({"face": with_veto})
    assert combined.isnan().tolist() == [False, False, True, False, False, False, True]
    torch.testing.assert_close(combined[[0, 1, 3, 4, 5]], combine({"face": whole}))
    assert best_first(combined) == [5, 4, 3, 1, 0]
    assert best_first(combine({"face": torch.full((3,), math.nan)})) == []


def test_scores_that_are_mostly_or_wholly_equal() -> None:
    assert combine({"a": torch.ones(6)}).tolist() == [0.0] * 6
    mostly = combine({"a": torch.tensor([1.0, 1, 1, 1, 1, 2])})
    assert mostly[0] == 0
    assert mostly[5] > 0
    assert best_first(torch.tensor([1.0, 2, 2, 1])) == [1, 2, 0, 3]


def test_sharper_pictures_score_higher() -> None:
    sharp = random(13, 1, 3, 48, 48) * 2 - 1
    soft = F.avg_pool2d(sharp, 3, 1, 1)
    softer = F.avg_pool2d(soft, 5, 1, 2)
    scores = sharpness_score(torch.cat([softer, sharp, soft]))
    assert best_first(scores) == [1, 2, 0]


def symmetric_face() -> Tensor:
    """68 points (y, x), exactly mirror symmetric, in iBUG order, built half by half."""
    points = torch.zeros(68, 2, dtype=torch.float64)
    half = torch.rand(68, 2, generator=torch.Generator().manual_seed(14), dtype=torch.float64) * 4 + 3
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(31, 35), (32, 34)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (59, 55)]
    pairs += [(58, 56), (60, 64), (61, 63), (67, 65)]
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    for left, right in pairs:
        y, x = half[left].tolist()
        points[left], points[right] = torch.tensor([y, -x]), torch.tensor([y, x])
    for index in middle:
        points[index, 0] = half[index, 0]
    assert len({i for pair in pairs for i in pair} | set(middle)) == 68
    return points


def test_symmetry_of_faces() -> None:
    face = symmetric_face()
    angle = 0.3
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    moved = 40 * face @ turn + torch.tensor([100.0, 60.0])
    bent = face.clone()
    bent[:, 1] += 0.05 * bent[:, 1].square()  # a turned head: one half wider than the other
    more = face.clone()
    more[:, 1] += 0.1 * more[:, 1].square()
    missing = torch.full_like(face, math.nan)
    scores = face_symmetry_score(torch.stack([face, moved, bent, more, missing]))
    torch.testing.assert_close(scores[:2], torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    assert 0 > scores[2] > scores[3]
    assert scores[4].isnan()
    torch.testing.assert_close(face_symmetry_score(40 * bent[None] @ turn + 7)[0], scores[2])
