"""Time left: right within 10 % on runs whose steps, previews and checkpoints take known times."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from upimagine.nets.pggan import PgganDiscriminator, PgganGenerator
from upimagine.train.arithmetic import arithmetic
from upimagine.train.pace import Pace


def simulate(rate_s: float, preview_s: float, checkpoint_s: float, slow_every: int = 0) -> list[float]:
    """Run 100 kimg on a clock of our own; gives back, at each tick from the third on, foretold by true seconds left."""
    kimg, preview_kimg, checkpoint_every_s = 100, 5, 300.0
    pace = Pace(kimg, preview_kimg, checkpoint_every_s)
    now, last_checkpoint = 0.0, 0.0
    foretold = []
    for tick in range(1, kimg + 1):
        seconds = rate_s * (1 + 0.05 * math.sin(7.0 * tick)) * (4 if slow_every and tick % slow_every == 0 else 1)
        now += seconds
        if tick % preview_kimg == 0:
            now += preview_s
            pace.add_preview(preview_s * 0.75)
            pace.add_page(preview_s * 0.25)
        pace.add_tick(seconds)
        if tick >= 3:
            foretold.append((now, pace.seconds_left(tick)))
        if now - last_checkpoint >= checkpoint_every_s:
            last_checkpoint = now
            now += checkpoint_s
            pace.add_checkpoint(checkpoint_s)
    now += checkpoint_s
    return [left / (now - at) for at, left in foretold if tick_matters(now - at, now)]


def tick_matters(left_s: float, whole_s: float) -> bool:
    """The last twentieth is not judged: there a single preview or checkpoint is most of what is left."""
    return left_s > 0.05 * whole_s


@pytest.mark.parametrize(
    ("rate_s", "preview_s", "checkpoint_s"),
    [(60.0, 2.0, 3.0), (10.0, 20.0, 1.0), (60.0, 0.5, 45.0), (40.0, 60.0, 30.0)],
)
def test_the_time_left_is_right_within_a_tenth(rate_s: float, preview_s: float, checkpoint_s: float) -> None:
    ratios = simulate(rate_s, preview_s, checkpoint_s)
    settled = ratios[5:]  # the first preview and checkpoint are known by then
    assert min(settled) > 0.9
    assert max(settled) < 1.1


def test_a_spell_in_which_something_else_used_the_machine_does_not_count() -> None:
    pace = Pace(100, 1000, 300.0)
    for tick in range(20):
        pace.add_tick(240.0 if 12 <= tick < 17 else 60.0)
    assert pace.seconds_left(20) == 80 * 60


def test_it_follows_a_run_that_has_become_slower() -> None:
    pace = Pace(100, 1000, 300.0)
    for tick in range(30):
        pace.add_tick(60.0 if tick < 15 else 120.0)
    assert pace.seconds_left(30) == 70 * 120


def test_nothing_is_left_at_the_end_and_nothing_is_foretold_before_the_first_tick() -> None:
    pace = Pace(10, 5, 300.0)
    pace.add_tick(0.0)
    pace.add_tick(math.inf)
    assert pace.seconds_left(0) == 0
    pace.add_tick(60.0)
    pace.add_preview(30.0)
    pace.add_checkpoint(7.0)
    assert pace.seconds_left(10) == 0
    assert pace.seconds_left(5) == pytest.approx((5 * 60 + 30) / (1 - 7 / 300) + 7)


def test_a_growing_run_is_foretold_by_the_work_that_is_to_come() -> None:
    """Sizes of 30 kimg each, each four times the work of the one before; small ones take longer than that says."""

    def work(kimg: float) -> float:
        return 4.0 ** min(int(kimg / 30), 3)

    def seconds(kimg: float) -> float:
        return 2.0 * work(kimg) + 5.0

    pace = Pace(120, 1000, 1e9, work)
    shares = {}
    for kimg in range(1, 120):
        pace.add_tick(seconds(kimg - 0.5), kimg - 0.5)
        shares[kimg] = pace.seconds_left(kimg) / sum(seconds(k + 0.5) for k in range(kimg, 120))
    assert all(abs(shares[kimg] - 1) < 0.1 for kimg in range(34, 119))  # from the third tick of the second size on


def test_a_growing_networks_work_is_counted_at_each_size_without_being_done() -> None:
    generator = PgganGenerator(32, 16, fmap_base=128, fmap_max=16, growing=True)
    discriminator = PgganDiscriminator(32, fmap_base=128, fmap_max=16, growing=True)
    works = [arithmetic(generator, discriminator, size) for size in (4, 8, 16, 32)]
    assert all(1.5 < larger / smaller < 4.5 for smaller, larger in pairwise(works[1:]))
    assert next(generator.parameters()).device.type == "cpu"
