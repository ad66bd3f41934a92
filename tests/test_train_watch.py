"""Signs of trouble: each shows on numbers that have it, and on no others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.train.grid import cut_grid, picture_grid
from upimagine.train.journal import Journal, Line, read_log
from upimagine.train.likeness import Likeness
from upimagine.train.watch import Facts, Watch

SETTINGS: dict[str, Any] = {
    "pictures": 1029,
    "gamma": 0.0,
    "augment": ["translation", "cutout"],
    "anchor_weight": 60.0,
    "init_from": None,
}
NAMES = ("loss", "real", "fake", "gradient_norm")

# Ticks 18 to 29 of a run that gave good pictures: discriminator (loss, scores, gradient), generator (loss, gradient).
HEALTHY = (
    (1.0885, 1.109, -1.001, 52.593, 1.910, 40.437),
    (1.0971, 0.992, -0.986, 50.853, 1.842, 24.975),
    (0.8334, 1.369, -1.356, 42.165, 1.926, 55.994),
    (1.1433, 0.948, -0.838, 48.875, 1.688, 32.506),
    (0.9680, 1.147, -1.106, 44.738, 1.754, 50.121),
    (1.0160, 1.230, -1.074, 59.385, 1.752, 46.697),
    (1.0500, 1.039, -1.086, 42.703, 1.808, 65.606),
    (0.8884, 1.338, -1.383, 61.240, 2.019, 84.906),
    (1.0400, 1.102, -1.255, 51.056, 1.840, 76.840),
    (1.1031, 0.823, -0.792, 45.674, 1.443, 33.181),
    (0.7655, 1.912, -1.707, 65.330, 2.127, 121.226),
    (1.1090, 0.874, -0.793, 48.316, 1.535, 42.540),
)
# Ticks of another one, whose discriminator won for a while (from the sixth on) and then lost its hold again.
WON = (
    (0.872, 1.145, -1.214, 99.408, 1.757, 67.543),
    (1.144, 1.182, -1.183, 123.054, 1.833, 85.470),
    (0.955, 1.174, -1.061, 81.247, 1.779, 61.358),
    (0.286, 2.921, -2.874, 61.619, 3.042, 407.401),
    (0.138, 3.768, -3.434, 36.076, 3.706, 483.974),
    (0.088, 4.417, -4.017, 26.799, 3.909, 527.780),
    (0.040, 5.167, -5.125, 14.828, 5.137, 338.011),
    (0.093, 4.576, -4.019, 34.488, 4.401, 492.130),
    (0.033, 5.262, -5.067, 10.243, 4.715, 581.138),
    (0.105, 4.482, -4.491, 52.159, 4.886, 531.172),
    (0.051, 5.066, -4.936, 18.837, 5.029, 663.336),
    (0.977, 2.643, -3.150, 124.827, 3.616, 409.996),
    (1.539, 0.229, -0.204, 54.045, 1.089, 52.825),
    (1.320, 0.591, -0.623, 76.861, 1.506, 40.719),
    (1.297, 0.502, -0.534, 67.087, 1.424, 28.323),
    (0.968, 1.137, -1.051, 77.927, 1.714, 38.247),
)


def ticks(rows: tuple[tuple[float, ...], ...], first: int = 1) -> list[Line]:
    return [
        {"kimg": float(first + i)}
        | {f"discriminator/{name}": value for name, value in zip(NAMES, row[:4], strict=True)}
        | {"generator/loss": row[4], "generator/gradient_norm": row[5]}
        for i, row in enumerate(rows)
    ]


def changed(count: int, first: int = 13, **values: float | None) -> list[Line]:
    """Healthy ticks with some numbers put in place; `__` stands for a slash."""
    put = {name.replace("__", "/"): value for name, value in values.items()}
    return [line | put for line in ticks(HEALTHY * 3, first)[:count]]


def watch(**settings: Any) -> Watch:
    return Watch(Facts(("discriminator", "generator"), SETTINGS | settings))


def named(lines: list[Line], **settings: Any) -> list[str]:
    """Names of all findings, in order."""
    looking = watch(**settings)
    return [found.name for line in lines for found in looking.see(line)]


def test_a_healthy_run_gives_no_finding_whatever_its_objective() -> None:
    looks = {
        "samples/similarity": 0.47,
        "samples/training_similarity": 0.37,
        "samples/twins": 0.0,
        "samples/copied": 0.0,
        "discriminator/real_sign": 0.55,
    }
    lines = [line | looks for line in ticks(HEALTHY * 8)]
    for objective in ("non-saturating", "hinge", "least-squares", "wgan-gp", "began"):
        assert named(lines, objective=objective) == [], objective


def test_a_discriminator_that_wins_is_named_once_and_let_go_when_it_loses_its_hold() -> None:
    looking = watch()
    told = []
    for line in ticks(HEALTHY) + ticks(WON, 13):
        told += [(line["kimg"], found) for found in looking.see(line)]
    assert [(kimg, found.name) for kimg, found in told] == [(19.0, "discriminator too strong")]
    found = told[0][1]
    assert found.since_kimg == 15.0
    assert found.side == "discriminator"
    assert "0.138" in found.seen  # the median of .955 .286 .138 .088 .04
    assert "1.39" in found.seen  # 2 ln 2
    assert looking.active == []
    over = looking.past[0]
    assert over.until_kimg == 26.0  # .105 .051 .977 1.539 1.32: their median is no longer low
    assert [looking.amiss_at(kimg) for kimg in (14.9, 15.0, 25.9, 26.0)] == [False, True, True, False]


def test_remedies_name_flags_that_the_task_has() -> None:
    lines = ticks(HEALTHY) + ticks(WON, 13)

    def remedy(settings: dict[str, Any]) -> str:
        looking = Watch(Facts(("discriminator", "generator"), settings))
        return next(found.remedy for line in lines for found in looking.see(line))

    told = remedy(SETTINGS)
    assert "--rollback" in told
    assert "--init-from model.safetensors --gamma 10 --augment color translation cutout" in told
    assert "--gamma 4" in remedy(SETTINGS | {"gamma": 1.0})
    assert "--augment" not in remedy(SETTINGS | {"augment": ["color", "translation", "cutout"]})
    assert "--gamma 10 --ada" in remedy(SETTINGS | {"ada": False})
    assert "--ada" not in remedy(SETTINGS | {"ada": True})
    upres = remedy({"gan_weight": 1.0, "init_from": None})
    assert "--gan-weight 0.5" in upres
    assert "--gamma" not in upres
    assert remedy({}).count("--") == 1
    looking = watch(objective="wgan-gp")  # with which R1 cannot go
    looking.replay(ticks(HEALTHY) + changed(2, samples__copied=0.25))
    assert "--gamma" not in looking.active[0].remedy
    assert "--augment" in looking.active[0].remedy


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "discriminator too weak",
            changed(3, discriminator__loss=1.384, discriminator__real=0.01, discriminator__fake=0),
        ),
        ("generator diverging", changed(3, generator__loss=40.0)),
        ("generator diverging", changed(3, generator__gradient_norm=2000.0)),
        ("discriminator diverging", changed(3, discriminator__loss=300.0)),
        ("generator gets no gradient", changed(3, generator__gradient_norm=0.01)),
        ("discriminator gets no gradient", changed(3, discriminator__gradient_norm=0.0)),
        ("not a number", changed(1, generator__loss=None)),
        ("overfitting", changed(10, discriminator__real_sign=0.96)),
        ("sameness", changed(2, samples__similarity=0.7, samples__training_similarity=0.37)),
        ("few different pictures", changed(2, samples__twins=3 / 1128)),
        ("copies of training pictures", changed(2, samples__copied=0.25)),
    ],
)
def test_each_sign_is_seen(name: str, lines: list[Line]) -> None:
    assert named(ticks(HEALTHY) + lines) == [name]
    assert named(ticks(HEALTHY) + lines[:-1]) == []  # not a tick too early


@pytest.mark.parametrize(
    "lines",
    [
        changed(2, generator__loss=40.0),  # an outlier or two
        changed(6, generator__gradient_norm=900.0),  # large for this run, but nothing like ten times its largest
        changed(30, generator__gradient_norm=None),  # fp16's scaler tries how far it can go
        changed(9, discriminator__real_sign=0.99),
        changed(1, samples__twins=1.0, samples__copied=1.0),  # a single look
        changed(8, samples__similarity=0.55, samples__training_similarity=0.37),
    ],
)
def test_what_may_happen_in_a_sound_run_is_no_sign(lines: list[Line]) -> None:
    assert named(ticks(HEALTHY) + lines + ticks(HEALTHY, 50)) == []


def test_early_pictures_are_alike_because_they_are_nothing_yet() -> None:
    early = [line | {"samples/similarity": 0.9, "samples/training_similarity": 0.4} for line in ticks(HEALTHY)[:9]]
    assert named(early) == []


def test_pictures_seen_a_few_times_only_cannot_be_overfitted() -> None:
    lines = changed(20, discriminator__real_sign=0.96)  # up to 32 kimg
    assert named(lines, pictures=1600) == ["overfitting"]
    assert named(lines, pictures=1601) == []
    held_out = [line | {"discriminator/overfitting": 0.2} for line in lines]  # a better witness, where it is
    assert named(held_out, pictures=100) == []
    assert named([line | {"discriminator/overfitting": 0.6} for line in held_out], pictures=10**6) == ["overfitting"]


def test_a_finding_does_not_come_and_go_about_its_limit() -> None:
    swinging = [line for i in range(10) for line in changed(1, 13 + i, discriminator__loss=0.13 if i % 2 else 0.15)]
    assert named(ticks(HEALTHY) + swinging) == ["discriminator too strong"]


def test_divergence_is_held_against_what_was_before_it() -> None:
    looking = watch()
    for line in ticks(HEALTHY) + changed(20, generator__loss=40.0):
        looking.see(line)
    assert [found.name for found in looking.active] == ["generator diverging"]
    assert looking.active[0].since_kimg == 13.0


def test_losses_that_know_no_guessing_are_not_held_against_it() -> None:
    low = changed(10, discriminator__loss=0.001)
    assert named(ticks(HEALTHY) + low, objective="wgan") == []
    assert named(ticks(HEALTHY) + low, objective="hinge") == ["discriminator too strong"]


def test_gradients_that_were_no_numbers_are_told_by_the_run_itself() -> None:
    looking = watch()
    looking.replay(ticks(HEALTHY))
    found = looking.see({"kimg": 12.5, "event": "stopped", "phase": "generator"})
    assert [(one.name, one.side) for one in found] == [("not a number", "generator")]
    assert looking.amiss_at(12.5)
    assert not looking.amiss_at(12.0)


def test_a_place_is_proved_sound_by_ten_ticks_or_by_trouble_that_began_later() -> None:
    looking = watch()
    looking.replay(ticks(HEALTHY))
    assert looking.proves(2.0)
    assert not looking.proves(3.0)
    looking.replay(ticks(WON[:8], 13))
    assert looking.active[0].since_kimg == 15.0
    assert looking.proves(14.0)  # six ticks, but the trouble is known to have begun at 15
    assert not looking.proves(16.0)


def test_the_log_brings_back_the_same_watch(tmp_path: Path) -> None:
    live = watch()
    told = []
    with Journal(tmp_path) as journal:
        for line in ticks(HEALTHY) + ticks(WON[:10], 13):
            numbers = {name: float(value) * (1 + 1e-9) for name, value in line.items() if name != "kimg"}
            told += live.see(journal.write(round(line["kimg"] * 1000), numbers))
    again = watch()
    again.replay(read_log(tmp_path))
    assert again.active == live.active
    assert again.active[0].since_kimg == told[0].since_kimg


def test_a_log_leaves_out_what_was_undone_or_torn(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for kimg in (1, 2, 3, 4):
            journal.write(kimg * 1000, {"x": float(kimg)})
        journal.write(5000, {"x": math.nan, "y": math.inf, "small": 1.23456789e-9})
    path = tmp_path / "log.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])  # JSON has no NaN
    assert last == {"kimg": 5.0, "x": None, "y": None, "small": 1.23457e-9}
    path.write_text(path.read_text() + '{"kimg": 6, "x": 0.')
    assert [line["kimg"] for line in read_log(tmp_path)] == [1, 2, 3, 4, 5]
    assert [line["kimg"] for line in read_log(tmp_path, until=3500)] == [1, 2, 3]
    with Journal(tmp_path, 2000) as journal:  # a kill at 5 came after a checkpoint at 2
        journal.tell(2000, "resumed")
        journal.write(3000, {"x": 30.0})
    assert [(line["kimg"], line.get("x")) for line in read_log(tmp_path)] == [(1, 1.0), (2, 2.0), (2, None), (3, 30.0)]


def faces(count: int, seed: int, side: int = 64) -> Tensor:
    """Smooth random pictures, (count, 3, side, side)."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=random) * 2 - 1
    return F.interpolate(coarse, (side, side), mode="bicubic").clamp(-1, 1)


def test_likeness_of_fresh_pictures_twins_and_copies() -> None:
    training = faces(60, seed=1)
    likeness = Likeness(training)
    fresh = likeness.numbers(faces(16, seed=2))
    assert (fresh["twins"], fresh["copied"]) == (0.0, 0.0)
    assert fresh["similarity"] == pytest.approx(fresh["training_similarity"], abs=0.03)
    assert 0.8 < fresh["nearest"] < 1.2
    noise = 0.02 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    made = torch.cat((faces(12, seed=2), faces(2, seed=2) + noise, training[:1] + noise, training[5:6].flip(3)))
    some = likeness.numbers(made)
    assert some["twins"] == pytest.approx(2 / (16 * 15 / 2))
    assert some["copied"] == pytest.approx(2 / 16)  # one as it is, one mirrored
    collapsed = likeness.numbers(faces(1, seed=2).repeat(16, 1, 1, 1) + 0.01 * faces(16, seed=4))
    assert collapsed["twins"] == 1.0
    assert collapsed["similarity"] > 0.95


def test_likeness_takes_larger_pictures_and_repeating_training_pictures() -> None:
    training = faces(20, seed=1)
    large = F.interpolate(training[:8], scale_factor=2.0)
    assert Likeness(training).numbers(large)["copied"] == 1.0
    repeating = Likeness(faces(4, seed=1).repeat(3, 1, 1, 1)).numbers(faces(4, seed=2))
    assert set(repeating) == {"similarity", "training_similarity"}


def test_a_grid_is_cut_into_what_it_was_made_of() -> None:
    pictures = faces(6, seed=1, side=16)
    assert torch.equal(cut_grid(picture_grid(pictures, columns=3), columns=3), pictures)
