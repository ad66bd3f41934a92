"""The whole walk at toy size, and the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError
from upimagine.make.again import again
from upimagine.make.latents import latent
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge
from upimagine.make.samples import save_samples
from upimagine.make.sampling import make_one, sample
from upimagine.make.walk import make
from upimagine.models.loaded import load_generator, load_upscaler
from upimagine.recipe import Choose, Enlarge, Print, Recipe, Sample, parse_resolved, read_recipe


@pytest.fixture
def recipe(models: dict[str, Path]) -> Recipe:
    """Noise to a 512 px print in seconds; untrained pictures have no faces, so none is asked for."""
    return Recipe(
        name="toy",
        seed=3,
        stage=(
            Sample(model=str(models["generator"]), count=12),
            Choose(keep=2, best_share=0.5, face=0, symmetry=0),
            Enlarge(model=str(models["portrait"]), plane_px=40),
            Enlarge(model=str(models["detail"]), plane_px=64, best_only=True),
            Print(bit_depth=16, dpi=300),
        ),
    )


MACHINE = settle("cpu", "float32", 1)


def test_noise_to_print_and_the_same_pixels_again(recipe: Recipe, tmp_path: Path) -> None:
    made = make(recipe, tmp_path / "out", machine=MACHINE)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "contact-sheet.png",
        "portrait-1.png",
        "portrait-2.png",
        "print.tif",
        "recipe.toml",
    ]
    assert len(set(made.chosen)) == 2
    for path in made.pictures:
        with Image.open(path) as portrait:
            assert portrait.size == (320, 320)
    assert made.print is not None
    with tifffile.TiffFile(made.print) as file:
        page = file.pages[0]
        assert page.shape == (512, 512, 3)
        assert page.dtype == np.uint16
        assert page.tags["XResolution"].value == (300, 1)
    assert read_recipe(tmp_path / "out/recipe.toml") == recipe

    for path in (made.print, *made.pictures):
        copy = path.with_stem("again")
        repeated = again(path, copy, overwrite=True)
        assert repeated.doubts == ()
        first, second = pixels.read(path), pixels.read(copy)
        assert torch.equal(first.pixels, second.pixels)
        assert first.recipe == second.recipe


def test_the_recipe_in_a_picture_tells_everything(recipe: Recipe, tmp_path: Path, models: dict[str, Path]) -> None:
    made = make(recipe, tmp_path, machine=MACHINE)
    assert made.print is not None
    text = pixels.read_recipe(made.print)
    assert text is not None
    resolved = parse_resolved(text, "print")
    # Named as seen from the output: a path from the root would tell strangers whose folders these are.
    assert [(tmp_path / done.stage.model).resolve() for done in resolved.enlarge] == [
        models["portrait"],
        models["detail"],
    ]
    assert str(tmp_path.parent) not in text
    assert resolved.enlarge[1].plane_px == (64, 64)
    assert resolved.enlarge[1].size_px == (512, 512)
    rows, columns = resolved.enlarge[1].tiles
    assert np.array(resolved.enlarge[1].winners).shape == (rows, columns)
    assert resolved.origin.latent is not None
    torch.testing.assert_close(torch.tensor(resolved.origin.latent), latent(3, made.chosen[0], 100), rtol=0, atol=0)


def test_another_seed_makes_other_pictures(recipe: Recipe, tmp_path: Path) -> None:
    one = make(recipe, tmp_path / "one", machine=MACHINE)
    two = make(recipe, tmp_path / "two", machine=MACHINE, seed=4)
    assert not torch.equal(pixels.read(one.pictures[0]).pixels, pixels.read(two.pictures[0]).pixels)


def test_existing_results_are_kept_unless_told_otherwise(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "print.tif").write_bytes(b"mine")
    with pytest.raises(UpimagineError, match=r"print\.tif.*--overwrite"):
        make(recipe, tmp_path, machine=MACHINE)
    assert (tmp_path / "print.tif").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["print.tif"]  # found out before any work
    make(recipe, tmp_path, machine=MACHINE, overwrite=True)
    assert (tmp_path / "print.tif").read_bytes()[:2] in (b"II", b"MM")


def test_recipes_out_of_order_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    upside_down = recipe.model_copy(update={"stage": recipe.stage[::-1]})
    with pytest.raises(UpimagineError, match="needed are sample, choose, enlarge"):
        make(upside_down, tmp_path, machine=MACHINE)


def test_samples_do_not_depend_on_how_many_are_made(models: dict[str, Path]) -> None:
    weights = Choose(face=0, symmetry=0)
    few = sample(str(models["generator"]), 3, seed=9, weights=weights, machine=MACHINE)
    many = sample(str(models["generator"]), 40, seed=9, weights=weights, machine=MACHINE)
    assert torch.equal(few.latents, many.latents[:3])
    torch.testing.assert_close(few.pictures, many.pictures[:3], rtol=0, atol=1e-5)


def test_one_latent_gives_the_same_pixels_every_time(models: dict[str, Path]) -> None:
    generator = load_generator(models["generator"], dtype="float32")
    assert torch.equal(make_one(generator, latent(1, 2, 100)), make_one(generator, latent(1, 2, 100)))


def test_a_photograph_is_enlarged_to_the_asked_size_and_again(
    models: dict[str, Path], face: Path, tmp_path: Path
) -> None:
    source = tmp_path / "wide.png"
    pixels.write(source, pixels.read(face).pixels[:, 20:120])  # 192 wide, 100 high
    chain = (str(models["portrait"]), str(models["detail"]))
    done = enlarge(source, tmp_path / "big.png", to_px=1003, models=chain, machine=MACHINE)
    assert done.size_px == (522, 1003)
    assert pixels.read_size(tmp_path / "big.png") == (522, 1003)
    again(tmp_path / "big.png", tmp_path / "again.png")
    assert torch.equal(pixels.read(tmp_path / "big.png").pixels, pixels.read(tmp_path / "again.png").pixels)


def test_the_result_looks_like_the_source(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    enlarge(face, tmp_path / "big.png", to_px=768, models=(str(models["detail"]),), machine=MACHINE)
    big, small = pixels.read(tmp_path / "big.png").pixels[None], pixels.read(face).pixels[None]
    pooled = torch.nn.functional.avg_pool2d(big, 4)
    assert (pooled - small).abs().mean() < 0.05


def test_a_face_guides_a_model_that_takes_a_guide(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    portrait = (str(models["portrait"]),)
    assert enlarge(face, tmp_path / "a.png", to_px=512, models=portrait, machine=MACHINE).guided is True
    pixels.write(tmp_path / "grey.png", torch.zeros(3, 64, 64))
    grey = enlarge(tmp_path / "grey.png", tmp_path / "b.png", to_px=512, models=portrait, machine=MACHINE)
    assert grey.guided is False


def test_again_refuses_what_it_cannot_repeat(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(Path(face).read_bytes())
    model = tmp_path / "m.safetensors"
    model.write_bytes(models["detail"].read_bytes())
    enlarge(source, tmp_path / "big.png", to_px=256, models=(str(model),), machine=MACHINE)
    with pytest.raises(UpimagineError, match="holds no recipe"):
        again(face, tmp_path / "no.png")
    source.rename(tmp_path / "moved.png")
    with pytest.raises(UpimagineError, match="name it with --source"):
        again(tmp_path / "big.png", tmp_path / "no.png")
    again(tmp_path / "big.png", tmp_path / "yes.png", source=tmp_path / "moved.png")
    pixels.write(tmp_path / "other.png", torch.zeros(3, 64, 64))
    with pytest.raises(UpimagineError, match="its contents differ"):
        again(tmp_path / "big.png", tmp_path / "no.png", source=tmp_path / "other.png")
    model.write_bytes(models["portrait"].read_bytes())
    load_upscaler.__globals__["_load"].cache_clear()
    with pytest.raises(UpimagineError, match="is another one"):
        again(tmp_path / "big.png", tmp_path / "no.png", source=tmp_path / "moved.png")
    assert not (tmp_path / "no.png").exists()


def test_pictures_too_small_to_go_by_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(PictureError, match="only 1x1 pixels"):
        enlarge(tmp_path / "dot.png", tmp_path / "big.png", models=(str(models["detail"]),), machine=MACHINE)


def test_models_that_moved_are_found_by_their_hash(recipe: Recipe, models: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(models["detail"].read_bytes())
    pixels.write(tmp_path / "small.png", torch.rand(3, 40, 40) * 2 - 1)
    enlarge(tmp_path / "small.png", tmp_path / "big.png", to_px=256, models=(str(mine),), machine=MACHINE)
    moved = mine.rename(tmp_path / "moved.safetensors")
    with pytest.raises(UpimagineError, match="does not exist"):
        again(tmp_path / "big.png", tmp_path / "no.png")
    again(tmp_path / "big.png", tmp_path / "yes.png", models=(moved,))
    assert torch.equal(pixels.read(tmp_path / "big.png").pixels, pixels.read(tmp_path / "yes.png").pixels)


def test_a_large_photograph_keeps_what_it_shows(models: dict[str, Path], tmp_path: Path) -> None:
    """Only what is finer than the photograph is invented, though the network's plane is an eighth of the result."""
    random = torch.Generator().manual_seed(0)
    photo = torch.rand(3, 256, 256, generator=random) - 0.5
    pixels.write(tmp_path / "photo.png", photo)
    enlarge(tmp_path / "photo.png", tmp_path / "big.png", to_px=512, models=(str(models["detail"]),), machine=MACHINE)
    pooled = torch.nn.functional.avg_pool2d(pixels.read(tmp_path / "big.png").pixels, 2)
    assert (pooled - photo).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("sample enlarge print", "needed are sample, choose"),
        ("sample choose print", "needed are sample, choose"),
        ("sample choose best enlarge print", "behind these at most one"),
        ("sample choose choose enlarge print", "needed are sample, choose"),
        ("sample keep enlarge print", "keeps 13 of 12"),
    ],
)
def test_recipes_that_make_no_sense_are_refused_at_once(
    recipe: Recipe, stages: str, message: str, tmp_path: Path
) -> None:
    source, choice, large, best, printing = recipe.stage
    kinds = {
        "sample": source,
        "choose": choice,
        "keep": choice.model_copy(update={"keep": 13}),
        "enlarge": large,
        "best": best,
        "print": printing,
    }
    odd = recipe.model_copy(update={"stage": tuple(kinds[name] for name in stages.split())})
    with pytest.raises(UpimagineError, match=message):
        make(odd, tmp_path, machine=MACHINE)


def test_samples_carry_their_recipe_and_are_made_again(models: dict[str, Path], tmp_path: Path) -> None:
    saved = save_samples(str(models["generator"]), 5, tmp_path / "out", machine=MACHINE)
    first = tmp_path / "out" / "pictures" / "00003.png"
    again(first, tmp_path / "again.png")
    assert torch.equal(pixels.read(first).pixels, pixels.read(tmp_path / "again.png").pixels)
    assert saved.with_face == 0  # then faces have no say, and the ranking stands on the other scores
    assert "nan" not in saved.table.read_text()
    with pytest.raises(UpimagineError, match="overwrite"):
        save_samples(str(models["generator"]), 2, tmp_path / "out", machine=MACHINE)
    save_samples(str(models["generator"]), 2, tmp_path / "out", machine=MACHINE, overwrite=True)
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2


@pytest.mark.parametrize("name", ["big.jpg", "big.png"])
def test_transparent_places_become_white_or_stay_and_again_knows_it(
    name: str, models: dict[str, Path], tmp_path: Path
) -> None:
    colours = torch.full((3, 40, 40), -1.0)
    pixels.write(tmp_path / "clear.png", colours, alpha=torch.zeros(1, 40, 40))
    done = enlarge(tmp_path / "clear.png", tmp_path / name, to_px=320, models=(str(models["detail"]),), machine=MACHINE)
    big = pixels.read(tmp_path / name)
    assert done.flattened == (name == "big.jpg")
    if done.flattened:
        assert big.pixels.mean() > 0.9
    else:
        assert big.alpha is not None
        assert not big.alpha.any()
    again(tmp_path / name, tmp_path / f"same-{name}")
    assert torch.equal(pixels.read(tmp_path / f"same-{name}").pixels, big.pixels)
