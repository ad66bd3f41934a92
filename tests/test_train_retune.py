"""`--retune`: a run goes on with other settings, bit for bit as if nothing else had changed, and tells of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file
from upimagine.train.dcgan import DcganSettings, make_dcgan_task
from upimagine.train.loop import Outcome, fit
from upimagine.train.settings import LoopSettings

TINY = DcganSettings(size_px=64, width=8, latent_dim=8)
LOOP = LoopSettings(batch=4, precision="float32", device="cpu", threads=1, tick_kimg=0.004, preview_kimg=1.0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(8):
        Image.fromarray(chance.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def train(pictures: Path, run: Path, kimg: float, settings: DcganSettings = TINY, **loop: object) -> Outcome:
    notes: list[str] = []
    task = make_dcgan_task([pictures], settings, 0, lambda path, reason: None)
    outcome = fit(task, dataclasses.replace(LOOP, kimg=kimg, **loop), run, on_note=notes.append)
    if loop.get("retune"):
        run.with_suffix(".notes").write_text("\n".join(notes))
    return outcome


def test_another_setting_is_refused_until_it_is_asked_for_and_then_told_ever_after(
    pictures: Path, tmp_path: Path
) -> None:
    run, calmer = tmp_path / "run", dataclasses.replace(TINY, gamma=1.0)
    train(pictures, run, 0.008)
    with pytest.raises(UpimagineError, match=r"gamma was 0\.0, now 1\.0.*--retune to go on"):
        train(pictures, run, 0.016, calmer)
    outcome = train(pictures, run, 0.016, calmer, retune=True)
    told = [{"kimg": 0.008, "changes": ["gamma was 0.0, now 1.0"]}]
    assert load_model_file(outcome.model).story["settings"]["retunes"] == told
    assert "gamma was 0.0, now 1.0" in run.with_suffix(".notes").read_text()
    assert "from 0.008 kimg: gamma was 0.0, now 1.0" in (run / "index.html").read_text()
    outcome = train(pictures, run, 0.024, calmer)  # without the flag
    assert load_model_file(outcome.model).story["settings"]["retunes"] == told
    with pytest.raises(UpimagineError, match=r"gamma was 1\.0, now 0\.0"):
        train(pictures, run, 0.032)


def test_nothing_but_the_setting_changes(pictures: Path, tmp_path: Path) -> None:
    calmer = dataclasses.replace(TINY, gamma=1.0, gamma_every=1000)  # R1's turn does not come before the end
    train(pictures, tmp_path / "retuned", 0.008)
    train(pictures, tmp_path / "straight", 0.016)
    train(pictures, tmp_path / "retuned", 0.016, calmer, retune=True)
    nets = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["nets"] for name in ("straight", "retuned")
    ]
    for net, state in nets[0].items():
        for name, value in state.items():
            assert torch.equal(value, nets[1][net][name]), (net, name)


@pytest.mark.parametrize(
    ("settings", "loop", "why"),
    [
        (dataclasses.replace(TINY, width=16), {}, "make another generator"),
        (TINY, {"batch": 2}, "cannot help where batch was 4, now 2"),
        (TINY, {"seed": 1}, "cannot help where seed was 0, now 1"),
    ],
)
def test_nets_data_and_seed_stay(
    settings: DcganSettings, loop: dict[str, int], why: str, pictures: Path, tmp_path: Path
) -> None:
    train(pictures, tmp_path, 0.004)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UpimagineError, match=why):
        train(pictures, tmp_path, 0.016, settings, retune=True, **loop)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
