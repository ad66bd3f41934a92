"""The training loop: reproducible, resumable to the bit, safe."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import draw_pictures

from upimagine.cli import main
from upimagine.data.folder import drawn_at
from upimagine.data.tiles import TileAugment
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file
from upimagine.models.loaded import load_generator
from upimagine.train.account import Progress
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.dcgan import DcganSettings, make_dcgan_task
from upimagine.train.ema import ema_beta
from upimagine.train.loop import Outcome, fit
from upimagine.train.settings import LoopSettings, Precision
from upimagine.train.upres import UpresSettings, make_upres_task

TINY = DcganSettings(size_px=64, width=4)
LOOP = LoopSettings(
    kimg=0.024, batch=4, precision="float32", device="cpu", threads=1, tick_kimg=0.008, preview_kimg=0.012
)


def train(
    pictures: Path, run: Path, settings: LoopSettings = LOOP, watch: Callable[[Progress], None] | None = None
) -> Outcome:
    return fit(make_dcgan_task([pictures], TINY, settings.seed, lambda path, reason: None), settings, run, watch)


def assert_same_state(one: Path, other: Path) -> None:
    """Every tensor of both checkpoints is equal, bit for bit."""
    first, second = load_checkpoint(one), load_checkpoint(other)
    assert first is not None
    assert second is not None
    assert first["step"] == second["step"]

    def compare(a: object, b: object, where: str) -> None:
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b), where
        elif isinstance(a, dict):
            assert a.keys() == b.keys(), where
            for key in a:
                compare(a[key], b[key], f"{where}/{key}")
        elif isinstance(a, list):
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{where}/{index}")

    for part in ("nets", "optimizers", "average"):
        compare(first[part], second[part], part)


def test_the_same_seed_trains_the_same_network(pictures: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(LOOP, kimg=0.008)  # two steps
    train(pictures, tmp_path / "a", short)
    train(pictures, tmp_path / "b", short)
    assert_same_state(tmp_path / "a", tmp_path / "b")
    other = dataclasses.replace(short, seed=1)
    train(pictures, tmp_path / "c", other)
    a, c = load_checkpoint(tmp_path / "a"), load_checkpoint(tmp_path / "c")
    assert a is not None
    assert c is not None
    assert not torch.equal(a["average"]["layers.0.weight"], c["average"]["layers.0.weight"])


def test_n_and_n_steps_equal_2n(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "straight")
    halfway = train(pictures, tmp_path / "twice", dataclasses.replace(LOOP, kimg=0.012))
    assert halfway.shown == 12
    train(pictures, tmp_path / "twice")
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    assert torch.equal(
        load_model_file(tmp_path / "straight/model.safetensors").main.layers[0].weight,
        load_model_file(tmp_path / "twice/model.safetensors").main.layers[0].weight,
    )


def test_ctrl_c_finishes_the_step_and_the_run_goes_on_as_if_nothing_had_happened(
    pictures: Path, tmp_path: Path
) -> None:
    train(pictures, tmp_path / "straight")
    stopped = train(pictures, tmp_path / "stopped", watch=lambda progress: os.kill(os.getpid(), signal.SIGINT))
    assert not stopped.finished
    assert 0 < stopped.shown < 24
    train(pictures, tmp_path / "stopped")
    assert_same_state(tmp_path / "straight", tmp_path / "stopped")


def test_upres_resumes_to_the_bit_and_its_model_loads(tmp_path: Path) -> None:
    large = draw_pictures(tmp_path / "large", count=2, size_px=264)
    settings = UpresSettings(guide="none", width=1 / 16, critic_width=4, warmup_steps=1)
    loop = dataclasses.replace(LOOP, kimg=0.008, batch=2)

    def run(out: Path, kimg: float) -> Outcome:
        task = make_upres_task([large], settings, TileAugment(), 0, lambda path, reason: None)
        return fit(task, dataclasses.replace(loop, kimg=kimg), out)

    run(tmp_path / "straight", 0.008)
    run(tmp_path / "twice", 0.004)
    outcome = run(tmp_path / "twice", 0.008)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    model = load_model_file(outcome.model)
    assert model.main(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 256, 256)
    assert model.critic is not None
    again = dataclasses.replace(settings, init_from=outcome.model)
    fit(make_upres_task([large], again, TileAugment(), 0, lambda path, reason: None), loop, tmp_path / "tuned")


def test_a_run_may_begin_with_a_model(pictures: Path, tmp_path: Path) -> None:
    first = train(pictures, tmp_path / "first", dataclasses.replace(LOOP, kimg=0.004))
    settings = dataclasses.replace(TINY, init_from=first.model, learning_rate=1e-9)
    task = make_dcgan_task([pictures], settings, 0, lambda path, reason: None)
    second = fit(task, dataclasses.replace(LOOP, kimg=0.004), tmp_path / "second")
    before, after = load_model_file(first.model), load_model_file(second.model)
    for old, new in zip(before.main.parameters(), after.main.parameters(), strict=True):
        torch.testing.assert_close(new, old, rtol=2e-3, atol=1e-5)  # fp16 in between
    assert after.story["begun_from"]["kimg"] == 0.004
    assert str(tmp_path) not in json.dumps(after.story)
    other = dataclasses.replace(settings, width=8)
    with pytest.raises(UpimagineError, match="does not fit"):
        fit(make_dcgan_task([pictures], other, 0, lambda path, reason: None), LOOP, tmp_path / "third")


def test_a_run_may_begin_with_a_model_of_half_the_size(pictures: Path, tmp_path: Path) -> None:
    wide = dataclasses.replace(TINY, width=12)
    short = dataclasses.replace(LOOP, kimg=0.004)
    first = fit(make_dcgan_task([pictures], wide, 0, lambda path, reason: None), short, tmp_path / "first")
    twice = dataclasses.replace(TINY, size_px=128, width=6, init_from=first.model, learning_rate=1e-9)
    second = fit(make_dcgan_task([pictures], twice, 0, lambda path, reason: None), short, tmp_path / "second")
    before, after = load_model_file(first.model), load_model_file(second.model)
    torch.testing.assert_close(after.main.layers[3].weight, before.main.layers[3].weight, rtol=2e-3, atol=1e-5)
    assert after.story["begun_from"]["kimg"] == 0.004
    wrong = dataclasses.replace(twice, width=12)
    with pytest.raises(UpimagineError, match="needs --width 6"):
        fit(make_dcgan_task([pictures], wrong, 0, lambda path, reason: None), short, tmp_path / "third")


def test_a_run_leaves_log_previews_and_a_model_that_makes_pictures(pictures: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    outcome = train(pictures, tmp_path / "run", watch=told.append)
    assert outcome.finished
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.008, 0.016, 0.024]
    assert {"discriminator/loss", "generator/loss", "generator/gradient_norm"} <= lines[0].keys()
    assert told[-1].seconds_left == 0
    assert sorted(path.name for path in (tmp_path / "run").glob("preview-*.jpg"))
    assert list((tmp_path / "run/curves").glob("events*"))
    made = load_generator(outcome.model, dtype="float32").generate(torch.randn(2, 100))
    assert made.shape == (2, 3, 64, 64)


def test_training_stops_at_gradients_that_are_not_numbers_and_keeps_the_last_checkpoint(
    pictures: Path, tmp_path: Path
) -> None:
    train(pictures, tmp_path / "run", dataclasses.replace(LOOP, kimg=0.008))
    before = (tmp_path / "run/checkpoint.pt").read_bytes()
    state = load_checkpoint(tmp_path / "run")
    assert state is not None
    state["nets"]["generator"]["layers.0.weight"][0, 0] = torch.nan
    torch.save(state, tmp_path / "run/checkpoint.pt")
    poisoned = (tmp_path / "run/checkpoint.pt").read_bytes()
    with pytest.raises(UpimagineError, match="no longer numbers"):
        train(pictures, tmp_path / "run")
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == poisoned != before


def test_a_resume_with_other_settings_says_which(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "run", dataclasses.replace(LOOP, kimg=0.004))
    with pytest.raises(UpimagineError, match="batch was 4, now 2"):
        train(pictures, tmp_path / "run", dataclasses.replace(LOOP, batch=2))


def test_learning_rate_and_precision_may_change_on_the_way(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "run", dataclasses.replace(LOOP, kimg=0.004))
    slower = dataclasses.replace(TINY, learning_rate=1e-6)
    task = make_dcgan_task([pictures], slower, 0, lambda path, reason: None)
    fit(task, dataclasses.replace(LOOP, kimg=0.008, precision="bf16"), tmp_path / "run")
    state = load_checkpoint(tmp_path / "run")
    assert state is not None
    assert state["optimizers"]["generator"]["param_groups"][0]["lr"] == 1e-6
    assert state["precision"] == "bf16"
    # auto goes on as it began, whatever would be fastest at this instant
    fit(task, dataclasses.replace(LOOP, kimg=0.012, precision="auto"), tmp_path / "run")
    state = load_checkpoint(tmp_path / "run")
    assert state is not None
    assert state["precision"] == "bf16"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dcgan", "--size-px", "96"], "choose one of 64, 128, 256"),
        (["dcgan", "--augment", "solarise"], "solarise is unknown"),
        (["dcgan", "--learning-rate", "0"], "--learning-rate between"),
        (["dcgan", "--seed", "-1"], "--seed -1 cannot work"),
        (["dcgan", "--tick-kimg", "0"], "--tick-kimg 0.0 cannot work"),
        (["dcgan", "--threads", "-1"], "--threads -1 cannot work"),
        (["dcgan", "--batch", "0"], "use at least 1"),
        (["dcgan", "--device", "toaster"], "'toaster' is unknown"),
        (["dcgan", "--device", "cuda:99"], "is not here"),
        (["dcgan", "--precision", "fp16", "--device", "cpu"], "needs an NVIDIA GPU"),
        (["fastgan", "--size-px", "96"], "choose one of 64, 128, 256, 512"),
        (["fastgan", "--rebuild-weight", "-1"], "--rebuild-weight -1.0 cannot work"),
        (["progressive", "--size-px", "96"], "--size-px 96"),
        (["progressive", "--stable-kimg", "0"], "--stable-kimg"),
        (["upres", "--scales", "0"], "give numbers above 0"),
        (["upres", "--gan-weight", "-1"], "--gan-weight -1.0 cannot work"),
    ],
)
def test_wrong_arguments_get_one_clear_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = draw_pictures(tmp_path / "large", count=1, size_px=264)
    wide = ["--width", "4"] if arguments[0] in ("dcgan", "fastgan") else []
    assert main(["train", *arguments, *wide, "--data", str(large), "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_an_output_that_is_a_file_is_named(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UpimagineError, match="run: cannot be written"):
        train(pictures, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    script = """
import resource, signal, sys, torch
from pathlib import Path
from upimagine.errors import UpimagineError
from upimagine.train.checkpoint import load_checkpoint, save_checkpoint
run = Path(sys.argv[1])
save_checkpoint(run, {"step": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(run, {"step": 2, "x": torch.zeros(1_000_000)})
except UpimagineError as error:
    print(str(error))
print(load_checkpoint(run), sorted(path.name for path in run.iterdir()))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert "checkpoint before it is kept" in lines[0]
    assert lines[1] == "{'step': 1} ['checkpoint.pt']"


def test_a_damaged_checkpoint_is_named(pictures: Path, tmp_path: Path) -> None:
    train(pictures, tmp_path / "run", dataclasses.replace(LOOP, kimg=0.004))
    path = tmp_path / "run/checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UpimagineError, match=r"checkpoint\.pt is damaged"):
        train(pictures, tmp_path / "run")


def test_bad_pictures_are_named_and_passed_over(pictures: Path, tmp_path: Path) -> None:
    (pictures / "cut.png").write_bytes((pictures / "00.png").read_bytes()[:100])
    (pictures / "text.jpg").write_text("not a picture")
    skipped: list[Path] = []
    make_dcgan_task([pictures], TINY, 0, lambda path, reason: skipped.append(path))
    assert [path.name for path in skipped] == ["cut.png", "text.jpg"]


def test_folders_without_usable_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, words in ((tmp_path / "empty", "holds no pictures"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(UpimagineError, match=words):
            make_dcgan_task([folder], TINY, 0, lambda path, reason: None)
    small = draw_pictures(tmp_path / "small", count=1, size_px=100)
    with pytest.raises(UpimagineError, match="no picture could be used for tiles of 256 px"):
        make_upres_task([small], UpresSettings(guide="none"), TileAugment(), 0, lambda path, reason: None)


def test_every_epoch_shows_every_picture_once() -> None:
    for epoch in range(3):
        assert sorted(drawn_at(epoch * 7 + place, 7, seed=5)[0] for place in range(7)) == list(range(7))
    first, second = ([drawn_at(place, 50, seed=5)[0] for place in range(start, start + 50)] for start in (0, 50))
    assert first != second


def test_ema_half_life() -> None:
    assert ema_beta(100, 10**9, ema_kimg=1, rampup=1.0) ** 10 == pytest.approx(0.5)  # 1000 pictures halve the weight
    assert ema_beta(100, 1000, ema_kimg=1000, rampup=0.1) == pytest.approx(0.5)  # early: 100 pictures do


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_an_anchored_run_resumes_to_the_bit_and_its_anchor_brings_pictures_back(
    precision: Precision, pictures: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(TINY, anchor_weight=100.0, anchor_px=8, learning_rate=1e-3, gamma=1.0)

    def run(out: Path, kimg: float) -> Outcome:
        task = make_dcgan_task([pictures], settings, 0, lambda path, reason: None)
        return fit(task, dataclasses.replace(LOOP, kimg=kimg, tick_kimg=0.04, precision=precision), out)

    run(tmp_path / "straight", 0.4)
    run(tmp_path / "twice", 0.2)
    run(tmp_path / "twice", 0.4)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    lines = [json.loads(line) for line in (tmp_path / "straight/log.jsonl").read_text().splitlines()]
    # What is saved takes plain latents: the spread of codes lies in its first layer.
    state = load_checkpoint(tmp_path / "straight")
    assert state is not None
    moments = state["nets"]["encoder"]["moments"]
    spread = torch.linalg.cholesky(moments + 1e-3 * torch.eye(len(moments)))
    folded = load_model_file(tmp_path / "straight/model.safetensors").main.layers[0].weight
    latents = torch.randn(3, 100)
    torch.testing.assert_close(
        torch.einsum("nl,lchw->nchw", latents, folded),
        torch.einsum("nl,lchw->nchw", latents @ spread.T, state["average"]["layers.0.weight"]),
        rtol=1e-2,
        atol=1e-2,
    )
    assert lines[-1]["generator/back"] < 0.9 * lines[0]["generator/back"]
