"""What a run leaves when something happens to it: a folder that goes, an error; and curves for others."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from pathlib import Path

import pytest
from test_train import LOOP, TINY, assert_same_state, train

from upimagine.errors import UpimagineError
from upimagine.train.account import Progress
from upimagine.train.dcgan import make_dcgan_task
from upimagine.train.journal import Journal, read_log
from upimagine.train.loop import fit


def test_a_folder_that_vanishes_is_made_anew_and_nothing_is_lost(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "straight")
    run, notes = tmp_path / "run", []

    def vanish(progress: Progress) -> None:
        if progress.shown == 8:
            shutil.rmtree(run)
            shutil.rmtree(pictures)  # pictures are in memory by then

    task = make_dcgan_task([pictures], TINY, 0, lambda path, reason: None)
    fit(task, LOOP, run, vanish, notes.append)
    assert notes == [f"at 0.012 kimg, {run} had vanished; it was made anew, training goes on"]
    assert_same_state(tmp_path / "straight", run)
    assert [line["kimg"] for line in read_log(run)] == [0.008, 0.016, 0.024]
    assert (run / "model.safetensors").exists()


def test_a_folder_that_cannot_be_made_anew_is_one_clear_line(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "disk/run"

    def vanish(progress: Progress) -> None:
        run.parent.rename(tmp_path / "taken-out")

    with pytest.raises(UpimagineError, match="has vanished while training and cannot be made anew"):
        train(pictures, run, watch=vanish)
    train(pictures, tmp_path / "taken-out/run")  # goes on where it is


def test_an_error_from_elsewhere_is_told_on_the_page(pictures: Path, tmp_path: Path) -> None:
    def fail(progress: Progress) -> None:
        raise OSError("the cable was pulled")

    with pytest.raises(OSError, match="cable"):
        train(pictures, tmp_path / "run", dataclasses.replace(LOOP, kimg=0.008), watch=fail)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert lines[-1] == {"kimg": 0.008, "event": "ended", "why": "the cable was pulled"}
    page = (tmp_path / "run/index.html").read_text()
    assert "<title>run: stopped</title>" in page
    assert "Stopped: 0.0 of 0.008" in page


def test_tensorboard_reads_the_curves_and_forgets_what_was_undone(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    with Journal(tmp_path) as journal:
        for shown in (1000, 2000, 3000):
            journal.write(shown, {"generator/loss": shown / 1000, "discriminator/loss": 7.0})
    with Journal(tmp_path, 2000) as journal:  # the third was undone
        journal.write(4000, {"generator/loss": 40.0})
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    assert set(curves.Tags()["scalars"]) == {"generator/loss", "discriminator/loss"}
    assert [(point.step, point.value) for point in curves.Scalars("generator/loss")] == [
        (1000, 1),
        (2000, 2),
        (4000, 40),
    ]
