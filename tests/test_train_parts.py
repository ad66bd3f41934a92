"""Batches in parts, over processes and in too little memory: the same training as a batch at a stretch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import draw_pictures
from test_train import LOOP, assert_same_state
from torch import Tensor

from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.dcgan import DcganSettings, DcganTask, make_dcgan_task
from upimagine.train.engine import Engine
from upimagine.train.latents import latents_at
from upimagine.train.loop import Outcome, fit
from upimagine.train.task import Batch, Task

#: BEGAN's networks have no batch norm, and here nothing but the latents is random. The discriminator hardly moves, for
#: Adam's first step goes by the signs of gradients, those of rounding errors among them.
PLAIN = DcganSettings(size_px=64, width=4, objective="began", augment=(), flip=False, learning_rate=1e-9)
STEP = dataclasses.replace(LOOP, kimg=0.008, batch=8)


def train(pictures: Path, run: Path, settings: DcganSettings = PLAIN, **changed: Any) -> Outcome:
    task = make_dcgan_task([pictures], settings, 0, lambda path, reason: None)
    return fit(task, dataclasses.replace(STEP, **changed), run)


def momenta(run: Path) -> dict[str, list[Tensor]]:
    """Adam's first moment after one step, a tenth (or half) of the gradient, for each phase."""
    state = load_checkpoint(run)
    assert state is not None
    assert state["step"] == 1
    return {
        phase: [moments["exp_avg"] for moments in optimizer["state"].values()]
        for phase, optimizer in state["optimizers"].items()
    }


def assert_same_gradients(one: Path, other: Path) -> None:
    first, second = momenta(one), momenta(other)
    assert first.keys() == second.keys() == {"discriminator", "generator"}
    for phase, moments in first.items():
        assert any(moment.abs().max() > 1e-6 for moment in moments)
        for a, b in zip(moments, second[phase], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=float(a.abs().max()) * 2e-4 + 1e-9)


def test_parts_have_the_whole_batchs_gradients(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "whole")
    train(pictures, tmp_path / "parts", accumulate=4)
    assert_same_gradients(tmp_path / "whole", tmp_path / "parts")
    k = [load_checkpoint(tmp_path / run)["nets"]["discriminator"]["k"] for run in ("whole", "parts")]  # type: ignore[index]
    torch.testing.assert_close(k[0], k[1], rtol=1e-3, atol=1e-9)


def test_a_run_in_parts_resumes_to_the_bit_and_may_go_on_in_others(pictures: Path, tmp_path: Path) -> None:
    plain = DcganSettings(size_px=64, width=4)  # augmentation, too
    train(pictures, tmp_path / "straight", plain, kimg=0.016, accumulate=2)
    train(pictures, tmp_path / "twice", plain, kimg=0.008, accumulate=2)
    train(pictures, tmp_path / "twice", plain, kimg=0.016, accumulate=2)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    train(pictures, tmp_path / "twice", plain, kimg=0.024, accumulate=1)


def test_two_processes_have_one_processs_gradients(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures", count=12, size_px=72)
    words = ["--data", str(pictures), "--size-px", "64", "--width", "4", "--objective", "began", "--augment"]
    words += ["--no-flip", "--precision", "float32", "--device", "cpu", "--threads", "1", "--batch", "8", "--json"]
    words += ["--learning-rate", "1e-9"]
    command = [sys.executable, "-m", "upimagine", "train", "dcgan", *words, "--kimg", "0.008"]
    one = subprocess.run([*command, "--out", str(tmp_path / "one")], capture_output=True, text=True, check=True)
    two = subprocess.run(
        [*command, "--out", str(tmp_path / "two"), "--processes", "2"], capture_output=True, text=True, check=True
    )
    assert_same_gradients(tmp_path / "one", tmp_path / "two")
    assert json.loads(two.stdout) | {"model": ""} == json.loads(one.stdout) | {"model": ""}  # told once
    # What one process has begun two may go on with.
    command[-1] = "0.016"
    again = [*command, "--out", str(tmp_path / "one"), "--processes", "2"]
    on = subprocess.run(again, capture_output=True, text=True, check=False)
    assert on.returncode == 0, on.stderr
    assert json.loads(on.stdout)["kimg"] == 0.016


class Cramped(DcganTask):
    """Memory for two pictures at once, and no more."""

    most = 2

    def forward(self, batch: Batch, step: int) -> Batch:
        if len(batch["real"]) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 999 bytes")
        return super().forward(batch, step)


def cramped(pictures: Path, most: int) -> Callable[[Engine], Task]:
    def make(engine: Engine) -> Task:
        task = make_dcgan_task([pictures], PLAIN, 0, lambda path, reason: None)(engine)
        task.__class__ = Cramped
        task.most = most  # type: ignore[attr-defined]
        return task

    return make


def test_memory_that_runs_out_halves_the_parts_and_says_so(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "parts", accumulate=4)
    notes: list[str] = []
    fit(cramped(pictures, 2), STEP, tmp_path / "cramped", on_note=notes.append)
    assert_same_state(tmp_path / "parts", tmp_path / "cramped")
    assert [note[:54] for note in notes] == [
        "memory does not suffice for 8 pictures at once: 4 at a",
        "memory does not suffice for 4 pictures at once: 2 at a",
    ]


def test_memory_too_small_for_one_picture_is_an_error(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match="memory does not suffice for 1 pictures at once"):
        fit(cramped(pictures, 0), STEP, tmp_path / "run")


def test_layers_are_warned_before_memory_ends() -> None:
    """The system would promise more than there is."""
    script = """
import torch, upimagine.memory as memory
memory._free_bytes = lambda: 400 << 20
layer = torch.nn.Identity()
with memory.MemoryBound(torch.device("cpu")):
    layer(torch.ones(50 << 20))  # 200 MiB
    kept = torch.ones(90 << 20)
    try:
        layer(kept)
    except MemoryError as error:
        print(memory.is_out_of_memory(error), error)
    del kept
    memory.give_back()
    print(layer(torch.ones(50 << 20)).numel())
print(layer(torch.ones(150 << 20)).numel())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True 400 MiB were free when training began", str(50 << 20), str(150 << 20)]


def test_a_batch_that_cannot_be_divided_is_refused(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "dcgan", "--data", str(pictures), "--out", "run", "--batch", "8"]
    assert main([*words, "--accumulate", "3"]) == 1
    assert "use a multiple of 3" in capsys.readouterr().err
    assert main([*words, "--processes", "0"]) == 1
    assert "use a multiple of 1" in capsys.readouterr().err


def test_latents_belong_to_their_places_and_are_normal() -> None:
    whole = latents_at(1000, 512, 64, seed=3)
    assert torch.equal(whole[100:200], latents_at(1100, 100, 64, seed=3))
    assert abs(float(whole.mean())) < 0.03
    assert float(whole.std()) == pytest.approx(1, abs=0.03)
    neighbours = (whole[1:] * whole[:-1]).mean(dim=1)  # no likeness: N(0, 1 / 64) each
    assert float(neighbours.std()) == pytest.approx(1 / 8, rel=0.15)
    assert not torch.equal(whole[0], latents_at(1000, 1, 64, seed=4)[0])
