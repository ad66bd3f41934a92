"""Recipes: TOML for people, JSON inside pictures, one line when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from upimagine.errors import UpimagineError
from upimagine.make.walk import find_recipe
from upimagine.recipe import Done, Enlarge, Origin, Print, Recipe, Resolved, parse_resolved, read_recipe, write_recipe


def test_a_recipe_survives_being_written_and_read(tmp_path: Path) -> None:
    recipe = find_recipe("portrait")
    (tmp_path / "again.toml").write_text(write_recipe(recipe))
    assert read_recipe(tmp_path / "again.toml") == recipe


def test_the_built_in_recipe_asks_for_what_it_promises() -> None:
    recipe = find_recipe("portrait")
    kinds = [stage.kind for stage in recipe.stage]
    assert kinds == ["sample", "choose", "enlarge", "enlarge", "print"]


def test_a_resolved_recipe_keeps_every_bit_of_the_latent() -> None:
    latent = (0.1, -1.2345678806304932, 3e-9)
    done = Done(
        stage=Enlarge(model="m"),
        model_sha256="0",
        plane_px=(4, 4),
        size_px=(32, 32),
        guided=True,
        tiles=(1, 1),
        winners=((1,),),
    )
    resolved = Resolved(
        upimagine="1", torch="2", device="cpu", dtype="float32", threads=2, output=Print(bit_depth=16),
        origin=Origin(model="m", latent=latent), enlarge=(done,),
    )  # fmt: skip
    back = parse_resolved(resolved.model_dump_json(), "x")
    assert back == resolved
    assert back.origin.latent == latent


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "is not TOML"),
        ('name = "x"\n[[stage]]\nkind = "sample"\n', r"stage\.0\.sample\.model: Field required"),
        ('name = "x"\n[[stage]]\nkind = "sample"\nmodel = "m"\ncuont = 3\n', r"did you mean count\?"),
        ('name = "x"\n[[stage]]\nkind = "bake"\n', "stage.0"),
        ('name = "x"\n[[stage]]\nkind = "sample"\nmodel = "m"\ncount = 0\n', "greater than or equal to 1"),
    ],
)
def test_a_wrong_recipe_gets_one_line_with_file_and_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UpimagineError, match=words) as caught:
        read_recipe(path)
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recipes_that_are_not_there_are_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match=r"built in: .*portrait"):
        find_recipe("landscape")
    with pytest.raises(UpimagineError, match="cannot be read"):
        find_recipe(tmp_path / "none.toml")


def test_foreign_metadata_is_no_recipe() -> None:
    with pytest.raises(UpimagineError, match="holds no recipe"):
        parse_resolved('{"ImageJ": 1}', "scan.tif")


def test_recipes_are_frozen() -> None:
    recipe = Recipe(name="x", stage=())
    with pytest.raises(ValueError, match="frozen"):
        recipe.name = "y"
