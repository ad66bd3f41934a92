"""Every kind of file that may be handed in, written by programs outside the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from upimagine import pixels
from upimagine.errors import PictureError

RANDOM = np.random.default_rng(7)
COLOURS = RANDOM.integers(0, 256, (23, 31, 3), dtype=np.uint8)


def to_tensor(samples: np.ndarray, top: int = 255) -> torch.Tensor:
    """(H, W, 3) integers to (3, H, W) in [-1, 1], as the contract states it."""
    return torch.from_numpy(samples.astype(np.float32) / (top / 2) - 1).permute(2, 0, 1)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "Zoë 東京.png", "a[1].png", "a.png[page=2]", "no suffix"])
def test_lossless_eight_bit_is_exact(tmp_path: Path, name: str) -> None:
    kind = {".tif": "TIFF", ".webp": "WEBP"}.get(Path(name).suffix, "PNG")
    Image.fromarray(COLOURS).save(tmp_path / name, kind, lossless=True)
    picture = pixels.read(tmp_path / name)
    torch.testing.assert_close(picture.pixels, to_tensor(COLOURS), rtol=0, atol=1e-6)
    assert picture.pixels.shape == (3, 23, 31)
    assert picture.pixels.is_contiguous()
    assert (picture.alpha, picture.bit_depth, picture.dpi, picture.recipe) == (None, 8, None, None)
    assert pixels.read_size(tmp_path / name) == (23, 31)
    assert pixels.read_recipe(tmp_path / name) is None


def test_range_ends_are_exactly_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "a.png")
    assert pixels.read(tmp_path / "a.png").pixels[0, 0].tolist() == [-1, 1]


def test_sixteen_bit_tiff_keeps_every_step(tmp_path: Path) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    tifffile.imwrite(tmp_path / "a.tif", ramp, photometric="rgb", resolution=(240, 240), resolutionunit="INCH")
    picture = pixels.read(tmp_path / "a.tif")
    assert picture.bit_depth == 16
    assert picture.dpi == 240
    assert (((picture.pixels[0].double() + 1) * 32767.5).round().numpy() == ramp[..., 0]).all()


def test_one_strip_larger_than_libtiffs_guard_is_read(tmp_path: Path) -> None:
    tall = np.full((4300, 2100, 3), 1000, np.uint16)  # 54 MB in one strip
    tifffile.imwrite(tmp_path / "a.tif", tall, photometric="rgb", rowsperstrip=4300)
    assert pixels.read(tmp_path / "a.tif").pixels.shape == (3, 4300, 2100)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey8 = RANDOM.integers(0, 256, (9, 5), dtype=np.uint8)
    grey16 = RANDOM.integers(0, 65536, (9, 5), dtype=np.uint16)
    Image.fromarray(grey8).save(tmp_path / "8.png")
    Image.fromarray(grey8).save(tmp_path / "8.jpg", quality=100)
    Image.fromarray(grey16).save(tmp_path / "16.png")
    for name, samples, top, slack in [("8.png", grey8, 255, 0), ("8.jpg", grey8, 255, 3), ("16.png", grey16, 65535, 0)]:
        picture = pixels.read(tmp_path / name)
        expected = to_tensor(samples[..., None].repeat(3, 2), top)
        torch.testing.assert_close(picture.pixels, expected, rtol=0, atol=1e-6 + slack / 127.5)
        assert picture.pixels[0].equal(picture.pixels[1])
        assert picture.pixels[0].equal(picture.pixels[2])
        assert picture.bit_depth == (8 if top == 255 else 16)


def test_one_bit_pictures(tmp_path: Path) -> None:
    bits = RANDOM.integers(0, 2, (9, 13), dtype=np.uint8) * 255
    for name in ("a.png", "a.tif", "a.gif"):
        Image.fromarray(bits).convert("1").save(tmp_path / name)
        assert ((pixels.read(tmp_path / name).pixels[1].numpy() > 0) == (bits > 0)).all()


def test_alpha_is_straight(tmp_path: Path) -> None:
    samples = RANDOM.integers(0, 256, (8, 9, 4), dtype=np.uint8)
    Image.fromarray(samples).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        picture = pixels.read(tmp_path / name)
        torch.testing.assert_close(picture.pixels, to_tensor(samples[..., :3]), rtol=0, atol=1e-6)
        assert picture.alpha is not None
        assert picture.alpha.shape == (1, 8, 9)
        assert (picture.alpha[0] * 255).round().numpy().astype(int).tolist() == samples[..., 3].tolist()


def test_sixteen_bit_alpha(tmp_path: Path) -> None:
    samples = RANDOM.integers(0, 65536, (6, 7, 4), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    picture = pixels.read(tmp_path / "a.tif")
    assert picture.alpha is not None
    assert ((picture.alpha[0] * 65535).round().numpy() == samples[..., 3]).all()


def test_premultiplied_tiff_is_divided_out(tmp_path: Path) -> None:
    half_covered = np.full((4, 4, 4), [100, 50, 25, 128], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", half_covered, photometric="rgb", extrasamples=["assocalpha"])
    colour = (pixels.read(tmp_path / "a.tif").pixels[:, 0, 0] + 1) * 127.5
    assert colour.tolist() == pytest.approx([100 * 255 / 128, 50 * 255 / 128, 25 * 255 / 128], abs=1)


def test_palette_with_transparency(tmp_path: Path) -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    palette.putdata([0, 1, 2])
    palette.save(tmp_path / "a.png", transparency=bytes([255, 128, 0]))
    picture = pixels.read(tmp_path / "a.png")
    assert picture.alpha is not None
    assert (picture.alpha[0, 0] * 255).round().tolist() == [255, 128, 0]
    expected = np.array([[[10, 20, 30], [200, 100, 50], [0, 255, 0]]])
    torch.testing.assert_close(picture.pixels, to_tensor(expected), rtol=0, atol=1e-6)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        picture = pixels.read(tmp_path / name)
        assert picture.pixels.shape == (3, 4, 6)
        assert picture.pixels[:, 0, 0].round().tolist() == [1, -1, -1]


def test_avif(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (200, 100, 50)).save(tmp_path / "a.avif", quality=95)
    colour = pixels.read(tmp_path / "a.avif").pixels[:, 24, 32]
    assert ((colour + 1) * 127.5).tolist() == pytest.approx([200, 100, 50], abs=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)  # each corner differs, so no two orientations look alike
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
    # What the file stores is the upright picture with the orientation undone (Exif tag 274).
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[274] = orientation
    extra = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    stored.save(tmp_path / f"a{suffix}", exif=exif, **extra)
    assert pixels.read_size(tmp_path / f"a{suffix}") == (32, 48)
    picture = pixels.read(tmp_path / f"a{suffix}")
    torch.testing.assert_close(picture.pixels, to_tensor(upright), rtol=0, atol=0.1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_dpi_is_read(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(COLOURS).save(tmp_path / f"a{suffix}", dpi=(300, 300))
    assert pixels.read(tmp_path / f"a{suffix}").dpi == 300
    Image.fromarray(COLOURS).save(tmp_path / f"b{suffix}")
    assert pixels.read(tmp_path / f"b{suffix}").dpi is None


def write_samples(folder: Path) -> list[Path]:
    picture = Image.fromarray(RANDOM.integers(0, 256, (200, 300, 3), dtype=np.uint8))
    picture.save(folder / "baseline.jpg")
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.save(folder / "a.png")
    picture.save(folder / "plain.tif")
    picture.save(folder / "deflate.tif", compression="tiff_deflate")
    picture.save(folder / "a.webp")
    picture.save(folder / "lossless.webp", lossless=True)
    picture.convert("P").save(folder / "a.gif")
    picture.save(folder / "a.avif")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    for path in write_samples(tmp_path):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(PictureError) as caught:
            pixels.read(path)
        assert str(path) in str(caught.value), path
        assert "\n" not in str(caught.value)


def test_what_is_no_picture_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("this is a text, not a picture")
    (tmp_path / "matrix.png").write_text("2 2\n1 2\n3 4\n")  # libvips alone would take it for a picture
    (tmp_path / "drawing.jpg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "noise.png").write_bytes(b"\x89PNG\r\n\x1a\n" + RANDOM.bytes(500))
    for name, word in {
        "text.png": "no JPEG",
        "matrix.png": "no JPEG",
        "drawing.jpg": "no JPEG",
        "empty.jpg": "empty",
        "folder.tif": "folder",
        "noise.png": "damaged",
        "missing.png": "no such file",
    }.items():
        for reader in (pixels.read, pixels.read_size, pixels.read_recipe):
            with pytest.raises(PictureError, match=word) as caught:
                reader(tmp_path / name)
            assert str(caught.value).startswith(str(tmp_path / name))
            assert "\n" not in str(caught.value)


def test_more_pixels_than_allowed_are_refused_before_decoding(tmp_path: Path) -> None:
    # 30000 x 30000 in a few kilobytes: decoding it would take gigabytes.
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    with pytest.raises(PictureError, match="30000 x 30000"):
        pixels.read(tmp_path / "bomb.png")
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    pixels.read(tmp_path / "a.png", max_pixels=23 * 31)
    with pytest.raises(PictureError, match="more than"):
        pixels.read(tmp_path / "a.png", max_pixels=23 * 31 - 1)


def test_samples_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((4, 4, 3), np.float32), photometric="rgb")
    tifffile.imwrite(tmp_path / "long.tif", np.zeros((4, 4, 3), np.uint32), photometric="rgb")
    for name in ("float.tif", "long.tif"):
        with pytest.raises(PictureError, match="8 or 16 bits"):
            pixels.read(tmp_path / name)


def test_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), "white").save(tmp_path / "a.png")
    assert pixels.read(tmp_path / "a.png").pixels.tolist() == [[[1]], [[1]], [[1]]]


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    for level in (10, 20):
        Image.new("L", (2, 2), level).save(tmp_path / "a.png")
        assert round((pixels.read(tmp_path / "a.png").pixels.mean().item() + 1) * 127.5) == level


def test_nothing_leaks_to_the_terminal(tmp_path: Path) -> None:
    for path in write_samples(tmp_path):
        path.write_bytes(path.read_bytes()[:-200])
    Image.fromarray(COLOURS).save(tmp_path / "bad_profile.png", icc_profile=b"not a profile" * 20)
    script = (
        "import sys; from upimagine import pixels; from upimagine.errors import PictureError\n"
        "for name in sys.argv[1:]:\n"
        "    try: pixels.read(name)\n"
        "    except PictureError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert done.stderr == ""


def test_a_forked_worker_is_told_instead_of_hanging(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg")
    script = """
import os, sys
from upimagine import pixels
pixels.read(sys.argv[1])
child = os.fork()
if child == 0:
    try:
        pixels.read(sys.argv[1])
    except RuntimeError as error:
        os._exit(7 if "spawn" in str(error) else 8)
    os._exit(9)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.jpg")], check=False, timeout=120)
    assert done.returncode == 7


def test_a_look_is_a_jpeg_reduced_as_far_as_it_may_be(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 800), (600, 1)).astype(np.uint8)
    picture = Image.fromarray(np.stack((ramp, ramp[:, ::-1], ramp // 2), 2))
    turned = Image.Exif()
    turned[274] = 6  # the stored rows are the picture's columns
    picture.save(tmp_path / "a.jpg", quality=98, dpi=(300, 300), exif=turned)
    picture.save(tmp_path / "a.png")
    whole = pixels.read(tmp_path / "a.jpg")
    assert whole.pixels.shape == (3, 800, 600)
    for least_px, by in ((601, 1), (600, 1), (301, 1), (300, 2), (151, 2), (150, 4), (75, 8), (1, 8)):
        look = pixels.read(tmp_path / "a.jpg", least_px=least_px)
        assert look.pixels.shape == (3, 800 // by, 600 // by)
        assert look.dpi == whole.dpi == 300
        means = torch.nn.functional.avg_pool2d(whole.pixels, by)
        assert (look.pixels - means).abs().max() < 0.03
    assert pixels.read(tmp_path / "a.png", least_px=75).pixels.shape == (3, 600, 800)
    with pytest.raises(PictureError, match="800 x 600"):
        pixels.read(tmp_path / "a.jpg", least_px=75, max_pixels=400_000)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "tiled.tif", "alpha.png", "other.tif"])
def test_strips_are_the_picture(tmp_path: Path, name: str) -> None:
    large = torch.rand(3, 300, 70, generator=torch.Generator().manual_seed(3)) * 2 - 1
    how = pixels.Encoding(tiled=name == "tiled.tif", space="display-p3" if name == "other.tif" else "srgb")
    alpha = torch.rand(1, 300, 70) if name == "alpha.png" else None
    pixels.write(tmp_path / name, large, alpha=alpha, bit_depth=pixels.best_bit_depth(name), encoding=how)
    whole = pixels.read(tmp_path / name)
    for rows_px in (1, 64, 256, 1000):
        strips = list(pixels.read_rows(tmp_path / name, rows_px))
        assert [rows.shape[1] for rows, _ in strips[:-1]] == [rows_px] * (len(strips) - 1)
        assert torch.equal(torch.cat([rows for rows, _ in strips], dim=1), whole.pixels)
        if whole.alpha is None:
            assert all(covered is None for _, covered in strips)
        else:
            assert torch.equal(torch.cat([covered for _, covered in strips if covered is not None], 1), whole.alpha)


def test_strips_of_what_cannot_be_read(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.png", torch.rand(3, 300, 70))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:20_000])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (9, 5)).save(tmp_path / "turned.jpg", exif=exif)
    for name, match in (("cut.png", "cut short"), ("turned.jpg", "lies turned"), ("none.png", "no such file")):
        with pytest.raises(PictureError, match=match):
            list(pixels.read_rows(tmp_path / name))
