"""Back to the last healthy checkpoint, with nothing changed but what is said; and what a run leaves to be seen."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pyvips
import torch
from test_train import LOOP, TINY, assert_same_state

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file
from upimagine.pixels.animation import write_animation
from upimagine.train.account import Progress
from upimagine.train.checkpoint import load_checkpoint, save_checkpoint
from upimagine.train.dcgan import make_dcgan_task
from upimagine.train.journal import Journal, read_log
from upimagine.train.loop import Outcome, fit
from upimagine.train.rollback import HEALTHY_NAME, UNDONE_NAME, gentleness, keep_healthy
from upimagine.train.settings import LoopSettings
from upimagine.train.watch import Facts, Watch

#: A checkpoint after every step, so that a kill falls into one.
FLIGHT = dataclasses.replace(LOOP, kimg=0.024, tick_kimg=0.008, preview_kimg=0.016, checkpoint_minutes=1e-6)
PHASES = ("discriminator", "generator")


def train(pictures: Path, run: Path, kimg: float, notes: list[str] | None = None, **changed: Any) -> Outcome:
    loop_names = {field.name for field in dataclasses.fields(LoopSettings)}
    loop = dataclasses.replace(LOOP, kimg=kimg, **{k: v for k, v in changed.items() if k in loop_names})
    settings = dataclasses.replace(TINY, **{k: v for k, v in changed.items() if k not in loop_names})
    told = [] if notes is None else notes
    return fit(make_dcgan_task([pictures], settings, 0, lambda path, reason: None), loop, run, on_note=told.append)


def state_of(run: Path, name: str = "checkpoint.pt") -> dict[str, Any]:
    state = load_checkpoint(run, name)
    assert state is not None
    return state


def won(kimg: float) -> dict[str, float]:
    """A tick at which the discriminator has won."""
    return {"discriminator/loss": 0.01, "discriminator/real": 6.0, "discriminator/fake": -6.0, "seconds_per_kimg": 1.0}


@pytest.fixture
def troubled(pictures: Path, tmp_path: Path) -> Path:
    """A run with a healthy checkpoint at 8 pictures, the newest at 16, and a discriminator that has won by then."""
    run = tmp_path / "run"
    train(pictures, run, 0.008)
    shutil.copy(run / "checkpoint.pt", run / HEALTHY_NAME)
    train(pictures, run, 0.016)
    with Journal(run, 16) as journal:
        for shown in range(11, 16):
            journal.write(shown, won(shown))
    return run


def test_rollback_goes_to_the_healthy_checkpoint_and_changes_only_what_it_says(pictures: Path, troubled: Path) -> None:
    newest = (troubled / "checkpoint.pt").read_bytes()
    healthy = state_of(troubled, HEALTHY_NAME)
    notes: list[str] = []
    outcome = train(pictures, troubled, 0.008, notes, rollback=True)  # no step beyond: what was rolled back to is there
    assert outcome.shown == 8
    assert notes[0].startswith("rolled back from 0.016 to 0.008 kimg (discriminator too strong); from here on the")
    assert "learning rate of discriminator is halved" in notes[0]
    after = state_of(troubled)
    done = after["settings"].pop("rollbacks")
    assert done == [
        {
            "from_kimg": 0.016,
            "to_kimg": 0.008,
            "because": ["discriminator too strong"],
            "learning_rate_times": {"discriminator": 0.5},
        }
    ]
    assert after["settings"] == healthy["settings"]
    compare = troubled.parent / "compare"
    compare.mkdir()
    shutil.copy(troubled / HEALTHY_NAME, compare / "checkpoint.pt")
    assert_same_state(compare, troubled)
    assert (troubled / UNDONE_NAME).read_bytes() == newest
    assert load_model_file(outcome.model).story["settings"]["rollbacks"] == done


def test_the_side_that_misbehaved_learns_half_as_fast_and_the_other_as_before(pictures: Path, troubled: Path) -> None:
    start = state_of(troubled, HEALTHY_NAME)["nets"]["discriminator"]
    plain = troubled.parent / "plain"
    plain.mkdir()
    shutil.copy(troubled / HEALTHY_NAME, plain / "checkpoint.pt")
    train(pictures, plain, 0.012)
    train(pictures, troubled, 0.012, rollback=True)
    full, half = (state_of(run)["nets"]["discriminator"] for run in (plain, troubled))
    for name, parameter in start.items():
        if "running" in name or "num_batches" in name:
            continue
        torch.testing.assert_close(half[name] - parameter, (full[name] - parameter) / 2, rtol=1e-3, atol=1e-7)
    # The generator's first step after that meets another discriminator, but its rate is its own.
    assert [group["lr"] for group in state_of(troubled)["optimizers"]["generator"]["param_groups"]] == [2e-4]
    assert gentleness(state_of(troubled)["settings"]["rollbacks"], "generator") == 1.0


def test_without_a_finding_both_learn_half_as_fast_to_the_bit_and_after_a_resume_too(
    pictures: Path, tmp_path: Path
) -> None:
    for name in ("asked", "told"):
        train(pictures, tmp_path / name, 0.008)
    notes: list[str] = []
    train(pictures, tmp_path / "asked", 0.016, notes, rollback=True)
    assert "the watch had found nothing" in notes[0]
    train(pictures, tmp_path / "asked", 0.024)  # the command without the flag goes on as gently
    train(pictures, tmp_path / "told", 0.024, learning_rate=1e-4)
    assert_same_state_but_rates(tmp_path / "asked", tmp_path / "told")


def assert_same_state_but_rates(one: Path, other: Path) -> None:
    first, second = state_of(one), state_of(other)
    for state in (first, second):
        for optimizer in state["optimizers"].values():
            for group in optimizer["param_groups"]:
                group.pop("lr")
    for name, state in (("one", first), ("other", second)):
        folder = one.parent / f"without-rates-{name}"
        folder.mkdir()
        save_checkpoint(folder, state)
    assert_same_state(one.parent / "without-rates-one", one.parent / "without-rates-other")


def test_the_same_command_again_goes_on_and_a_second_finding_is_gentler_still(pictures: Path, troubled: Path) -> None:
    train(pictures, troubled, 0.012, rollback=True)
    notes: list[str] = []
    assert train(pictures, troubled, 0.016, notes, rollback=True).shown == 16
    assert notes == [
        "nothing is amiss since the rollback to 0.008 kimg, so the run goes on; for a still gentler setting give a "
        "smaller --learning-rate"
    ]
    with Journal(troubled, 16) as journal:
        for shown in range(11, 16):
            journal.write(shown, won(shown))
    train(pictures, troubled, 0.012, rollback=True)
    rollbacks = state_of(troubled)["settings"]["rollbacks"]
    assert len(rollbacks) == 2
    assert gentleness(rollbacks, "discriminator") == 0.25


def test_a_rollback_with_other_settings_is_refused_and_nothing_is_changed(pictures: Path, troubled: Path) -> None:
    before = {path.name: path.read_bytes() for path in troubled.glob("*.pt")}
    with pytest.raises(UpimagineError, match="batch was 4, now 2"):
        train(pictures, troubled, 0.02, rollback=True, batch=2)
    assert {path.name: path.read_bytes() for path in troubled.glob("*.pt")} == before


def test_a_run_without_a_way_back_says_so(pictures: Path, troubled: Path, tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match="no checkpoint to roll back from"):
        train(pictures, tmp_path / "new", 0.008, rollback=True)
    (troubled / HEALTHY_NAME).unlink()
    for path in troubled.glob("trial-*.pt"):
        path.unlink()
    with Journal(troubled) as journal:
        for shown in range(16, 21):
            journal.write(shown, won(shown))
    with pytest.raises(UpimagineError, match="no healthy checkpoint"):
        train(pictures, troubled, 0.02, rollback=True)


def test_before_a_checkpoint_has_proved_healthy_the_one_on_trial_serves(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(pictures, run, 0.008)
    train(pictures, run, 0.016)
    assert sorted(kept(run).values()) == [2, 4]
    assert train(pictures, run, 0.008, rollback=True).shown == 8
    assert state_of(run)["settings"]["rollbacks"][0]["to_kimg"] == 0.008


def test_a_run_that_met_gradients_that_are_no_numbers_rolls_back(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(pictures, run, 0.008)
    sound = (run / "checkpoint.pt").read_bytes()
    state = state_of(run)
    state["nets"]["generator"]["layers.0.weight"][0, 0] = torch.nan
    torch.save(state, run / "checkpoint.pt")
    notes: list[str] = []
    with pytest.raises(UpimagineError, match="no longer numbers"):
        train(pictures, run, 0.016, notes)
    assert "not a number: the discriminator's gradients" in notes[0]
    assert read_log(run)[-2]["event"] == "stopped"
    assert "Not a number" in (run / "index.html").read_text()
    (run / HEALTHY_NAME).write_bytes(sound)
    train(pictures, run, 0.016, notes, rollback=True)
    assert "(not a number)" in notes[1]
    assert state_of(run)["step"] == 4


def healthy_watch(ticks: int) -> Watch:
    looking = Watch(Facts(PHASES, {}))
    looking.replay({"kimg": float(i + 1), "discriminator/loss": 1.0} for i in range(ticks))
    return looking


def kept(run: Path) -> dict[str, int]:
    """Which checkpoints there are, and their steps."""
    return {path.name: state_of(run, path.name)["step"] for path in sorted(run.glob("*.pt"))}


def test_a_checkpoint_is_healthy_when_ten_more_ticks_were(tmp_path: Path) -> None:
    for kimg, expected in (
        (5, {"checkpoint.pt": 5, "trial-000005000.pt": 5}),
        (14, {"checkpoint.pt": 14, "trial-000005000.pt": 5}),  # nine ticks since: not yet
        (15, {"checkpoint.pt": 15, "healthy.pt": 5, "trial-000015000.pt": 15}),
        (25, {"checkpoint.pt": 25, "healthy.pt": 15, "trial-000025000.pt": 25}),
    ):
        save_checkpoint(tmp_path, {"step": kimg})
        keep_healthy(tmp_path, kimg * 1000, healthy_watch(kimg))
        assert kept(tmp_path) == expected


def test_a_checkpoint_from_within_the_trouble_is_never_the_healthy_one(tmp_path: Path) -> None:
    looking = healthy_watch(20)
    save_checkpoint(tmp_path, {"step": 20})
    keep_healthy(tmp_path, 20_000, looking)
    looking.replay({"kimg": 21.0 + i, "discriminator/loss": 0.01} for i in range(2))  # not found out yet
    save_checkpoint(tmp_path, {"step": 22})
    keep_healthy(tmp_path, 22_000, looking)
    looking.replay({"kimg": 23.0 + i, "discriminator/loss": 0.01} for i in range(4))
    assert [found.since_kimg for found in looking.active] == [19.0]  # three of five ticks were enough
    save_checkpoint(tmp_path, {"step": 26})
    keep_healthy(tmp_path, 26_000, looking)
    assert kept(tmp_path) == {"checkpoint.pt": 26}


def test_trouble_proves_the_checkpoint_before_it(tmp_path: Path) -> None:
    looking = healthy_watch(20)
    save_checkpoint(tmp_path, {"step": 17})
    keep_healthy(tmp_path, 17_000, healthy_watch(17))
    looking.replay({"kimg": 21.0 + i, "discriminator/loss": 0.01} for i in range(4))
    save_checkpoint(tmp_path, {"step": 24})
    keep_healthy(tmp_path, 24_000, looking)
    assert kept(tmp_path) == {"checkpoint.pt": 24, "healthy.pt": 17}


def test_a_run_leaves_a_page_a_film_and_numbers_about_its_pictures(pictures: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    task = make_dcgan_task([pictures], TINY, 0, lambda path, reason: None)
    fit(task, dataclasses.replace(LOOP, kimg=0.024), tmp_path / "run", told.append)
    assert told[-1].seconds_left == 0
    last = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])
    looks = {"samples/similarity", "samples/training_similarity", "samples/twins", "samples/copied", "samples/nearest"}
    assert looks <= last.keys()
    assert 0 < last["samples/training_similarity"] < 1
    page = (tmp_path / "run/index.html").read_text()
    assert "Finished: 0.0 of 0.024 thousand pictures shown" in page
    assert 'href="film.webp"' in page


def test_the_film_leaves_out_what_a_rollback_has_undone(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(pictures, run, 0.004)
    shutil.copy(run / "preview-000000.jpg", run / "preview-000003.jpg")
    train(pictures, run, 0.004)
    assert frames_of(run / "film.webp") == 1


def test_a_film_has_a_frame_a_picture_and_rests_on_the_last(tmp_path: Path) -> None:
    colours = (-0.5, 0.0, 0.5)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, colour in zip(paths, colours, strict=True):
        pixels.write(path, torch.full((3, 40, 60), colour))
    write_animation(paths, tmp_path / "film.webp", side_px=30)
    assert frames_of(tmp_path / "film.webp") == 3
    film = pyvips.Image.new_from_file(str(tmp_path / "film.webp"), n=-1)
    assert (film.width, film.get("page-height"), film.get("delay"), film.get("loop")) == (30, 20, [120, 120, 2000], 0)
    for i, colour in enumerate(colours):
        assert film.getpoint(15, 20 * i + 10)[0] == pytest.approx((colour + 1) * 127.5, abs=4)
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(UpimagineError, match="delete damaged previews"):
        write_animation(paths, tmp_path / "film.webp")
    assert frames_of(tmp_path / "film.webp") == 3


def frames_of(path: Path) -> int:
    film = pyvips.Image.new_from_file(str(path), n=-1)
    return int(film.get("n-pages")) if "n-pages" in film.get_fields() else 1


def test_a_watched_run_resumes_to_the_bit_after_a_kill_in_mid_flight(pictures: Path, tmp_path: Path) -> None:
    script = """
import dataclasses, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[3])
from test_train_rollback import FLIGHT, TINY, fit, make_dcgan_task
def tick(progress):
    print(progress.shown, flush=True)
fit(make_dcgan_task([Path(sys.argv[1])], TINY, 0, lambda path, reason: None), FLIGHT, Path(sys.argv[2]), tick)
"""
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(pictures), str(killed), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "8\n"
    process.kill()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    for run in (killed, tmp_path / "straight"):
        fit(make_dcgan_task([pictures], TINY, 0, lambda path, reason: None), FLIGHT, run)
    assert_same_state(tmp_path / "straight", killed)
    at = [[line["kimg"] for line in read_log(run) if "event" not in line] for run in (killed, tmp_path / "straight")]
    assert at[0] == at[1] == [0.008, 0.016, 0.024]
