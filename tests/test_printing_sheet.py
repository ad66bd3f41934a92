"""The proof sheet as PDFium, the reader of Chrome, sees it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
import pyvips
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError
from upimagine.printing import PrintLayout, PrintSize, proof_sheet
from upimagine.printing.marks import plan_sheet
from upimagine.printing.sheet import caption_of

MM = 72 / 25.4  # points
TENTH_MM = 0.1 * MM
DPI, BLEED_PX = 254, 30  # ten pixels a millimetre; 3 mm of bleed
HEIGHT, WIDTH = 260, 410  # 26 mm x 41 mm with bleed
MARGIN_PX = 120  # 12 mm


def noise(height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Steps of 8 bits, (3, H, W) in [-1, 1]."""
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(5)) / 127.5 - 1


def smooth(height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Soft blotches without symmetry, (3, H, W) in [-1, 1]: a shift of a pixel changes little, a flip much."""
    return torch.nn.functional.interpolate(noise(5, 7)[None], (height, width), mode="bicubic")[0].clamp(-1, 1)


@contextmanager
def opened(path: Path) -> Iterator[pypdfium2.PdfPage]:
    document = pypdfium2.PdfDocument(path)
    try:
        assert len(document) == 1
        yield document[0]
    finally:
        document.close()


def bounds(item: pypdfium2.PdfObject) -> tuple[float, ...]:
    """(left, bottom, right, top) in points."""
    return tuple(item.get_bounds() if hasattr(item, "get_bounds") else item.get_pos())


def objects(page: pypdfium2.PdfPage, kind: int) -> list[pypdfium2.PdfObject]:
    return list(page.get_objects(filter=[kind]))


def text(page: pypdfium2.PdfPage) -> str:
    return str(page.get_textpage().get_text_bounded())


def rendered(page: pypdfium2.PdfPage) -> np.ndarray:
    """The page at one pixel a pixel of the print, (H, W, 3)."""
    # PDFium rounds the page up to whole pixels and stretches it: a hair less keeps it from one too many.
    return np.asarray(page.render(scale=(DPI - 0.01) / 72).to_pil().convert("RGB")).astype(int)


def embedded(page: pypdfium2.PdfPage, top: int = 255) -> np.ndarray:
    """The samples of the picture in a lossless PDF, (H, W, 3), with `top` for white."""
    (image,) = objects(page, pdfium.FPDF_PAGEOBJ_IMAGE)
    width, height = image.get_px_size()
    data = bytes(image.get_data(decode_simple=True))
    samples = np.frombuffer(data, np.uint8 if top == 255 else ">u2").reshape(height, width, 3)
    return samples.astype(int)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp"])
def test_everything_lies_where_it_should(tmp_path: Path, suffix: str) -> None:
    pixels.write(tmp_path / f"a{suffix}", noise())
    sheet = proof_sheet(tmp_path / f"a{suffix}", tmp_path / "a.pdf", dpi=DPI, bleed_mm=3)
    assert sheet.layout == PrintLayout((HEIGHT - 60, WIDTH - 60), BLEED_PX, DPI)
    assert sheet.page_mm == pytest.approx((26 + 24, 41 + 24))
    with opened(tmp_path / "a.pdf") as page:
        assert page.get_size() == pytest.approx((65 * MM, 50 * MM), abs=TENTH_MM)
        assert page.get_mediabox() == pytest.approx((0, 0, 65 * MM, 50 * MM), abs=0.001)
        assert page.get_bleedbox() == pytest.approx((12 * MM, 12 * MM, 53 * MM, 38 * MM), abs=0.001)
        assert page.get_trimbox() == pytest.approx((15 * MM, 15 * MM, 50 * MM, 35 * MM), abs=0.001)
        (image,) = objects(page, pdfium.FPDF_PAGEOBJ_IMAGE)
        assert bounds(image) == pytest.approx((12 * MM, 12 * MM, 53 * MM, 38 * MM), abs=0.001)
        assert image.get_px_size() == (WIDTH, HEIGHT)


def test_crop_marks_stand_at_the_trim_outside_the_bleed(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.png", noise())
    proof_sheet(tmp_path / "a.png", tmp_path / "a.pdf", dpi=DPI, bleed_mm=3)
    # 5 mm long, 2 mm from the bleed, in line with the trim at 15 and 50 mm across, 15 and 35 mm up.
    expected = {(x, x, low, low + 5) for x in (15, 50) for low in (5, 40)}
    expected |= {(left, left + 5, y, y) for y in (15, 35) for left in (5, 55)}
    with opened(tmp_path / "a.pdf") as page:
        found = set()
        for mark in objects(page, pdfium.FPDF_PAGEOBJ_PATH):
            left, bottom, right, top = (side / MM for side in bounds(mark))
            sides = (left, right, bottom, top)
            assert all(abs(side - round(side)) < 0.1 for side in sides)
            found.add(tuple(round(side) for side in sides))
        assert found == expected
        shown = rendered(page)
    # As pixels, too: ink at the middle of each mark, and none in the gap or elsewhere along the marks' lines.
    dark = shown.max(2) < 200
    for left, right, bottom, top in expected:
        y, x = round(500 - 5 * (bottom + top)), round(5 * (left + right))
        assert dark[y - 2 : y + 2, x - 2 : x + 2].any()
    # Beyond the picture and above the caption there is no ink but 8 lines of 50 x 1 to 3 pixels, none within 18.
    dark[MARGIN_PX - 1 : 1 - MARGIN_PX, MARGIN_PX - 1 : 1 - MARGIN_PX] = False  # PDFium draws pictures half a pixel off
    assert 8 * 50 <= dark[:-48].sum() <= 8 * 52 * 3
    assert not dark[MARGIN_PX - 18 : 18 - MARGIN_PX, MARGIN_PX - 18 : 18 - MARGIN_PX].any()


@pytest.mark.parametrize(
    ("suffix", "top", "how"),
    [
        ("a.png", 255, "as it is"),
        ("a.png", 65535, "as it is"),
        ("a.tif", 255, "lossless"),
        ("a.tif", 65535, "lossless"),
    ],
)
def test_every_sample_goes_in(tmp_path: Path, suffix: str, top: int, how: str) -> None:
    pixels.write(tmp_path / f"a{suffix}", noise(), bit_depth=8 if top == 255 else 16)
    sheet = proof_sheet(tmp_path / f"a{suffix}", tmp_path / "a.pdf", dpi=DPI, bleed_mm=3)
    assert sheet.embedded == how
    expected = ((noise() + 1) * (top / 2)).round().permute(1, 2, 0).numpy()
    with opened(tmp_path / "a.pdf") as page:
        assert (embedded(page, top) == expected).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("quality", [None, 90])
def test_the_picture_is_shown_in_its_place(tmp_path: Path, suffix: str, quality: int | None) -> None:
    pixels.write(tmp_path / f"a{suffix}", smooth())
    proof_sheet(tmp_path / f"a{suffix}", tmp_path / "a.pdf", dpi=DPI, bleed_mm=3, jpeg_quality=quality)
    with opened(tmp_path / "a.pdf") as page:
        shown = rendered(page)[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    expected = ((smooth() + 1) * 127.5).permute(1, 2, 0).numpy()
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() < 15
    assert np.abs(shown - expected).mean() < 2.5


def test_a_jpeg_goes_in_byte_for_byte(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.jpg", noise())
    for quality in (None, 50):
        sheet = proof_sheet(tmp_path / "a.jpg", tmp_path / "a.pdf", dpi=DPI, jpeg_quality=quality, overwrite=True)
        assert sheet.embedded == "as it is"
        assert (tmp_path / "a.jpg").read_bytes() in (tmp_path / "a.pdf").read_bytes()


def test_a_jpeg_inside_by_wish(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.tif", smooth(), bit_depth=16)
    sheet = proof_sheet(tmp_path / "a.tif", tmp_path / "a.pdf", dpi=DPI, jpeg_quality=90)
    assert sheet.embedded == "JPEG"
    proof_sheet(tmp_path / "a.tif", tmp_path / "b.pdf", dpi=DPI)
    assert (tmp_path / "a.pdf").stat().st_size < (tmp_path / "b.pdf").stat().st_size / 5
    with opened(tmp_path / "a.pdf") as page, opened(tmp_path / "b.pdf") as lossless:
        assert np.abs(rendered(page) - rendered(lossless)).max() < 12


def test_pictures_of_other_kinds(tmp_path: Path) -> None:
    """Turned, transparent, grey, CMYK, a palette, interlaced: shown as `pixels.read` reads them, over white."""
    rgb = ((noise(40, 60) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    Image.fromarray(np.dstack([rgb, rgb[..., :1]])).save(tmp_path / "clear.png")
    Image.fromarray(rgb[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "inks.tif")
    Image.fromarray(rgb).quantize(16).save(tmp_path / "palette.png")
    pyvips.Image.new_from_array(rgb).pngsave(str(tmp_path / "laced.png"), interlace=True)
    tifffile.imwrite(tmp_path / "deep.tif", rgb.astype(np.uint16) * 257, photometric="rgb")
    for path in sorted(tmp_path.iterdir()):
        sheet = proof_sheet(path, path.with_suffix(".pdf"), dpi=DPI)
        assert sheet.embedded == "lossless", path.name
        read = pixels.read(path)
        flat = read.pixels if read.alpha is None else torch.lerp(torch.ones_like(read.pixels), read.pixels, read.alpha)
        top = 65535 if path.stem in ("deep", "inks") else 255
        with opened(path.with_suffix(".pdf")) as page:
            shown = embedded(page, top)
        expected = ((flat + 1) * (top / 2)).permute(1, 2, 0).numpy()
        assert shown.shape == expected.shape
        assert np.abs(shown - expected).max() <= 1.01, path.name


def test_a_wide_colour_space_stays(tmp_path: Path) -> None:
    profile = bytes(pyvips.Operation.call("profile_load", "p3"))
    rgb = ((noise(40, 60) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    for name in ("a.png", "a.tif"):
        Image.fromarray(rgb).save(tmp_path / name, icc_profile=profile)
        proof_sheet(tmp_path / name, tmp_path / "a.pdf", dpi=DPI, overwrite=True)
        with opened(tmp_path / "a.pdf") as page:
            assert (embedded(page) == rgb).all()
        with pikepdf.open(tmp_path / "a.pdf") as pdf:
            space = pdf.pages[0].Resources.XObject.Print.ColorSpace
            assert (str(space[0]), space[1].read_bytes()) == ("/ICCBased", profile)


def test_caption_says_what_it_is(tmp_path: Path) -> None:
    recipe = "stages = []"
    pixels.write(tmp_path / "Zoë & 東京.png", noise(), recipe=recipe)
    sheet = proof_sheet(tmp_path / "Zoë & 東京.png", tmp_path / "a.pdf", dpi=DPI, bleed_mm=3)
    short = hashlib.sha256(recipe.encode()).hexdigest()[:10]
    assert sheet.caption == f"Zoë & 東京.png  410 × 260 px  254 dpi  3.50 × 2.00 cm  bleed 3.0 mm  recipe {short}"
    with opened(tmp_path / "a.pdf") as page:
        assert f"3.50 × 2.00 cm bleed 3.0 mm recipe {short}" in text(page)
        left, bottom, right, top = bounds(objects(page, pdfium.FPDF_PAGEOBJ_TEXT)[0])
        assert left >= 3.9 * MM
        assert right <= page.get_size()[0] - 3.9 * MM
        assert 0 < bottom < top < 5 * MM  # below the marks
    document = pypdfium2.PdfDocument(tmp_path / "a.pdf")
    assert document.get_metadata_value("Title") == "Zoë & 東京.png"
    document.close()
    pixels.write(tmp_path / "wide.jpg", torch.zeros(3, 40, 1500))
    proof_sheet(tmp_path / "wide.jpg", tmp_path / "b.pdf", dpi=DPI)
    with opened(tmp_path / "b.pdf") as page:
        assert text(page).split() == caption_of("wide.jpg", PrintLayout((40, 1500), 0, DPI), None).split()


@given(st.integers(10, 20000), st.integers(10, 20000), st.floats(30, 600), st.integers(0, 4))
def test_plan_keeps_exact_sizes(height: int, width: int, dpi: float, bleed_px: int) -> None:
    layout = PrintLayout((height, width), bleed_px, dpi)
    try:
        plan = plan_sheet(layout)
    except UpimagineError as error:
        assert "508 cm" in str(error)
        assert max(layout.full_px) / dpi * 2.54 > 505
        return
    assert (plan.trim.right - plan.trim.left) / 72 * 2.54 == pytest.approx(layout.trim_cm[1])
    assert (plan.trim.top - plan.trim.bottom) / 72 * 2.54 == pytest.approx(layout.trim_cm[0])
    assert (plan.trim.left - plan.bleed.left) / MM == pytest.approx(layout.bleed_mm, abs=1e-6)
    assert len(plan.marks) == 8
    for x, y, to_x, to_y in plan.marks:
        assert (x == to_x) != (y == to_y)
        assert x in (plan.trim.left, plan.trim.right) or y in (plan.trim.bottom, plan.trim.top)
        outside_x = max(x, to_x) < plan.bleed.left or min(x, to_x) > plan.bleed.right
        outside_y = max(y, to_y) < plan.bleed.bottom or min(y, to_y) > plan.bleed.top
        assert outside_x or outside_y
        assert min(x, y, to_x, to_y) > 0
        assert max(x, to_x) < plan.page.right
        assert max(y, to_y) < plan.page.top


def test_a_print_goes_through_to_its_sheet(tmp_path: Path) -> None:
    """The sheet of what a `PrintSize` asked for trims to just that size."""
    layout = PrintSize(5, 200, bleed_mm=2).layout(30, 40)
    pixels.write(tmp_path / "a.png", torch.zeros(3, *layout.full_px))
    sheet = proof_sheet(tmp_path / "a.png", tmp_path / "a.pdf", dpi=200, bleed_mm=2)
    assert sheet.layout == layout
    with opened(tmp_path / "a.pdf") as page:
        left, bottom, right, top = page.get_trimbox()
    assert (right - left) / MM == pytest.approx(50, abs=0.1)
    assert (top - bottom) / MM == pytest.approx(37.5, abs=0.1)


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.tif", noise())
    for name in ("a.pdf", "b.pdf"):
        proof_sheet(tmp_path / "a.tif", tmp_path / name, dpi=DPI)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_memory_does_not_grow_with_the_picture(tmp_path: Path) -> None:
    """Peak memory (the kernel's count) of a picture whose pixels are 200 MB in an uncompressed file."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process's peak this way")
    script = """
import sys
from pathlib import Path
from upimagine.printing import proof_sheet
def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
folder = Path(sys.argv[1])
peaks = []
for name in ("small", "large"):
    proof_sheet(folder / f"{name}.tif", folder / f"{name}.pdf", dpi=300)
    peaks.append(peak_mb())
print(peaks[1] - peaks[0])
"""
    for name, side in (("small", 1000), ("large", 8200)):
        pyvips.Image.black(side, side, bands=3).copy(interpretation="srgb").tiffsave(
            str(tmp_path / f"{name}.tif"), compression="none", tile=False
        )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 60


def test_what_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels.write(tmp_path / "a.png", noise())
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "there.pdf").write_text("precious")
    pixels.write(tmp_path / "long.tif", torch.zeros(3, 1, 65_501))
    for match, name, out, knobs in [
        ("damaged", "cut.png", "b.pdf", {}),
        ("is no JPEG", "text.png", "b.pdf", {}),
        ("no such file", "none.png", "b.pdf", {}),
        ("--overwrite", "a.png", "there.pdf", {}),
        ("no room", "a.png", "b.pdf", {"bleed_mm": 20}),
        ("dpi", "a.png", "b.pdf", {"dpi": 0}),
        ("508 cm", "a.png", "b.pdf", {"dpi": 1}),
        ("quality", "a.png", "b.pdf", {"jpeg_quality": 0}),
        ("JPEG ends", "long.tif", "b.pdf", {"jpeg_quality": 90, "dpi": 1000}),
    ]:
        with pytest.raises(UpimagineError, match=match) as caught:
            proof_sheet(tmp_path / name, tmp_path / out, **{"dpi": DPI, **knobs})
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, PictureError) == (name != "a.png")
    for module in ("pikepdf", "upimagine.printing.pdf"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UpimagineError, match=r"pip install 'upimagine\[print\]'"):
        proof_sheet(tmp_path / "a.png", tmp_path / "b.pdf", dpi=DPI)
    assert not (tmp_path / "b.pdf").exists()
    assert (tmp_path / "there.pdf").read_text() == "precious"
