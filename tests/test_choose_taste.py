"""A taste is learned from some dozens of swipes, knows how sure it is, and is calibrated; on what it never saw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.optimize import minimize

from upimagine.choose.catalog_rows import fill_features
from upimagine.choose.catalog_taste import TasteOfCatalog, write_taste
from upimagine.choose.logistic import fit_logistic, fit_platt, sigmoid
from upimagine.choose.taste import LEAST, learn_taste
from upimagine.data.catalog import Catalog
from upimagine.data.records import records
from upimagine.data.scan import scan
from upimagine.data.verdicts import verdicts
from upimagine.errors import UpimagineError


def auc(chances: np.ndarray, kept: np.ndarray) -> float:
    """How often a kept one comes before a rejected one."""
    return float((chances[kept][:, None] > chances[~kept][None]).mean())


def test_the_regression_is_at_the_minimum_that_another_method_finds() -> None:
    chance = np.random.default_rng(1)
    x, y = chance.normal(size=(80, 5)), chance.random(80)

    def loss(w: np.ndarray) -> float:
        d = x @ w[:-1] + w[-1]
        return float((np.logaddexp(0, d) - y * d).sum() + 0.7 / 2 * (w[:-1] ** 2).sum())

    weights, bias = fit_logistic(x, y, 0.7)
    expected = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-8}).x
    assert np.abs(np.append(weights, bias) - expected).max() < 1e-5


def test_separable_swipes_do_not_run_away() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    weights, bias = fit_logistic(x, (x[:, 0] > 0).astype(float), 0.03)
    assert np.isfinite(weights).all() and weights[0] < 100 and abs(bias) < 1
    slope, shift = fit_platt(x[:, 0] * 1000, x[:, 0] > 0)
    assert sigmoid(np.array([slope * 1000 + shift]))[0] < 0.9999, "forty swipes give no certainty"


def test_decisions_that_boast_are_brought_down_to_what_is_so() -> None:
    chance = np.random.default_rng(5)
    decisions = chance.normal(size=4000)
    kept = chance.random(4000) < sigmoid(decisions)
    slope, shift = fit_platt(decisions * 10, kept)
    assert abs(slope * 10 - 1) < 0.15 and abs(shift) < 0.15


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Rows (3000, 30), and a person who likes them by three of their directions, with a mood."""
    chance = np.random.default_rng(2)
    rows = chance.normal(size=(3000, 30)) * np.linspace(1, 0.2, 30)
    return rows, rows[:, 0] + rows[:, 3] - rows[:, 7] + chance.logistic(size=3000) * 0.4 > 0


def test_a_planted_taste_is_learned_and_as_sure_as_it_says(planted: tuple[np.ndarray, np.ndarray]) -> None:
    rows, kept = planted
    taste, _ = learn_taste(rows[:200], kept[:200])
    chances, unseen = taste.chances(rows[200:]), kept[200:]
    assert auc(chances, unseen) > 0.9
    low, high = taste.sureness.interval
    assert low < ((chances > 0.5) == unseen).mean() < high, "the accuracy on 2800 others is within what it says"
    assert taste.sureness.accuracy > taste.sureness.always + 0.15
    bins = [(chances >= bottom) & (chances < bottom + 0.2) for bottom in (0.0, 0.2, 0.4, 0.6, 0.8)]
    off = sum(abs(chances[inside].sum() - unseen[inside].sum()) for inside in bins) / len(unseen)
    assert off < 0.1, "of those with a chance of 70 %, 70 % are kept"
    again, _ = learn_taste(rows[:200], kept[:200])
    assert (again.weights == taste.weights).all()


def test_where_there_is_no_taste_it_says_so(planted: tuple[np.ndarray, np.ndarray]) -> None:
    rows, _ = planted
    kept = np.random.default_rng(3).random(200) < 0.5
    taste, chances = learn_taste(rows[:200], kept)
    assert taste.sureness.interval[0] < 0.55 and np.abs(chances - 0.5).mean() < 0.15
    assert "of 200 swipes it had not seen" in str(taste.sureness)


@pytest.mark.parametrize("kept", [[True] * (LEAST - 1), [True] * 100, [False] * 100, [True] * 100 + [False] * 5])
def test_too_few_swipes_are_too_few(kept: list[bool]) -> None:
    with pytest.raises(UpimagineError, match="sort some more"):
        learn_taste(np.zeros((len(kept), 3)), np.array(kept))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """160 pictures of a disc, left or right, on some ground."""
    folder = tmp_path_factory.mktemp("taste")
    chance = np.random.default_rng(4)
    (folder / "in").mkdir()
    for number in range(160):
        picture = np.full((64, 64, 3), chance.integers(40, 200, 3), np.uint8)
        left = number % 2 == 0
        centre = (int(chance.integers(12, 24) + (0 if left else 28)), int(chance.integers(16, 48)))
        cv2.circle(picture, centre, int(chance.integers(6, 12)), chance.integers(0, 255, 3).tolist(), -1)
        noise = chance.integers(-6, 6, picture.shape)
        cv2.imwrite(str(folder / "in" / f"{number:03d}.png"), np.clip(picture + noise, 0, 255).astype(np.uint8))
    catalog = Catalog(folder / "c.db", create=True, who="ann")
    scan(catalog, [folder / "in"], threads=1)
    return catalog


def numbers(catalog: Catalog) -> dict[int, int]:
    """Picture number to the number in its file's name."""
    rows = catalog.connection.execute("SELECT picture, path FROM places WHERE picture IS NOT NULL")
    return {picture: int(Path(path).stem) for picture, path in rows}


def test_a_taste_for_what_pictures_show_orders_the_rest_and_labels_nothing(catalog: Catalog) -> None:
    assert fill_features(catalog, threads=1) == []
    files = numbers(catalog)
    taught = [picture for picture, number in files.items() if number < 80]
    rest = [picture for picture, number in files.items() if number >= 80]
    said = {picture: "keep" if files[picture] % 2 == 0 else "reject" for picture in taught}
    said[taught[0]] = "unsure"
    tasted = TasteOfCatalog.open(catalog).learn(said)  # type: ignore[arg-type]  # verdicts by their names
    best = tasted.best_first(rest)
    assert sum(files[picture] % 2 == 0 for picture in best[:40]) >= 36, "discs on the left"
    doubtful = tasted.doubtful_first(rest)
    wrong = [picture for picture in rest if (tasted.chances[picture] > 0.5) != (files[picture] % 2 == 0)]
    assert sorted(best) == sorted(doubtful) == sorted(rest)
    doubts = [abs(tasted.chances[picture] - 0.5) for picture in doubtful]
    assert doubts == sorted(doubts) and len(wrong) <= 8
    write_taste(catalog, tasted)
    scores = {int(Path(record.path).stem): record.scores["taste"] for record in records(catalog)}
    assert scores == {files[picture]: chance for picture, chance in tasted.chances.items()}
    assert verdicts(catalog.connection) == {}, "a score is no label"
    before = TasteOfCatalog.open(catalog)
    assert before.learn(said).chances == tasted.chances, "its own score teaches it nothing"  # type: ignore[arg-type]


def test_looking_goes_on_where_it_stopped_and_names_what_cannot_be_read(catalog: Catalog) -> None:
    gone = Path(catalog.connection.execute("SELECT min(path) FROM places").fetchone()[0])
    with catalog.writing() as connection:
        connection.execute("DELETE FROM features WHERE picture % 3 = 0 OR picture = 1")
    (picture,) = catalog.connection.execute("SELECT picture FROM places WHERE path = ?", (str(gone),)).fetchone()
    with catalog.writing() as connection:
        connection.execute("DELETE FROM features WHERE picture = ?", (picture,))
    kept = gone.read_bytes()
    gone.unlink()
    watched: list[tuple[int, int]] = []
    (trouble,) = fill_features(catalog, 1, lambda what, done, total: watched.append((done, total)))
    assert gone.name in trouble and watched[-1][0] == watched[-1][1] < 60
    gone.write_bytes(kept)
    assert fill_features(catalog, threads=1) == [] and len(TasteOfCatalog.open(catalog).numbers) == 160
