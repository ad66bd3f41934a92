"""Two enlarging models trained together: resumed to the bit, saved as two, refused where they do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from conftest import draw_pictures
from test_train import LOOP, assert_same_state

from upimagine import pixels
from upimagine.cli import main
from upimagine.data.tiles import TileAugment
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import load_upscaler
from upimagine.nets.enhance import EnhanceGan
from upimagine.nets.jnet import JNet, JNetDiscriminator
from upimagine.train.chain import ChainSettings, cut, make_chain_task
from upimagine.train.loop import Outcome, fit

SHORT = dataclasses.replace(LOOP, kimg=0.004, batch=2, tick_kimg=0.002)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return draw_pictures(tmp_path / "large", count=2, size_px=264)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "enhance.safetensors"
    save_model(path, "upscaler", EnhanceGan(8, 4, 8, "ab"), None, {"kimg": 3}, half=False)
    return path


def train(data: Path, run: Path, kimg: float = 0.004, **settings: object) -> Outcome:
    chosen = ChainSettings(**settings)  # type: ignore[arg-type]
    plain = TileAugment(False, 0, 0, 0, 0, 0, 0)
    task = make_chain_task([data], chosen, plain, 0, lambda path, reason: None)
    return fit(task, dataclasses.replace(SHORT, kimg=kimg), run)


@pytest.mark.parametrize("second", ["detail", "portrait"])
def test_n_and_n_steps_equal_2n(second: str, large: Path, first: Path, models: dict[str, Path], tmp_path: Path) -> None:
    both = {"first": first, "second": models[second]}
    train(large, tmp_path / "straight", **both)
    train(large, tmp_path / "twice", 0.002, **both)
    outcome = train(large, tmp_path / "twice", **both)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    upscaler = load_upscaler(outcome.model)
    assert upscaler.guide_kind == ("face" if second == "portrait" else "none")
    assert upscaler.critic is not None
    assert upscaler.file.story["begun_from"]["model"] == f"{second}.safetensors"
    beside = load_upscaler(outcome.model.with_name("first.safetensors"))
    assert (beside.scale, beside.window_px) == (4, 8)
    assert beside.file.story["begun_from"] == {
        "model": "enhance.safetensors", "sha256": load_model_file(first).sha256, "kimg": 3
    }  # fmt: skip
    assert str(tmp_path) not in json.dumps(beside.file.story)


def test_both_learn_and_the_error_falls(large: Path, first: Path, models: dict[str, Path], tmp_path: Path) -> None:
    options = {"first": first, "second": models["detail"], "gan_weight": 0.0, "learning_rate": 2e-3}
    outcome = train(large, tmp_path / "run", 0.06, **options)
    logged = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    for name in ("low_res_l1", "middle_l1"):
        early, late = ([line[f"generator/{name}"] for line in part] for part in (logged[:5], logged[-5:]))
        assert sum(late) < 0.9 * sum(early)
    changed = zip(
        load_model_file(outcome.model.with_name("first.safetensors")).main.parameters(),
        load_model_file(first).main.parameters(),
        strict=True,
    )
    assert any((new - old).abs().max() > 1e-3 for new, old in changed)


def test_the_two_enlarge_one_after_the_other(large: Path, first: Path, models: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "chain", "--data", str(large), "--out", str(run), "--kimg", "0.002", "--batch", "2"]
    assert main([*words, "--first", str(first), "--second", str(models["detail"]), "--device", "cpu"]) == 0
    small = draw_pictures(tmp_path / "small", count=1, size_px=16) / "00.png"
    chain = ["--with", str(run / "first.safetensors"), "--with", str(run / "model.safetensors")]
    assert main(["enlarge", str(small), *chain, "--to", "512", "--device", "cpu", "-o", str(tmp_path / "o.png")]) == 0
    assert pixels.read(tmp_path / "o.png").pixels.shape == (3, 512, 512)


def test_what_does_not_fit_is_refused_in_one_line(
    large: Path, first: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    mute = tmp_path / "mute.safetensors"
    save_model(mute, "upscaler", JNet(0, 1 / 16), None, {})
    rasters = tmp_path / "rasters.safetensors"
    told = {"settings": {"guide": "raster"}}
    save_model(rasters, "upscaler", JNet(3, 1 / 16), JNetDiscriminator(6, 4), told)
    tiny = tmp_path / "tiny.safetensors"
    save_model(tiny, "upscaler", EnhanceGan(4, 4, 8, "a"), None, {})
    for one, other, words in (
        (None, models["detail"], "must name the two models"),
        (models["portrait"], models["detail"], "takes a guide, which a chain does not draw"),
        (first, rasters, "takes guides of your own"),
        (first, mute, "has no critic to go on with"),
        (tiny, models["detail"], "makes 16 px of a tile, --second detail.safetensors wants 32 px"),
        (first, models["generator"], "makes pictures"),
        (models["detail"], models["detail"], "tiles of 2048 px"),
    ):
        with pytest.raises(UpimagineError, match=words):
            train(large, tmp_path / "run", first=one, second=other)
    assert not (tmp_path / "run").exists()


def test_a_cut_is_where_its_corner_says() -> None:
    pictures = torch.arange(2 * 36.0).view(2, 1, 6, 6)
    windows = cut(pictures, torch.tensor([[0, 3], [2, 1]]), 3)
    assert torch.equal(windows[0], pictures[0, :, 0:3, 3:6])
    assert torch.equal(windows[1], pictures[1, :, 2:5, 1:4])
