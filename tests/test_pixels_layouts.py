"""How files are laid out: what other programs find in a TIFF of each kind, and when it becomes a BigTIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import Image

from upimagine import pixels
from upimagine.errors import PictureError
from upimagine.pixels import encoding as encoding_module
from upimagine.pixels.formats import Encoding

NOISE = torch.rand(4, 301, 517, generator=torch.Generator().manual_seed(11)) * 2 - 1
TAGS = {
    "deflate": tifffile.COMPRESSION.ADOBE_DEFLATE,
    "lzw": tifffile.COMPRESSION.LZW,
    "none": tifffile.COMPRESSION.NONE,
}


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("compression", ["deflate", "lzw", "none"])
@pytest.mark.parametrize("transparent", [False, True])
def test_tiff_layouts(tmp_path: Path, compression: str, tiled: bool, bit_depth: int, transparent: bool) -> None:
    top = 2**bit_depth - 1
    expected = ((NOISE[: 4 if transparent else 3] + 1) * top / 2).round().permute(1, 2, 0).numpy()
    picture = torch.from_numpy(expected).permute(2, 0, 1) / (top / 2) - 1  # exact samples
    alpha = (picture[3:] + 1) / 2 if transparent else None
    how = Encoding(compression=compression, tiled=tiled)  # type: ignore[arg-type]
    pixels.write(tmp_path / "a.tif", NOISE[:3], alpha=alpha, bit_depth=bit_depth, dpi=240, recipe="a = 1", encoding=how)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert len(file.pages) == 1
        assert not file.is_bigtiff
        assert page.compression == TAGS[compression]
        assert page.is_tiled == tiled
        assert page.bitspersample == bit_depth
        assert page.samplesperpixel == (4 if transparent else 3)
        assert (page.imagelength, page.imagewidth) == (301, 517)
        if tiled:
            assert (page.tilelength, page.tilewidth) == (256, 256)
        else:
            assert page.rowsperstrip <= 64
        if transparent:
            assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        assert page.tags["XResolution"].value == (240, 1)
        assert page.iccprofile[16:20] == b"RGB "
        assert page.description == "a = 1"
    image = pyvips.Image.new_from_file(str(tmp_path / "a.tif"))
    assert (image.numpy() == expected).all()
    assert pixels.read(tmp_path / "a.tif").recipe == "a = 1"
    if bit_depth == 8:
        with Image.open(tmp_path / "a.tif") as opened:
            assert (np.asarray(opened) == expected).all()


def test_a_streamed_tiff_of_any_layout_is_the_same_file(tmp_path: Path) -> None:
    for how in (Encoding(compression="lzw", tiled=True), Encoding(compression="none")):
        pixels.write(tmp_path / "whole.tif", NOISE[:3], bit_depth=16, overwrite=True, encoding=how)
        with pixels.Canvas(tmp_path / "rows.tif", 301, 517, overwrite=True, encoding=how) as canvas:
            for rows in NOISE[:3].split(90, dim=1):
                canvas.write_rows(rows)
            canvas.commit()
        assert (tmp_path / "rows.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_bigtiff_where_the_worst_case_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lowered for the test: a file beyond 4 GB takes longer than all other tests together."""
    samples = 301 * 517 * 3 * 2
    padded = 512 * 768 * 3 * 2
    for compression, tiled, limit, big in [
        ("deflate", False, samples, False),
        ("deflate", False, samples - 1, True),
        ("none", False, samples - 1, True),
        ("none", True, padded, False),
        ("none", True, padded - 1, True),
        ("lzw", False, samples, True),  # noise grows in LZW
        ("lzw", False, samples * 3 // 2, False),
    ]:
        monkeypatch.setattr(encoding_module, "_CLASSIC_TIFF_BYTES", limit)
        how = Encoding(compression=compression, tiled=tiled)  # type: ignore[arg-type]
        pixels.write(tmp_path / "a.tif", NOISE[:3], bit_depth=16, recipe="r", overwrite=True, encoding=how)
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert file.is_bigtiff == big, (compression, tiled, limit)
        assert (pixels.read(tmp_path / "a.tif").pixels - NOISE[:3]).abs().max() < 2e-5
    assert encoding_module._WORST_GROWTH["lzw"] == 1.5


def test_noise_in_lzw_grows_less_than_foreseen(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.tif", NOISE[:3], bit_depth=16, encoding=Encoding(compression="lzw"))
    growth = (tmp_path / "a.tif").stat().st_size / (301 * 517 * 6)
    assert 1.05 < growth < 1.5


def test_four_gigabytes_of_samples_ask_for_bigtiff() -> None:
    for height, big in [(10_000, False), (11_200, True)]:
        image = pyvips.Image.black(60_000, height, bands=3).copy(interpretation="srgb").cast("ushort")
        options = encoding_module._options(encoding_module.TIFF, image, Encoding())
        assert options["bigtiff"] is big


def test_quality_of_jpeg(tmp_path: Path) -> None:
    sizes = []
    for name, quality, how in [("a", None, None), ("b", 95, None), ("c", None, Encoding(quality=60)), ("d", 60, None)]:
        pixels.write(tmp_path / f"{name}.jpg", NOISE[:3], quality=quality, encoding=how)
        sizes.append((tmp_path / f"{name}.jpg").stat().st_size)
    assert sizes[0] == sizes[1] > sizes[2] == sizes[3]


def test_options_that_do_not_exist_are_refused() -> None:
    for bad in ({"space": "cmyk"}, {"compression": "zip"}, {"tiles": "webp"}, {"quality": 0}, {"quality": 101}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Encoding(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_alpha_through_the_canvas(tmp_path: Path, suffix: str) -> None:
    depth = 8 if suffix == ".webp" else 16
    alpha = (NOISE[3:] + 1) / 2
    how = Encoding(quality=100)
    pixels.write(tmp_path / f"whole{suffix}", NOISE[:3], alpha=alpha, bit_depth=depth, encoding=how)
    path = tmp_path / f"rows{suffix}"
    with pixels.Canvas(path, 301, 517, alpha=True, bit_depth=depth, encoding=how) as canvas:
        for rows, covered in zip(NOISE[:3].split(77, dim=1), alpha.split(77, dim=1), strict=True):
            canvas.write_rows(rows, covered)
        canvas.commit()
    assert path.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    found = pyvips.Image.new_from_file(str(path))
    assert (found.bands, found.hasalpha()) == (4, True)
    top = 2**depth - 1
    assert np.abs(found.extract_band(3).numpy() / top - alpha[0].numpy()).max() <= 0.51 / top
    read = pixels.read(path).alpha
    assert read is not None
    assert (read - alpha).abs().max() <= 0.51 / top


def test_alpha_must_be_declared(tmp_path: Path) -> None:
    with pixels.Canvas(tmp_path / "a.tif", 301, 517, alpha=True) as canvas:
        for alpha, match in [(None, "alpha=True"), (torch.ones(1, 300, 517), "300, 517")]:
            with pytest.raises(ValueError, match=match):
                canvas.write_rows(NOISE[:3], alpha)
        with pytest.raises(PictureError, match="NaN"):
            canvas.write_rows(NOISE[:3], NOISE[3:] * torch.nan)
    with pixels.Canvas(tmp_path / "a.tif", 301, 517) as canvas, pytest.raises(ValueError, match="alpha=True"):
        canvas.write_rows(NOISE[:3], torch.ones(1, 301, 517))
    for name in ("a.jpg", "a.dzi"):
        with pytest.raises(PictureError, match="no transparency"):
            pixels.Canvas(tmp_path / name, 301, 517, alpha=True, bit_depth=8)
    assert list(tmp_path.iterdir()) == []
