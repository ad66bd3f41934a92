"""pix2pix from folder to print: trained, resumed to the bit, saved, loaded, enlarged with, translated with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import draw_pictures
from test_train import LOOP, assert_same_state

from upimagine import pixels
from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.make.stages import Machine
from upimagine.make.translating import translate
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import LoadedTranslator, LoadedUpscaler, load, load_translator, load_upscaler
from upimagine.models.noise import seeds_of
from upimagine.nets.pix2pix import PatchDiscriminator, UNet
from upimagine.render.enlarge import MemorySink, Settings, enlarge
from upimagine.roles import Translator, Upscaler
from upimagine.train.loop import Outcome, fit
from upimagine.train.pix2pix import Pix2pixSettings, make_pix2pix_task
from upimagine.train.settings import LoopSettings

TINY = Pix2pixSettings(how="pixelate:4", size_px=128, width=2, critic_width=2, patch_px=16)
SHORT = dataclasses.replace(LOOP, kimg=0.004, batch=2, tick_kimg=0.002)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return draw_pictures(tmp_path / "large", count=3, size_px=150)


def train(data: Path, run: Path, settings: Pix2pixSettings = TINY, loop: LoopSettings = SHORT) -> Outcome:
    return fit(make_pix2pix_task([data], settings, loop.seed, lambda path, reason: None), loop, run)


@pytest.mark.parametrize("settings", [TINY, dataclasses.replace(TINY, how="shuffle:16", statistics="running")])
def test_n_and_n_steps_equal_2n_and_a_seed_says_all(settings: Pix2pixSettings, large: Path, tmp_path: Path) -> None:
    train(large, tmp_path / "straight", settings)
    train(large, tmp_path / "again", settings)
    assert_same_state(tmp_path / "straight", tmp_path / "again")
    train(large, tmp_path / "twice", settings, dataclasses.replace(SHORT, kimg=0.002))
    train(large, tmp_path / "twice", settings)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    one, other = (load_model_file(tmp_path / run / "model.safetensors").main for run in ("straight", "twice"))
    for (name, value), twin in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, twin), name


def test_it_learns_what_l1_asks_for(tmp_path: Path) -> None:
    data = draw_pictures(tmp_path / "large", count=2, size_px=150)
    settings = dataclasses.replace(TINY, width=8, learning_rate=2e-3, gan_weight=0.0, how="quantise:2")
    train(data, tmp_path / "run", settings, dataclasses.replace(SHORT, kimg=0.08, tick_kimg=0.016))
    l1 = [json.loads(line)["generator/l1"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert l1[-1] < 0.6 * l1[0]


def test_running_averages_of_a_saved_model_are_those_of_its_own_weights(large: Path, tmp_path: Path) -> None:
    loop = dataclasses.replace(SHORT, kimg=0.008)
    outcome = train(large, tmp_path / "run", dataclasses.replace(TINY, statistics="running", dropout_px=()), loop)
    net = load_model_file(outcome.model).main
    assert isinstance(net, UNet)
    norm = net.down_norm[1]
    seen: list[torch.Tensor] = []
    net.down[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    shown = torch.stack([pixels.read(path).pixels[:, :128, :128] for path in sorted(large.iterdir())])
    net(F.avg_pool2d(shown, 4))
    assert isinstance(norm.running_mean, torch.Tensor)
    # Other windows of the same pictures: near, and far nearer than where the averages began.
    spread = seen[0].std((0, 2, 3))
    assert ((norm.running_mean - seen[0].mean((0, 2, 3))).abs() < spread).all()
    assert (norm.running_var / seen[0].var((0, 2, 3))).log().abs().max() < 1


def test_pixels_undone_are_an_upscaler_anything_else_a_translator(large: Path, tmp_path: Path) -> None:
    up = load(train(large, tmp_path / "up").model, dtype="float32")
    assert isinstance(up, LoadedUpscaler)
    assert isinstance(up, Upscaler)
    assert (up.scale, up.window_px, up.guide_channels, up.radius_px) == (4, 32, 0, None)
    tiles = torch.rand(2, 3, 32, 32)
    assert up.upscale(tiles).shape == (2, 3, 128, 128)
    assert up.critic is not None
    assert up.critic.score(up.upscale(tiles), tiles).shape == (2,)
    for name, change in (("back", {"reverse": True}), ("edges", {"how": "edges"})):
        other = load(train(large, tmp_path / name, dataclasses.replace(TINY, **change)).model, dtype="float32")
        assert isinstance(other, LoadedTranslator)
        assert isinstance(other, Translator)
        assert other.window_px == 128
        with pytest.raises(UpimagineError, match="translates pictures; a model that enlarges them"):
            load_upscaler(tmp_path / name / "model.safetensors", dtype="float32")
    with pytest.raises(UpimagineError, match="enlarges pictures; a model that translates them"):
        load_translator(tmp_path / "up/model.safetensors", dtype="float32")


def saved(folder: Path, scale: int, noise: bool = True) -> Path:
    """An untrained model of toy width that invents something."""
    torch.manual_seed(3)
    net = UNet(128, width=4, scale=scale, noise=noise)
    for norm in (*net.down_norm, *net.up_norm):
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.bias, 0.0, 0.5)
    torch.nn.init.normal_(net.up[-1].weight, 0.0, 0.1)
    path = folder / f"x{scale}-{noise}.safetensors"
    save_model(path, "upscaler" if scale > 1 else "translator", net, PatchDiscriminator(16, 4), {}, half=False)
    return path


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = UNet(128, width=4, scale=8, dropout_px=(4, 8), noise=False, statistics="running").eval()
    critic = PatchDiscriminator(34, 4).eval()
    save_model(tmp_path / "m.safetensors", "upscaler", net, critic, {"a": 1}, half=False)
    back = load_model_file(tmp_path / "m.safetensors")
    assert isinstance(back.main, UNet)
    assert back.main.config == net.config
    low = torch.rand(2, 3, 16, 16)
    made = net(low)
    assert torch.equal(back.main(low), made)
    assert back.critic is not None
    assert torch.equal(back.critic(made, low), critic(made, low))


def test_noise_belongs_to_the_tile(tmp_path: Path) -> None:
    upscaler = load_upscaler(saved(tmp_path, 8), "cpu", "float32")
    tiles = torch.rand(3, 3, 16, 16)
    tiles[2] = tiles[0]
    made = upscaler.upscale(tiles)
    torch.testing.assert_close(made[2], made[0])
    torch.testing.assert_close(upscaler.upscale(tiles[1:2])[0], made[1])
    grained = tiles[:1] + 1e-6 * torch.randn(1, 3, 16, 16)
    assert (upscaler.upscale(grained)[0] - made[0]).abs().max() > 0.01  # other noise, another invention
    calm = load_upscaler(saved(tmp_path, 8, noise=False), "cpu", "float32")
    assert (calm.upscale(grained)[0] - calm.upscale(tiles[:1])[0]).abs().max() < 1e-3
    assert seeds_of(tiles).tolist()[0] == seeds_of(tiles).tolist()[2] != seeds_of(tiles).tolist()[1]
    assert not set(seeds_of(tiles, 1).tolist()) & set(seeds_of(tiles, 0).tolist())


def test_the_render_engine_enlarges_with_it_and_holds_it_to_the_picture(tmp_path: Path) -> None:
    upscaler = load_upscaler(saved(tmp_path, 8), "cpu", "float32")
    low = F.interpolate(torch.rand(1, 3, 5, 7) - 0.5, size=(20, 28), mode="bicubic")

    def psnr(rounds: int) -> float:
        sink = MemorySink()
        settings = Settings(stride_px=8, noise_seeds=(1, 2), tone_match=rounds)
        report = enlarge(low, upscaler, guide=None, critic=upscaler.critic, settings=settings, sink=sink)
        picture = sink.picture()
        assert picture.shape == (1, 3, 160, 224)
        assert len(report.variants) == 4
        if rounds:
            again = MemorySink()
            enlarge(low, upscaler, guide=None, critic=upscaler.critic, settings=settings, sink=again)
            assert torch.equal(again.picture(), picture)
        return float(10 * torch.log10(4 / (F.avg_pool2d(picture, 8) - low).square().mean()))

    assert psnr(0) < 25
    assert psnr(3) > 34


def test_one_command_trains_an_up_imaginer_and_another_enlarges_with_it(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (large / "small.png").write_bytes(b"no picture")
    run = tmp_path / "run"
    arguments = ["--data", str(large), "--out", str(run), "--size-px", "128", "--width", "2", "--critic-width", "2"]
    assert main(["train", "pix2pix", *arguments, "--kimg", "0.002", "--device", "cpu", "--threads", "1"]) == 3
    told = capsys.readouterr().err.splitlines()
    assert "small.png" in told[0]
    assert told[1] == "upimagine train: 1 files were passed over"
    story = load_model_file(run / "model.safetensors").story
    assert story["settings"]["how"] == "pixelate:8"
    assert str(tmp_path) not in json.dumps(story)
    picture, model = large / "00.png", run / "model.safetensors"
    assert main(["enlarge", str(picture), "--with", str(model), "--to", "300", "-o", str(tmp_path / "big.png")]) == 0
    assert pixels.read(tmp_path / "big.png").pixels.shape == (3, 300, 300)
    assert main(["again", str(tmp_path / "big.png")]) == 0
    assert torch.equal(pixels.read(tmp_path / "big-again.png").pixels, pixels.read(tmp_path / "big.png").pixels)


def test_translating_keeps_proportions_and_seeds_tell_results_apart(tmp_path: Path) -> None:
    model, source = saved(tmp_path, 1), tmp_path / "in.png"
    pixels.write(source, torch.rand(3, 100, 150) * 2 - 1)
    whole = [translate(source, tmp_path / f"w{n}.png", model, seed=seed) for n, seed in enumerate((0, 0, 1))]
    assert whole[0].size_px == (128, 192)
    pictures = [pixels.read(each.path).pixels for each in whole]
    assert pictures[0].shape == (3, 128, 192)
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])
    tiled = translate(source, tmp_path / "t.png", model, tiled=True)
    assert tiled.size_px == (100, 150)


def test_tiles_of_a_translator_are_what_it_makes_of_them(tmp_path: Path) -> None:
    model, source = saved(tmp_path, 1), tmp_path / "in.png"
    pixels.write(source, torch.rand(3, 128, 224) * 2 - 1)
    machine = Machine("cpu", "float32", 1)
    picture = pixels.read(translate(source, tmp_path / "t.png", model, tiled=True, machine=machine).path).pixels
    first = load_translator(model, "cpu", "float32").translate(pixels.read(source).pixels[None, :, :, :128])[0]
    torch.testing.assert_close(picture[:, :, :96], first[:, :, :96], atol=0.01, rtol=0)


def test_translate_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, folder = saved(tmp_path, 1), draw_pictures(tmp_path / "in", count=2, size_px=40)
    (folder / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert main(["translate", str(folder), "--with", str(model), "-o", str(out), "--json"]) == 3
    told = capsys.readouterr()
    assert [each["width"] for each in json.loads(told.out)["translated"]] == [128, 128]
    assert json.loads(told.out)["failed"] == [str(folder / "broken.png")]
    assert sorted(path.name for path in out.iterdir()) == [f"{n}-x1-True.png" for n in ("00", "01")]
    assert main(["translate", str(folder / "00.png"), "--with", str(saved(tmp_path, 8))]) == 1
    assert "a model that translates them is needed" in capsys.readouterr().err
    assert main(["translate", str(folder / "00.png"), "--with", str(model), "-o", str(out / "00-x1-True.png")]) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--how", "pixelate:7"], "one that divides 128"),
        (["--how", "combine"], "did you mean combined?"),
        (["--size-px", "100"], "choose one of 128, 256, 512"),
        (["--patch-px", "71"], "choose one of 1, 16, 34, 70, 142, 286"),
        (["--load-px", "100"], "use 128 or more"),
        (["--dropout-px", "3"], "--dropout-px 3 cannot work"),
        (["--how", "folders"], "needs --inputs"),
        (["--inputs", "elsewhere"], "goes with --how folders"),
        (["--l1-weight", "-1"], "must be 0 or more"),
        (["--how", "guide"], "none of the 3 pictures could be used"),
    ],
)
def test_what_cannot_work_gets_one_line(
    arguments: list[str], words: str, large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = [] if "--size-px" in arguments else ["--size-px", "128"]
    assert main(["train", "pix2pix", *arguments, *size, "--data", str(large), "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1, told
    assert not (tmp_path / "run").exists()
