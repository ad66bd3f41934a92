"""Training on pictures out of folders, zips and shards: of all shapes, and gone once they are read."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from conftest import draw_pictures
from test_data_sources import contents, nothing_skipped, write_tar, write_zip
from test_train import LOOP, TINY, assert_same_state

from upimagine.data.folder import Decoded
from upimagine.train.dcgan import make_dcgan_task
from upimagine.train.loop import Progress, fit
from upimagine.train.squares import decode_squares


def test_pictures_of_all_shapes_become_squares_of_one_size(tmp_path: Path) -> None:
    for size in (20, 64, 150):
        draw_pictures(tmp_path / "mixed" / str(size), count=1, size_px=size)
    decoded: Decoded = decode_squares([tmp_path / "mixed"], 64, nothing_skipped)
    assert [tuple(picture.shape) for picture in decoded.pictures] == [(3, 64, 64)] * 3


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_pictures_that_vanish_while_training_do_no_harm(kind: str, pictures: Path, tmp_path: Path) -> None:
    def source() -> Path:
        files = contents(pictures)
        if kind == "folder":
            return Path(shutil.copytree(pictures, tmp_path / "going"))
        return write_zip(tmp_path / "going.zip", files) if kind == "zip" else write_tar(tmp_path / "going.tar", files)

    going = source()

    def vanish(progress: Progress) -> None:
        if going.exists():
            shutil.rmtree(going) if going.is_dir() else going.unlink()

    loop = dataclasses.replace(LOOP, kimg=0.012)
    task = make_dcgan_task([going], TINY, 0, nothing_skipped)
    outcome = fit(task, loop, tmp_path / "run", vanish)
    assert outcome.finished
    assert not going.exists()
    fit(make_dcgan_task([source()], TINY, 0, nothing_skipped), loop, tmp_path / "undisturbed")
    assert_same_state(tmp_path / "run", tmp_path / "undisturbed")
