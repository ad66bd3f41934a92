"""What is written comes back, here and in programs outside the project."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError

RECIPE = '# Zoë, 東京 & <friends>\n[stage]\nname = "x"\r\n\tseed = 7\n' + "value = 0.125\n" * 1400  # 20 kB
DEPTHS = [(".png", 8), (".png", 16), (".tif", 8), (".tif", 16)]


def exact(height: int, width: int, bit_depth: int, seed: int = 0, channels: int = 3) -> tuple[np.ndarray, torch.Tensor]:
    """Integer samples (H, W, C), and the same as (C, H, W) in [-1, 1]."""
    top = 2**bit_depth - 1
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    samples = np.random.default_rng(seed).integers(0, top + 1, (height, width, channels)).astype(dtype)
    return samples, torch.from_numpy(samples.astype(np.float32)).permute(2, 0, 1) / (top / 2) - 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(DEPTHS), st.booleans(), st.integers(0, 99))
def test_write_then_read_is_identity(
    height: int, width: int, kind: tuple[str, int], transparent: bool, seed: int
) -> None:
    suffix, bit_depth = kind
    _, tensor = exact(height, width, bit_depth, seed, channels=4)
    alpha = (tensor[3:] + 1) / 2 if transparent else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        pixels.write(path, tensor[:3], alpha=alpha, bit_depth=bit_depth)
        picture = pixels.read(path)
        pixels.write(path, picture.pixels[None], alpha=picture.alpha, bit_depth=bit_depth, overwrite=True)
        again = pixels.read(path)
    torch.testing.assert_close(picture.pixels, tensor[:3], rtol=0, atol=1e-6)
    assert again.pixels.equal(picture.pixels)
    assert picture.bit_depth == bit_depth
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None and picture.alpha is not None:
        torch.testing.assert_close(picture.alpha, alpha, rtol=0, atol=1e-6)


def test_every_sixteen_bit_step_survives(tmp_path: Path) -> None:
    ramp = torch.arange(65536, dtype=torch.float32).reshape(1, 256, 256).expand(3, -1, -1) / 32767.5 - 1
    pixels.write(tmp_path / "a.tif", ramp, bit_depth=16)
    assert (tifffile.imread(tmp_path / "a.tif")[..., 1].ravel() == np.arange(65536)).all()


def test_values_are_rounded_to_nearest_and_clamped(tmp_path: Path) -> None:
    values = torch.tensor([-3.0, -1.0, 0.0001, 1.0, 7.0]).reshape(1, 1, 5).expand(3, -1, -1)
    pixels.write(tmp_path / "a.tif", values, bit_depth=16)
    assert tifffile.imread(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 0, round(1.0001 * 32767.5), 65535, 65535]


def test_half_precision_and_views_are_taken(tmp_path: Path) -> None:
    _, tensor = exact(6, 9, 8)
    pixels.write(tmp_path / "view.png", tensor.transpose(1, 2).flip(1))
    assert pixels.read(tmp_path / "view.png").pixels.shape == (3, 9, 6)
    torch.testing.assert_close(pixels.read(tmp_path / "view.png").pixels, tensor.transpose(1, 2).flip(1))
    pixels.write(tmp_path / "half.png", tensor.bfloat16())
    torch.testing.assert_close(pixels.read(tmp_path / "half.png").pixels, tensor, rtol=0, atol=0.01)


def test_tiff_in_tifffile(tmp_path: Path) -> None:
    samples, tensor = exact(150, 70, 16)
    pixels.write(tmp_path / "a.tif", tensor, bit_depth=16, dpi=300, recipe=RECIPE)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        tags = {tag.name: tag.value for tag in page.tags}
        assert tags["BitsPerSample"] == (16, 16, 16)
        assert tags["PhotometricInterpretation"] == tifffile.PHOTOMETRIC.RGB
        assert tags["XResolution"][0] / tags["XResolution"][1] == 300
        assert tags["YResolution"][0] / tags["YResolution"][1] == 300
        assert tags["ResolutionUnit"] == tifffile.RESUNIT.INCH
        assert tags["Compression"] == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert tags["Predictor"] == tifffile.PREDICTOR.HORIZONTAL
        assert tags["ImageDescription"] == RECIPE.rstrip()  # tifffile strips white space
        assert "sRGB" in profile_name(tags["InterColorProfile"])
        assert (page.asarray() == samples).all()


def profile_name(profile: bytes) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(profile)
        file.seek(0)
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(file))


@pytest.mark.parametrize(("suffix", "bit_depth"), [(".png", 8), (".png", 16), (".jpg", 8), (".webp", 8), (".tif", 8)])
def test_others_in_pillow(tmp_path: Path, suffix: str, bit_depth: int) -> None:
    samples, tensor = exact(33, 21, bit_depth)
    pixels.write(tmp_path / f"a{suffix}", tensor, bit_depth=bit_depth, dpi=240, recipe=RECIPE)
    with Image.open(tmp_path / f"a{suffix}") as opened:
        info = dict(opened.info)  # what Pillow knows from the header, before it decodes
        assert opened.size == (21, 33)
        assert "sRGB" in profile_name(info["icc_profile"])
        if suffix != ".webp":
            assert info["dpi"] == pytest.approx((240, 240), abs=0.01)
        if suffix == ".png":
            assert info["upimagine"] == RECIPE
        else:
            packet = info.get("xmp") or opened.tag_v2[700]
            assert b"urn:upimagine" in packet
        if bit_depth == 8 and suffix in (".png", ".tif"):
            assert (np.asarray(opened) == samples).all()


@pytest.mark.parametrize(("suffix", "bit_depth"), [*DEPTHS, (".jpg", 8), (".webp", 8)])
def test_recipe_and_dpi_come_back(tmp_path: Path, suffix: str, bit_depth: int) -> None:
    _, tensor = exact(5, 7, bit_depth)
    path = tmp_path / f"a{suffix}"
    for recipe in (RECIPE, "x", None):
        pixels.write(path, tensor, bit_depth=bit_depth, dpi=300, recipe=recipe, overwrite=True)
        assert pixels.read_recipe(path) == recipe
        picture = pixels.read(path)
        assert (picture.recipe, picture.dpi) == (recipe, 300)
    pixels.write(path, tensor, bit_depth=bit_depth, overwrite=True)
    assert pixels.read(path).dpi is None


def test_a_camera_description_is_no_recipe(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint8), photometric="rgb", description="OLYMPUS")
    assert pixels.read_recipe(tmp_path / "a.tif") is None


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    stripes = torch.tensor([-1.0, 1.0]).repeat(32).expand(64, -1)  # red and cyan, one pixel wide
    pixels.write(tmp_path / "a.jpg", torch.stack([stripes, -stripes, -stripes]))
    with Image.open(tmp_path / "a.jpg") as opened:
        assert [layer[1:3] for layer in opened.layer] == [(1, 1)] * 3
    assert (pixels.read(tmp_path / "a.jpg").pixels[0] - stripes).abs().mean() < 0.06


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    _, tensor = exact(4, 4, 8)
    for name, match, extra in [
        ("a.jpg", "8 bits", {"bit_depth": 16}),
        ("a.webp", "8 bits", {"bit_depth": 16}),
        ("a.jpg", "transparency", {"alpha": torch.ones(1, 4, 4)}),
        ("a.jpg", "kB", {"recipe": "x" * 70_000}),
        ("a.bmp", "suffix", {}),
        ("a", "suffix", {}),
        ("a.png", "U\\+0000", {"recipe": "a\0b"}),
    ]:
        with pytest.raises(PictureError, match=match) as caught:
            pixels.write(tmp_path / name, tensor, **extra)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(PictureError, match="16383"):
        pixels.write(tmp_path / "a.webp", torch.zeros(3, 1, 16384))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_never_written(tmp_path: Path, bad: float) -> None:
    tensor = torch.zeros(3, 8, 8)
    tensor[1, 5, 6] = bad
    with pytest.raises(PictureError, match="NaN"):
        pixels.write(tmp_path / "a.png", tensor)
    with pytest.raises(PictureError, match="NaN"):
        pixels.write(tmp_path / "a.png", torch.zeros(3, 8, 8), alpha=tensor[1:2])
    assert list(tmp_path.iterdir()) == []


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    for shape in [(2, 3, 4, 4), (4, 4, 4), (1, 4, 4), (3, 4), (3, 0, 4)]:
        with pytest.raises(ValueError):
            pixels.write(tmp_path / "a.png", torch.zeros(shape))
    with pytest.raises(ValueError, match="cover"):
        pixels.write(tmp_path / "a.png", torch.zeros(3, 4, 4), alpha=torch.ones(1, 4, 5))
    with pytest.raises(ValueError, match="bit_depth"):
        pixels.write(tmp_path / "a.png", torch.zeros(3, 4, 4), bit_depth=12)
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "Zoë.png"
    pixels.write(path, torch.zeros(3, 4, 4))
    before = path.read_bytes()
    with pytest.raises(UpimagineError, match="add --overwrite"):
        pixels.write(path, torch.ones(3, 4, 4))
    assert path.read_bytes() == before
    pixels.write(path, torch.ones(3, 4, 4), overwrite=True)
    assert pixels.read(path).pixels.min() == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["Zoë.png"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        pixels.write(tmp_path / "a.png", torch.zeros(3, 4, 4))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


def test_best_bit_depth() -> None:
    assert [pixels.best_bit_depth(f"a{s}") for s in (".TIF", ".tiff", ".png", ".jpeg", ".webp")] == [16, 16, 16, 8, 8]
    with pytest.raises(PictureError, match="suffix"):
        pixels.best_bit_depth("print.pdf")
