"""What ExifTool, a reader of its own in another language, finds in our files. Skipped where it is not installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from upimagine import pixels
from upimagine.pixels.formats import Encoding

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")

RECIPE = 'title = "Früh am Morgen"\nseed = 5\n'
NOISE = torch.rand(4, 90, 130, generator=torch.Generator().manual_seed(2)) * 2 - 1


# It takes TIFF 6.0's baseline for the rule: deflate, LZW and tiles came after that.
BEYOND_BASELINE = {
    "Invalid value for IFD0 tag 0x0103 Compression",
    "Missing required TIFF IFD0 tag 0x0111 StripOffsets",
    "Missing required TIFF IFD0 tag 0x0116 RowsPerStrip",
    "Missing required TIFF IFD0 tag 0x0117 StripByteCounts",
}
# libvips begins the block of a WebP, in which it says the dpi, as it would a JPEG's.
EXPECTED = {"a.tif": BEYOND_BASELINE, "a.webp": {"[minor] Improper EXIF header"}}


def told(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked("-json", "-G0", "-all", str(path)))[0]
    return found


def complaints(path: Path) -> set[str]:
    lines = asked("-validate", "-warning", "-error", "-a", "-s3", str(path)).splitlines()
    return {line for line in lines if line != "OK" and not line[0].isdigit()}  # the first one counts them


def asked(*arguments: str) -> str:
    return subprocess.run(["exiftool", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("space", ["srgb", "adobe-rgb", "display-p3"])
@pytest.mark.parametrize(
    ("name", "bit_depth", "layout"),
    [
        ("a.png", 16, {}),
        ("a.png", 8, {}),
        ("a.jpg", 8, {}),
        ("a.webp", 8, {}),
        ("a.tif", 16, {}),
        ("a.tif", 8, {"tiled": True}),
        ("a.tif", 16, {"compression": "lzw"}),
        ("a.tif", 8, {"compression": "none"}),
    ],
)
def test_size_depth_profile_dpi_and_recipe(
    tmp_path: Path, name: str, bit_depth: int, layout: dict[str, Any], space: str
) -> None:
    path = tmp_path / name
    how = Encoding(space=space, **layout)  # type: ignore[arg-type]
    pixels.write(path, NOISE[:3], bit_depth=bit_depth, dpi=240, recipe=RECIPE, encoding=how)
    assert complaints(path) <= EXPECTED.get(name, set())
    found = told(path)
    assert (found["Composite:ImageSize"], found["XMP:Recipe"] if name != "a.png" else RECIPE) == ("130x90", RECIPE)
    description = {"srgb": "sRGB", "adobe-rgb": "Adobe RGB", "display-p3": "Display P3"}[space]
    assert description in found["ICC_Profile:ProfileDescription"]
    if name == "a.png":
        assert found["PNG:BitDepth"] == bit_depth
        assert found["PNG:PixelsPerUnitX"] == round(240 / 0.0254)
        assert found["PNG:Upimagine"] == RECIPE
    elif name != "a.webp":
        assert found["EXIF:XResolution"] == 240
    if name == "a.tif":
        assert found["EXIF:BitsPerSample"].split() == [str(bit_depth)] * 3
        assert found["EXIF:ImageDescription"] == RECIPE
