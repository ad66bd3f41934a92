"""What a J-net may be trained with: guides of one's own, degradations, further losses, an earlier stage."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import draw_pictures
from test_train import LOOP, assert_same_state
from torch import Tensor

from upimagine import pixels
from upimagine.cli import main
from upimagine.data.degrade import checkerboard, jpeg, quantised
from upimagine.data.found import Found
from upimagine.data.rasters import Rasters, one_hot, palette_of
from upimagine.data.tiles import TileAugment, tile_at, tile_source
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.edges import EdgeGuide
from upimagine.losses.low_res import low_res_l1
from upimagine.models.file import load_model_file, save_model
from upimagine.models.loaded import load_generator, load_upscaler
from upimagine.nets.enhance import EnhanceGan
from upimagine.nets.jnet import JNetDiscriminator
from upimagine.pixels.resizing import resize_antialiased
from upimagine.train.checkpoint import changed_settings
from upimagine.train.loop import Outcome, fit
from upimagine.train.stage import restaged, sampled_planes
from upimagine.train.upres import UpresSettings, make_upres_task
from upimagine.train.upres_terms import UpresTerms

TINY = UpresSettings(guide="none", width=1 / 16, critic_width=4, warmup_steps=1)
SHORT = dataclasses.replace(LOOP, kimg=0.004, batch=2, tick_kimg=0.002)
PLAIN = TileAugment(False, 0, 0, 0, 0, 0, 0)


def train(data: Path, run: Path, augment: TileAugment = PLAIN, kimg: float = 0.004, **changes: object) -> Outcome:
    settings = dataclasses.replace(TINY, **changes)  # type: ignore[arg-type]
    skipped: list[str] = []
    task = make_upres_task([data], settings, augment, 0, lambda path, reason: skipped.append(reason))
    assert not skipped
    return fit(task, dataclasses.replace(SHORT, kimg=kimg), run)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return draw_pictures(tmp_path / "large", count=2, size_px=264)


@pytest.fixture
def rasters(large: Path, tmp_path: Path) -> Path:
    """For each picture its left half red, its right half blue, at half the size."""
    folder = tmp_path / "rasters"
    folder.mkdir()
    raster = torch.full((3, 132, 132), -1.0)
    raster[0, :, :66] = raster[2, :, 66:] = 1
    for picture in large.iterdir():
        pixels.write(folder / f"{picture.stem}.png", raster)
    return folder


def test_everything_at_once_resumes_to_the_bit(large: Path, rasters: Path, tmp_path: Path) -> None:
    options = {
        "guide": "raster-channels", "guides": rasters, "up": "resize", "norm": "batch", "residual_blocks": 1,
        "dropout_px": (2, 4), "noise_channels": 1, "low_px": (64,), "mismatch_share": 0.5, "l1_weight": 1.0,
        "laplacian_weights": (0.0, 1.0, 2.0), "feature_matching_weight": 1.0,
    }  # fmt: skip
    augment = TileAugment(checkerboard=0.2, levels=8, jpeg=30)
    train(large, tmp_path / "straight", augment, **options)
    train(large, tmp_path / "twice", augment, kimg=0.002, **options)
    outcome = train(large, tmp_path / "twice", augment, **options)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    logged = [json.loads(line) for line in (tmp_path / "twice/log.jsonl").read_text().splitlines()][-1]
    wanted = ("low_res_l1", "l1", "laplacian", "feature_matching", "adversarial")
    assert all(np.isfinite(logged[f"generator/{name}"]) for name in wanted)
    assert np.isfinite(logged["discriminator/mismatched"])
    upscaler = load_upscaler(outcome.model, "cpu", "float32")
    assert (upscaler.guide_kind, upscaler.guide_channels) == ("raster-channels", 2)
    assert upscaler.guide_palette == ((0, 0, 255), (255, 0, 0))
    assert str(tmp_path) not in json.dumps(upscaler.file.story)


def test_a_run_from_before_these_options_goes_on(large: Path, tmp_path: Path) -> None:
    task = make_upres_task([large], TINY, PLAIN, 0, lambda path, reason: None)
    told = train(large, tmp_path / "run")
    now = load_model_file(told.model).story["settings"]
    old_names = (
        "guide", "width", "critic_width", "consistency", "learning_rate", "beta1", "gan_weight", "low_res_weight",
        "perceptual_weight", "perceptual", "perceptual_distance", "perceptual_crop_px", "warmup_steps", "scales",
        "init_from", "task", "sources", "flip", "hue_degrees", "saturation", "contrast", "brightness", "blur_px",
        "noise",
    )  # fmt: skip
    assert callable(task)
    loop = {name: now[name] for name in ("batch", "seed", "ema_kimg", "ema_rampup")}
    before = {name: now[name] for name in old_names} | loop
    ours = {name: value for name, value in now.items() if name in {*old_names, *loop} or name not in LOOP.__dict__}
    ours.pop("precision", None)
    assert changed_settings(before, ours) == []


def test_a_raster_lies_where_its_picture_lies(large: Path, rasters: Path) -> None:
    """264 px are cropped to 264: nothing; 271 would lose 7 columns, and the raster as many of its own."""
    picture = sorted(large.iterdir())[0]
    wide = torch.zeros(3, 264, 287)
    wide[0, :, 144:] = 1.0
    pixels.write(large / "wide.png", wide)
    raster = torch.full((3, 132, 144), -1.0)
    raster[:, :, 72:] = 1.0
    pixels.write(rasters / "wide.png", raster)
    for name, edge in ((picture.name, 16.5), ("wide.png", 18.0)):
        source = tile_source(Found(large / name), 1.0, None, rasters=Rasters(rasters))
        guide = source.low[3:].float() / 127.5 - 1
        assert guide.shape[0] == 3
        first = guide[2, 10] if name != "wide.png" else guide[0, 10]
        found = float((first < 0).sum() + 0.0)
        assert abs(found - edge) < 1
    assert torch.equal(one_hot(raster, ((0, 0, 0), (255, 255, 255)))[1], raster[0])


def test_guides_that_do_not_fit_are_named_and_passed_over(large: Path, rasters: Path, tmp_path: Path) -> None:
    first, second = sorted(path.stem for path in large.iterdir())
    pixels.write(rasters / f"{first}.png", torch.zeros(3, 100, 150), overwrite=True)
    told: list[str] = []
    settings = dataclasses.replace(TINY, guide="raster", guides=rasters)
    make_upres_task([large], settings, PLAIN, 0, lambda path, reason: told.append(reason))
    assert len(told) == 1
    assert "150x100 for a picture of 264x264" in told[0]
    (rasters / f"{second}.png").rename(rasters / "other.png")
    with pytest.raises(UpimagineError, match="no picture could be used"):
        make_upres_task([large], settings, PLAIN, 0, lambda path, reason: told.append(reason))
    assert f"has no guide {second} in" in told[-1]
    soft = torch.rand(3, 40, 40)
    pixels.write(rasters / "soft.png", soft)
    with pytest.raises(UpimagineError, match=r"colours; --guide raster-channels wants up to 32"):
        palette_of(rasters)


def test_enlarging_takes_the_raster_and_makes_the_same_again(
    large: Path, rasters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(train(large, tmp_path / "run", guide="raster-channels", guides=rasters, norm="batch").model)
    picture = sorted(large.iterdir())[0]
    words = ["enlarge", str(picture), "--with", model, "--to", "512", "--device", "cpu"]
    assert main([*words, "-o", str(tmp_path / "a.png")]) == 1
    assert "learned with guides drawn beside its pictures; give --guide" in capsys.readouterr().err
    assert main([*words, "--guide", str(rasters), "-o", str(tmp_path / "a.png")]) == 0
    swapped = rasters / "swapped.png"
    pixels.write(swapped, pixels.read(rasters / picture.name).pixels.flip(2))
    assert main([*words, "--guide", str(swapped), "-o", str(tmp_path / "b.png")]) == 0
    one, other = (pixels.read(tmp_path / name).pixels for name in ("a.png", "b.png"))
    assert (one - other).abs().max() > 0.01  # the guide reaches the picture
    assert main(["again", str(tmp_path / "a.png"), "-o", str(tmp_path / "c.png")]) == 0
    assert torch.equal(pixels.read(tmp_path / "c.png").pixels, one)
    pixels.write(rasters / picture.name, torch.zeros(3, 132, 132), overwrite=True)
    capsys.readouterr()
    assert main(["again", str(tmp_path / "a.png"), "-o", str(tmp_path / "d.png")]) == 1
    assert "is not the guide it was made with" in capsys.readouterr().err
    assert main(["enlarge", str(picture), "--with", "detail-x8", "--guide", str(swapped), "--to", "512"]) == 1
    assert "takes no guide of your own" in capsys.readouterr().err


def test_edges_are_drawn_alike_whatever_the_size_of_the_picture() -> None:
    small = torch.full((1, 3, 128, 128), -0.8)
    small[:, :, 32:96, 40:80] = 0.8
    drawn = EdgeGuide().draw(small, (96, 96))
    large = EdgeGuide().draw(F.interpolate(small, scale_factor=6, mode="nearest"), (96, 96))
    assert drawn is not None
    assert large is not None
    assert drawn.shape == (1, 1, 96, 96)
    assert float(((drawn > 0) != (large > 0)).float().mean()) < 0.01
    assert drawn[0, 0, 48, 48] < -0.999  # nothing inside
    assert drawn[0, 0, 22:26, 40:50].max() > 0  # the upper side
    assert (EdgeGuide().draw(torch.zeros(1, 3, 64, 64), (48, 48)) < -0.999).all()  # type: ignore[union-attr]


def test_degradations_do_what_generators_do() -> None:
    random = np.random.default_rng(0)
    flat = torch.full((3, 32, 32), 0.25)
    board = checkerboard(flat, 0.2, random)
    assert 0.1 < (board - flat).abs().max() <= 0.2 + 1e-6
    torch.testing.assert_close(F.avg_pool2d(board[None], 2)[0], F.avg_pool2d(flat[None], 2)[0])
    assert torch.equal(board[:, ::2, ::2], board[:, :1, :1].expand(3, 16, 16))
    tile = torch.rand(3, 32, 32) * 2 - 1
    assert len(quantised(tile, 5).unique()) == 5
    assert (quantised(tile, 5) - tile).abs().max() <= 0.25 + 1e-6
    errors = [float((jpeg(tile, quality) - tile).abs().mean()) for quality in (95, 60, 20)]
    assert errors == sorted(errors)
    smooth = torch.linspace(-1, 1, 32).expand(3, 32, 32)
    assert float((jpeg(smooth, 95) - smooth).abs().max()) < 0.1


def test_degradations_touch_the_low_res_colours_alone(large: Path) -> None:
    source = tile_source(Found(sorted(large.iterdir())[0]), 1.0, EdgeGuide())
    plain = [tile_at([source], place, 0, PLAIN) for place in range(6)]
    worse = TileAugment(False, 0, 0, 0, 0, 0, 0, checkerboard=0.3, levels=4, jpeg=20)
    changed = [tile_at([source], place, 0, worse) for place in range(6)]
    for (low, high), (other_low, other_high) in zip(plain, changed, strict=True):
        assert torch.equal(high, other_high)
        assert torch.equal(low[3:], other_low[3:])
    assert any(not torch.equal(low[:3], other[:3]) for (low, _), (other, _) in zip(plain, changed, strict=True))
    again = [tile_at([source], place, 0, worse)[0] for place in range(6)]
    assert all(torch.equal(low, twin) for (low, _), twin in zip(changed, again, strict=True))


def terms(**changes: object) -> UpresTerms:
    torch.manual_seed(0)
    return UpresTerms(dataclasses.replace(TINY, **changes), JNetDiscriminator(3, 4), None)  # type: ignore[arg-type]


def test_mismatched_pairs_take_their_share_of_the_fakes() -> None:
    torch.manual_seed(1)
    low, high, fake = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 256, 256), torch.rand(2, 3, 256, 256)
    shares = (0.0, 0.25, 0.5)
    losses = [terms(mismatch_share=share).discriminator(high, low, fake, low)[0].item() for share in shares]
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-5)
    _, plotted = terms(mismatch_share=0.5).discriminator(high, low, fake, low)
    assert plotted["mismatched"] != plotted["real"]
    with pytest.raises(UpimagineError, match="needs --batch 2"):
        terms(mismatch_share=0.5).discriminator(high[:1], low[:1], fake[:1], low[:1])


def test_tiles_without_truth_are_held_to_what_was_given() -> None:
    torch.manual_seed(1)
    low, high = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 256, 256)
    stage = torch.rand(1, 3, 32, 32)
    both = torch.cat((low, stage))
    perfect = torch.cat((high, F.interpolate(stage, scale_factor=8, mode="nearest")))
    _, plotted = terms().generator(high, perfect, both, warming=True)
    assert plotted["low_res_l1"] < 1e-6
    wrong = torch.cat((high, F.interpolate(stage, scale_factor=8, mode="nearest") + 0.5))
    _, plotted = terms(l1_weight=1.0).generator(high, wrong, both, warming=True)
    assert plotted["low_res_l1"] == pytest.approx(0.25, abs=1e-5)
    assert plotted["l1"] == 0  # no truth, no L1
    _, alone = terms().generator(high, high + 0.1, low, warming=True)
    assert alone["low_res_l1"] == low_res_l1(high + 0.1, high)


@pytest.fixture
def tiny_stage(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "stage.safetensors"
    save_model(path, "upscaler", EnhanceGan(8, 4, 8, "a"), None, {}, half=False)
    return path


class Doubling:
    """An upscaler that only repeats pixels: what it makes of a plane can be told by hand."""

    scale, window_px, guide_channels, guide_kind = 2, 8, 0, "none"

    def upscale(self, tiles: Tensor) -> Tensor:
        return F.interpolate(tiles, scale_factor=2, mode="nearest")


def test_a_stage_sees_a_smaller_plane_and_its_tiles_blend() -> None:
    low = torch.rand(1, 3, 36, 44)
    wanted = F.interpolate(F.avg_pool2d(low, 2), scale_factor=2, mode="nearest")
    torch.testing.assert_close(restaged(Doubling(), low), wanted)  # type: ignore[arg-type]


def test_training_sees_what_an_upscaler_makes(large: Path, tiny_stage: Path, tmp_path: Path) -> None:
    stage = load_upscaler(tiny_stage)
    source = tile_source(Found(sorted(large.iterdir())[0]), 1.0, None)
    made = restaged(stage, source.low[None].float() / 127.5 - 1)
    staged = dataclasses.replace(source, staged=((made[0] + 1) * 127.5).round().to(torch.uint8))
    always, never = (tile_at([staged], 0, 0, PLAIN, staged_share=share) for share in (1.0, 0.0))
    assert torch.equal(always[1], never[1])
    assert not torch.equal(always[0], never[0])
    assert staged.staged is not None
    windows = staged.staged.float().unfold(1, 32, 1).unfold(2, 32, 1) / 127.5 - 1
    nearest = (windows - always[0][:, None, None]).abs().amax((0, 3, 4)).min()
    assert nearest < 1e-6  # one of its windows
    train(large, tmp_path / "straight", from_stage=tiny_stage)
    train(large, tmp_path / "twice", kimg=0.002, from_stage=tiny_stage)
    train(large, tmp_path / "twice", from_stage=tiny_stage)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")


def test_training_sees_what_a_generator_makes(large: Path, models: dict[str, Path], tmp_path: Path) -> None:
    generator = load_generator(models["generator"])
    planes = sampled_planes(generator, EdgeGuide(), 3, seed=1)
    assert [tuple(plane.shape) for plane in planes] == [(4, 48, 48)] * 3
    first = generator.generate(torch.randn(3, generator.latent_dim, generator=torch.Generator().manual_seed(1)))[:1]
    reduced = resize_antialiased(first.float(), (48, 48))[0]
    assert (planes[0][:3].float() / 127.5 - 1 - reduced).abs().max() < 0.02
    assert not torch.equal(planes[0], planes[1])
    options = {"from_stage": models["generator"], "stage_pictures": 3}
    outcome = train(large, tmp_path / "straight", **options)
    train(large, tmp_path / "twice", kimg=0.002, **options)
    train(large, tmp_path / "twice", **options)
    assert_same_state(tmp_path / "straight", tmp_path / "twice")
    assert load_model_file(outcome.model).story["settings"]["from_stage"] == "generator.safetensors"
    task = make_upres_task([large], dataclasses.replace(TINY, **options), PLAIN, 0, lambda path, reason: None)
    assert task is not None


def test_a_stage_whose_tiles_are_too_large_is_refused(large: Path, models: dict[str, Path]) -> None:
    settings = dataclasses.replace(TINY, from_stage=models["detail"])  # 256 px out of a plane of 33
    with pytest.raises(UpimagineError, match="makes 256 px at least, the low-res plane here is 33x33"):
        make_upres_task([large], settings, PLAIN, 0, lambda path, reason: None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--guide", "raster"], "--guide raster needs --guides"),
        (["--guides", "."], "--guides goes with --guide raster"),
        (["--dropout-px", "3"], "--dropout-px 3 cannot work; choose among 2 4 8"),
        (["--low-px", "32"], "--low-px 32 cannot work; choose among 64 128 256"),
        (["--mismatch-share", "1"], "--mismatch-share 1.0 cannot work"),
        (["--laplacian-weights", "-1"], "--laplacian-weights -1.0 cannot work"),
        (["--jpeg", "101"], "--jpeg 101 cannot work"),
        (["--levels", "1"], "--levels 1 cannot work"),
        (["--from-stage", "nowhere"], "nowhere"),
        (["--guide", "raster", "--guides", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_wrong_arguments_get_one_clear_line(
    arguments: list[str], words: str, large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["train", "upres", "--data", str(large), "--out", str(tmp_path / "run"), "--width", "0.0625"]
    guide = [] if "--guide" in arguments or "--guides" in arguments else ["--guide", "none"]
    assert main([*told, *guide, *arguments]) == 1
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_one_pixel_and_very_long_pictures_are_passed_over(large: Path, tmp_path: Path) -> None:
    pixels.write(large / "dot.png", torch.zeros(3, 1, 1))
    pixels.write(large / "long.png", torch.zeros(3, 40, 20_000))
    told: list[str] = []
    make_upres_task([large], TINY, PLAIN, 0, lambda path, reason: told.append(reason))
    assert [line.split(" is ")[1].split(";")[0] for line in told] == ["1x1", "20000x40"]
    with pytest.raises(PictureError, match="it is passed over"):
        tile_source(Found(large / "dot.png"), 1.0, None)
