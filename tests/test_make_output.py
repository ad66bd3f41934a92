"""What goes to paper and to disk beside the colours: transparency, bleed, sharpening, EXIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.make.again import again
from upimagine.make.chain import scales_of
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge
from upimagine.make.source import open_source
from upimagine.make.stages import passes_of
from upimagine.models.file import save_model
from upimagine.nets.jnet import JNet
from upimagine.printing import Sharpening, sharpen
from upimagine.recipe import Enlarge, Print, Sharpen, parse_resolved

MACHINE = settle("cpu", "float32", 1)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """72 x 60 px, with a transparent left third, EXIF and a name."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(-1, 1, 72), indexing="ij")
    colours = torch.stack((x, y, torch.sin(7 * x * y))) * 0.8
    alpha = (x > -0.3).float()[None]
    path = tmp_path / "photo.png"
    exif = Image.Exif()
    exif[0x013B] = "Ana"  # Artist
    pixels.write(path, colours, alpha=alpha, exif=exif.tobytes()[6:])
    return path


def rendered(photo: Path, out: Path, models: dict[str, Path], printing: Print, **options: object) -> torch.Tensor:
    enlarge(
        photo,
        out,
        to_px=288,
        models=(str(models["detail"]),),
        printing=printing,
        machine=MACHINE,
        **options,  # type: ignore[arg-type]
    )
    return pixels.read(out).pixels


def test_transparency_is_enlarged_beside_the_colours_row_by_row(
    photo: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    rendered(photo, tmp_path / "a.png", models, Print(bit_depth=16))
    read, source = pixels.read(tmp_path / "a.png"), pixels.read(photo)
    assert read.alpha is not None
    assert source.alpha is not None
    expected = F.interpolate(source.alpha[None], (240, 288), mode="bicubic", antialias=True).clamp(0, 1)[0]
    assert (read.alpha - expected).abs().max() < 0.02
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.getexif()[0x013B] == "Ana"


def test_colours_beneath_transparency_are_those_nearby_and_seen_ones_stay(photo: Path) -> None:
    picture, source = open_source(photo, keep_alpha=True)
    original = pixels.read(photo).pixels[None]
    assert source.alpha is not None
    seen = source.alpha.expand_as(picture) > 0.5
    assert torch.equal(picture[seen], original[seen])
    edge = int((source.alpha[0, 0, 0] > 0.5).nonzero()[0])
    jump = (picture[..., edge] - picture[..., edge - 1]).abs().mean()
    assert jump < 0.25, "what is hidden goes on smoothly where it meets what is seen"


def test_bleed_mirrors_the_picture_and_the_rest_is_the_print_without_it(
    photo: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    plain = rendered(photo, tmp_path / "plain.png", models, Print(bit_depth=16, dpi=254))
    bled = rendered(photo, tmp_path / "bled.png", models, Print(bit_depth=16, dpi=254, bleed_mm=1))
    expected = np.pad(plain.numpy(), ((0, 0), (10, 10), (10, 10)), mode="reflect")
    np.testing.assert_allclose(bled.numpy(), expected, atol=1e-6)


def test_sharpening_is_that_of_the_whole_picture_and_again_repeats_it(
    photo: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    plain = rendered(photo, tmp_path / "plain.png", models, Print(bit_depth=16))
    printing = Print(bit_depth=16, bleed_mm=1, sharpen=Sharpen(amount=0.8), space="display-p3")
    sharp = rendered(photo, tmp_path / "sharp.png", models, printing)
    bleed = (sharp.shape[1] - plain.shape[1]) // 2
    assert bleed == round(300 / 25.4)
    inner = sharp[:, bleed:-bleed, bleed:-bleed]
    expected = sharpen(plain, Sharpening.for_print(300, amount=0.8))
    assert (inner - expected).abs().max() < 3 / 255
    assert (inner - plain).abs().max() > 8 / 255, "nothing was sharpened"
    again(tmp_path / "sharp.png", tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "sharp.png").read_bytes()


def test_passes_grow_on_shifted_grids_and_leave_slides(photo: Path, models: dict[str, Path], tmp_path: Path) -> None:
    stage = Enlarge(model=str(models["detail"]), stride_px=16, passes=3, growth=1.5, keep_detail=True)
    sizes = passes_of(stage, (90, 36), 32)
    assert [plane for _, plane in sizes] == [(40, 16), (60, 24), (90, 36)]
    assert [one.shift_px for one, _ in sizes] == [0, 8, 0]
    assert [one.keep_detail for one, _ in sizes] == [True, False, False]
    options = stage.model_copy(update={"model": ""})
    rendered(photo, tmp_path / "a.png", models, Print(), options=options, slides=True)
    assert sorted(path.name for path in tmp_path.glob("a-pass-*")) == ["a-pass-1.png", "a-pass-2.png"]
    widths = [pixels.read_size(tmp_path / f"a-pass-{number}.png")[1] for number in (1, 2)]
    assert widths == [128, 192]
    again(tmp_path / "a.png", tmp_path / "b.png")
    assert torch.equal(pixels.read(tmp_path / "a.png").pixels, pixels.read(tmp_path / "b.png").pixels)


def test_rivals_stand_in_the_recipe(photo: Path, models: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(models["detail"].read_bytes())
    options = Enlarge(model="", also=(str(other),), best_of=4, keep_detail=True)
    first = rendered(photo, tmp_path / "a.png", models, Print(), options=options)
    again(tmp_path / "a.png", tmp_path / "b.png")
    assert torch.equal(first, pixels.read(tmp_path / "b.png").pixels)
    recipe = parse_resolved(pixels.read_recipe(tmp_path / "a.png") or "", "a.png")
    assert recipe.enlarge[0].stage.also == ("other.safetensors",)
    assert recipe.enlarge[0].also_sha256 == (recipe.enlarge[0].model_sha256,)
    assert {winner for row in recipe.enlarge[0].winners for winner in row} <= {0, 1, 2, 3}


def test_strict_gives_up_where_seams_show_on_both_grids_and_leaves_nothing(photo: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    wild = JNet(0, width=1 / 4, consistency="none")  # untrained, with a pattern that tiles repeat
    pixels.write(tmp_path / "photo.png", torch.rand(3, 160, 192) * 2 - 1, overwrite=True)
    model = tmp_path / "wild.safetensors"
    save_model(model, "upscaler", wild, None, {})
    hard = Enlarge(model="", stride_px=32, flips=False, tone_match=0, feather_px=0)
    relaxed = enlarge(photo, tmp_path / "seen.png", to_px=1536, models=(str(model),), options=hard, machine=MACHINE)
    assert relaxed.seams.visible, "tiles cut hard must show"
    with pytest.raises(UpimagineError, match="on a shifted grid too"):
        enlarge(
            photo, tmp_path / "strict.png", to_px=1536, models=(str(model),), options=hard, strict=True, machine=MACHINE
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if "strict" in path.name] == []


def test_a_model_that_first_shrinks_the_picture_multiplies_it_by_less(models: dict[str, Path]) -> None:
    stages: list[tuple[Enlarge, tuple[int, int] | None]] = [
        (Enlarge(model=str(models["portrait"]), plane_px=96), (768, 1024)),
        (Enlarge(model=str(models["detail"])), (4096, 5461)),
    ]
    assert scales_of(torch.zeros(1, 3, 192, 256), stages, MACHINE) == (4, 8)
