"""Samples in a folder: the same in any number, within bounds, near others, and with latents that can be used again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import draw_pictures

from upimagine import pixels
from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.make.again import again
from upimagine.make.latents import latent, near, read_latents
from upimagine.make.machine import settle
from upimagine.make.samples import Like, save_samples
from upimagine.make.sampling import score
from upimagine.models.file import save_model
from upimagine.models.loaded import load_generator
from upimagine.nets.pggan import PgganGenerator
from upimagine.recipe import Choose, parse_resolved

MACHINE = settle("cpu", "float32", 1)


@pytest.fixture
def pggan(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    net = PgganGenerator(32, 16, 256, 16)
    torch.nn.init.normal_(net.first.bias)  # as training would, so that pictures have something in common
    save_model(tmp_path / "pggan.safetensors", "generator", net, None, {"data": "none"})
    return tmp_path / "pggan.safetensors"


def test_the_same_seed_gives_the_same_picture_however_many_are_made(models: dict[str, Path], tmp_path: Path) -> None:
    model = str(models["generator"])
    save_samples(model, 3, tmp_path / "three", seed=5, machine=MACHINE)
    save_samples(model, 9, tmp_path / "nine", seed=5, machine=MACHINE)
    for number in range(3):
        name = f"pictures/{number:05d}.png"
        assert torch.equal(pixels.read(tmp_path / "three" / name).pixels, pixels.read(tmp_path / "nine" / name).pixels)
    three, nine = (read_latents(tmp_path / name / "latents.safetensors") for name in ("three", "nine"))
    assert torch.equal(three.vectors, nine.vectors[:3])
    assert (nine.seed, nine.truncation) == (5, None)


def test_a_batch_gives_what_each_gives_alone(models: dict[str, Path], pggan: Path) -> None:
    for model in (models["generator"], pggan):
        generator = load_generator(model, "cpu", "float32")
        latents = torch.stack([latent(0, index, generator.latent_dim) for index in range(7)])
        alone = torch.cat([generator.generate(row[None]) for row in latents])
        for batch in (7, 3):
            together = torch.cat([generator.generate(part) for part in torch.split(latents, batch)])
            torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_latents_held_within_bounds_are_otherwise_the_same() -> None:
    free, held = latent(1, 2, 500), latent(1, 2, 500, truncation=0.7)
    assert held.abs().max() <= 0.7
    within = free.abs() <= 0.7
    assert torch.equal(held[within], free[within])
    assert not torch.equal(held[~within], free[~within].clamp(-0.7, 0.7))


def test_a_vector_near_another_keeps_its_length_and_its_distance() -> None:
    begin = latent(0, 0, 20_000)
    assert torch.equal(near(begin, 0.0, 1, 0), begin)
    moved = near(begin, 0.6, 1, 0)
    assert float(moved.square().mean()) == pytest.approx(1, abs=0.05)
    assert float(torch.cosine_similarity(moved, begin, dim=0)) == pytest.approx(0.8, abs=0.02)


def test_a_progressive_gan_is_truncated_in_its_first_map_and_made_again(pggan: Path, tmp_path: Path) -> None:
    generator = load_generator(pggan, "cpu", "float32")
    latents = torch.randn(6, 16)
    full = generator.generate(latents)
    torch.testing.assert_close(full, generator.generate(5 * latents), atol=1e-3, rtol=0)
    spread = [float(generator.generate(latents, share).std(dim=0).mean()) for share in (1.0, 0.5, 0.0)]
    assert spread[0] > spread[1] > spread[2] == pytest.approx(0, abs=1e-6)
    save_samples(str(pggan), 2, tmp_path / "out", truncation=0.5, machine=MACHINE)
    made = tmp_path / "out/pictures/00001.png"
    text = pixels.read_recipe(made)
    assert text is not None
    assert parse_resolved(text, "").origin.truncation == 0.5
    again(made, tmp_path / "same.png")
    assert torch.equal(pixels.read(made).pixels, pixels.read(tmp_path / "same.png").pixels)


def test_more_like_this_from_latents_and_from_a_picture(models: dict[str, Path], tmp_path: Path) -> None:
    model, out = str(models["generator"]), tmp_path / "out"
    save_samples(model, 4, out, machine=MACHINE)
    first = pixels.read(out / "pictures/00002.png").pixels
    by_file = Like(out / "latents.safetensors", (2,), apart=0.0)
    by_picture = Like(out / "pictures/00002.png", apart=0.0)
    for number, like in enumerate((by_file, by_picture)):
        save_samples(model, 1, tmp_path / f"like{number}", like=like, machine=MACHINE)
        assert torch.equal(pixels.read(tmp_path / f"like{number}/pictures/00000.png").pixels, first)
    save_samples(model, 3, tmp_path / "near", like=Like(by_file.path, (2,), 0.1), machine=MACHINE)
    begin = read_latents(by_file.path).vectors[2]
    moved = read_latents(tmp_path / "near/latents.safetensors").vectors
    assert (torch.cosine_similarity(moved, begin[None]) > 0.95).all()
    assert len({tuple(row.tolist()) for row in moved}) == 3


def test_what_cannot_work_is_said(models: dict[str, Path], pggan: Path, tmp_path: Path) -> None:
    model, out = str(models["generator"]), tmp_path / "out"
    save_samples(model, 2, out, machine=MACHINE)
    drawn = draw_pictures(tmp_path / "drawn", 1, 32) / "00.png"
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    cases = (
        (model, {"truncation": 0.0}, "use a number of 0.02 or more"),
        (str(pggan), {"truncation": 1.5}, "use a number from 0 to 1"),
        (str(pggan), {"like": Like(out / "latents.safetensors")}, "another model"),
        (model, {"like": Like(out / "latents.safetensors", (2,))}, "numbers 0 to 1"),
        (model, {"like": Like(drawn)}, "did not begin with a generator"),
        (model, {"like": Like(tmp_path / "no.safetensors")}, "no file of latents"),
        (model, {"like": Like(out / "latents.safetensors", apart=2.0)}, "--apart 2"),
    )
    for name, given, word in cases:
        with pytest.raises(UpimagineError, match=word):
            save_samples(name, 1, tmp_path / "other", machine=MACHINE, **given)  # type: ignore[arg-type]
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]


def test_candidates_with_blotches_or_a_grid_come_last_where_the_choice_asks_for_it() -> None:
    pictures = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 0.2
    pictures[1, 0, 40:46, 10:16] = 1.0
    pictures[2, :, ::2, ::2] += 0.1
    plain = {"face": 0.0, "symmetry": 0.0, "realism": 0.0, "sharpness": 0.0}
    assert int(score(pictures, Choose(**plain, blotches=1), None).total.argmin()) == 1
    assert int(score(pictures, Choose(**plain, grid=1), None).total.argmin()) == 2
    with pytest.raises(UpimagineError, match="24 px; set grid = 0"):
        score(pictures[:, :, :24, :24], Choose(grid=1), None)


def test_the_command_tells_where_everything_is(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["sample", str(models["generator"]), "-n", "2", "-o", str(out), "--truncation", "0.8", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert read_latents(Path(told["latents"])).truncation == 0.8
    like = ["--like", told["latents"], "--numbers", "1", "--apart", "0.2"]
    assert main(["sample", str(models["generator"]), "-n", "3", "-o", str(tmp_path / "like"), *like]) == 0
    assert len(list((tmp_path / "like/pictures").glob("*.png"))) == 3
