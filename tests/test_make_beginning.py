"""What a walk may begin with: pictures drawn by program, and pictures of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import draw_pictures
from test_make import MACHINE, recipe  # noqa: F401 (a fixture)

from upimagine import pixels
from upimagine.cli import main
from upimagine.errors import UpimagineError
from upimagine.make.again import again
from upimagine.make.colour_fields import colour_field
from upimagine.make.walk import find_recipe, make
from upimagine.models.builtin import builtin_models
from upimagine.models.file import save_model
from upimagine.nets.enhance import EnhanceGan
from upimagine.recipe import ColourFields, Enlarge, Recipe, Sample, parse_resolved, read_recipe, write_recipe


@pytest.fixture
def drawn(recipe: Recipe) -> Recipe:  # noqa: F811
    """The toy walk, begun with what is drawn."""
    stage = ColourFields(count=10, size_px=16, colours=3)
    return recipe.model_copy(update={"results": "abstract", "stage": (stage, *recipe.stage[1:])})


def test_what_is_drawn_has_few_colours_in_coherent_places() -> None:
    stage = ColourFields(size_px=48, colours=4, softness=0.0, roughness=0.0)
    picture = colour_field(stage, 5, 0)
    assert picture.shape == (1, 3, 48, 48)
    assert picture.abs().max() <= 1
    pixels_of = picture[0].flatten(1).T
    _, counts = torch.unique((pixels_of * 127.5).round(), dim=0, return_counts=True)
    assert counts.sort(descending=True).values[:4].sum() > 0.7 * 48 * 48, "but for the edges there are four colours"
    # A neighbour is mostly of the same colour; shuffled pixels would not be.
    same = (picture[..., 1:] - picture[..., :-1]).abs().amax(1).lt(0.02).float().mean()
    assert same > 0.7


def test_roughness_makes_smaller_areas_and_numbers_differ() -> None:
    def unrest(roughness: float) -> float:
        stage = ColourFields(size_px=32, softness=0.0, roughness=roughness)
        drawn = torch.cat([colour_field(stage, 1, number) for number in range(8)])
        return float((drawn[..., 1:] - drawn[..., :-1]).abs().mean())

    assert unrest(1.0) > 1.5 * unrest(0.0)
    stage = ColourFields()
    assert torch.equal(colour_field(stage, 3, 4), colour_field(stage, 3, 4))
    assert not torch.equal(colour_field(stage, 3, 4), colour_field(stage, 4, 3))


def test_from_drawn_pictures_to_the_print_and_the_same_pixels_again(drawn: Recipe, tmp_path: Path) -> None:
    made = make(drawn, tmp_path, machine=MACHINE)
    assert [path.name for path in made.pictures] == ["abstract-1.png", "abstract-2.png"]
    assert made.print is not None
    for path in (made.print, *made.pictures):
        again(path, tmp_path / f"again{path.suffix}", overwrite=True)
        assert torch.equal(pixels.read(path).pixels, pixels.read(tmp_path / f"again{path.suffix}").pixels)
    assert read_recipe(tmp_path / "recipe.toml") == drawn


def test_ones_own_pictures_begin_the_walk_whatever_they_show(
    recipe: Recipe,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, written, out = draw_pictures(tmp_path / "mine", 1, 40), tmp_path / "toy.toml", tmp_path / "out"
    (folder / "broken.png").write_bytes(b"no picture")
    pixels.write(folder / "tiny.png", torch.zeros(3, 4, 40))
    written.write_text(write_recipe(recipe))
    arguments = ["make", str(written), "--from", str(folder), "-o", str(out), "--device", "cpu", "--json"]
    assert main(arguments) == 3, "some were passed over"
    told = capsys.readouterr()
    assert json.loads(told.out)["pictures"] == [str(out / "portrait-1.png")], "one picture, though the recipe keeps two"
    assert "broken.png" in told.err
    assert "tiny.png is only 40x4" in told.err
    again(out / "portrait-1.png", tmp_path / "again.png")
    assert torch.equal(pixels.read(out / "portrait-1.png").pixels, pixels.read(tmp_path / "again.png").pixels)
    # recipe.toml says what was done, so it does it again.
    assert main(["make", str(out / "recipe.toml"), "-o", str(tmp_path / "twice"), "--device", "cpu"]) == 3
    assert (tmp_path / "twice/print.tif").read_bytes() == (out / "print.tif").read_bytes()


@pytest.mark.parametrize(
    ("content", "told"), [(None, "is not a folder"), ({}, "no pictures"), ({"a.png": b"x"}, "none of the 1")]
)
def test_a_folder_with_nothing_to_begin_with(
    content: dict[str, bytes] | None,
    told: str,
    recipe: Recipe,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "mine"
    if content is not None:
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
    with pytest.raises(UpimagineError, match=told):
        make(recipe, tmp_path / "out", begin_with=folder, machine=MACHINE)


@pytest.mark.parametrize(
    ("name", "results"), [("portrait", "portrait"), ("abstract", "abstract"), ("enhance", "enhanced")]
)
def test_built_in_recipes_are_whole(name: str, results: str) -> None:
    found = find_recipe(name)
    assert (found.name, found.results, found.stage[-1].kind) == (name, results, "print")
    named = {stage.model for stage in found.stage if isinstance(stage, (Sample, Enlarge))}
    assert named <= set(builtin_models())


def test_eight_pixels_are_invented_anew_and_the_same_again(models: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(3)
    chain = tmp_path / "chain.safetensors"
    save_model(chain, "upscaler", EnhanceGan(8, width=4, code_dim=8).eval(), None, {})
    told = find_recipe("enhance")
    small = [
        stage.model_copy(update={"count": 6} if isinstance(stage, Sample) else {"face": 0, "symmetry": 0, "keep": 2})
        for stage in told.stage[:2]
    ]
    short = told.model_copy(update={"stage": (*small, *told.stage[2:4])})
    others = {"portrait-128": models["generator"], "enhance-8-32": chain, "portrait-x8": models["detail"]}
    out = tmp_path / "out"
    made = make(short, out, models={name: str(path) for name, path in others.items()}, machine=MACHINE)
    inside = pixels.read_recipe(made.pictures[0])
    assert inside is not None
    first, second = parse_resolved(inside, "picture").enlarge
    assert (first.tiles, first.plane_px, first.size_px) == ((1, 1), (8, 8), (32, 32)), "a whole portrait is one tile"
    assert second.size_px == (256, 256)
    again(made.pictures[0], tmp_path / "again.png")
    assert torch.equal(pixels.read(made.pictures[0]).pixels, pixels.read(tmp_path / "again.png").pixels)
    written = read_recipe(out / "recipe.toml")
    named = [stage.model for stage in written.stage if isinstance(stage, Sample | Enlarge)]
    assert named == list(map(str, others.values()))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("portrait-128", "write NAME=FILE"),
        ("detail-x8=no.safetensors", "no.safetensors does not exist"),
        ("x=y", "no model 'x' to replace; it names detail-x8"),
    ],
)
def test_models_that_cannot_stand_for_others(
    model: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["make", "abstract", "--model", model, "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
