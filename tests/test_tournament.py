"""A tournament of pairs: strengths against an oracle, an artist of known taste, and a catalog that remembers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from upimagine.choose.tournament import Duel, next_duel, standing
from upimagine.data.catalog import Catalog
from upimagine.data.duels import duels_among, give_duel
from upimagine.data.labelling import label_history
from upimagine.data.scan import scan


def test_strengths_are_where_the_posterior_is_flat_and_its_curvature_is_their_covariance() -> None:
    random = torch.Generator().manual_seed(1)
    pairs = list(itertools.combinations(range(6), 2))
    duels = [Duel(first, second, float(torch.randint(0, 3, (), generator=random)) / 2) for first, second in pairs]

    def minus_log_posterior(strength: torch.Tensor) -> torch.Tensor:
        gaps = torch.stack([strength[duel.first] - strength[duel.second] for duel in duels])
        won = torch.tensor([duel.won for duel in duels], dtype=torch.float64)
        unlikely = torch.nn.functional.binary_cross_entropy_with_logits(gaps, won, reduction="sum")
        return unlikely + strength.square().sum() / 32

    found = standing(6, duels)
    point = found.strength.clone().requires_grad_()
    (slope,) = torch.autograd.grad(minus_log_posterior(point), point)
    assert float(slope.abs().max()) < 1e-8
    curvature = torch.autograd.functional.hessian(minus_log_posterior, found.strength)
    torch.testing.assert_close(found.covariance @ curvature, torch.eye(6, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(3))
def test_an_artist_who_knows_gets_the_four_in_less_than_half_of_all_pairs(seed: int) -> None:
    taste = torch.randperm(16, generator=torch.Generator().manual_seed(seed)).tolist()
    duels: list[Duel] = []
    while (pair := next_duel(now := standing(16, duels), duels, 4)) is not None:
        first, second = pair
        duels.append(Duel(first, second, float(taste[first] > taste[second])))
    assert {taste[entrant] for entrant in now.order()[:4]} == {12, 13, 14, 15}
    assert len(duels) < 60  # of 120
    assert len({frozenset((duel.first, duel.second)) for duel in duels}) == len(duels)


def test_who_finds_all_alike_is_not_asked_for_ever_and_nothing_is_settled_without_being_asked() -> None:
    duels: list[Duel] = []
    while (pair := next_duel(standing(5, duels), duels, 2)) is not None:
        duels.append(Duel(*pair, 0.5))
    assert 4 <= len(duels) <= 10
    assert standing(5, duels).order() == [0, 1, 2, 3, 4]
    assert next_duel(standing(4, []), [], 4) is None  # all are kept: nothing to ask


def test_the_catalog_keeps_the_last_word_of_each_and_all_that_was_said(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    with Catalog(file, create=True, who="ada") as ada:
        scan(ada, [pictures / "00.png", pictures / "01.png", pictures / "02.png"], threads=1)
        a, b, c = (row[0] for row in ada.connection.execute("SELECT sha256 FROM pictures ORDER BY sha256"))
        give_duel(ada, a, b, "better")
        give_duel(ada, c, a, "better")
        give_duel(ada, b, a, "better")  # on second thoughts, shown the other way round
        give_duel(ada, b, c, "even")
        give_duel(ada, b, c, None)
        with Catalog(file, who="bob") as bob:
            give_duel(bob, a, b, "even")
        words = duels_among(ada, [a, b, c])
        assert sorted(words) == [(a, b, "even"), (a, b, "worse"), (a, c, "worse")]
        assert duels_among(ada, [b, c]) == []
        assert [label.value for label in label_history(ada, a) if label.who == "ada"] == ["better", "worse", "worse"]
        with pytest.raises(ValueError, match="itself"):
            give_duel(ada, a, a, "even")
