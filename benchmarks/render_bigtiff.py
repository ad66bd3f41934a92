"""Files beyond 4 GB, written strip by strip, and what readers of other hands find in them.

libvips opens them at spots all over; tifffile, ExifTool and Pillow tell size, depth, profile, resolution and
recipe.
"""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import tifffile
import torch
from PIL import ExifTags, Image
from torch import Tensor

from upimagine import pixels
from upimagine.pixels.formats import Compression
from upimagine.pixels.spaces import profile

_WIDTH, _STRIP = 32_768, 64
_HEIGHT = {8: 45_056, 16: 22_528}  # of bits a channel: 4.43 GB of samples either way
_SPOT, _SPOTS = 48, 24
_DPI, _RECIPE, _MAKER = 240, 'title = "Früh am Morgen"', "MakerCo"
_FILES: tuple[tuple[int, Compression, bool], ...] = (
    (16, "none", False),
    (16, "none", True),
    (16, "lzw", True),
    (16, "deflate", False),
    (16, "deflate", True),
    (8, "deflate", False),
)


def _rows(noise: Tensor, number: int) -> Tensor:
    """Strip `number` of the picture: the same noise, moved along, so that it need not be kept to compare with."""
    return torch.roll(noise, number * 37, dims=2)


def _expected(noise: Tensor, top: int, left: int, bits: int) -> np.ndarray[Any, Any]:
    strips = torch.cat([_rows(noise, top // _STRIP + at) for at in range(2)], dim=1)
    spot = strips[:, top % _STRIP : top % _STRIP + _SPOT, left : left + _SPOT]
    return ((spot + 1) * (2**bits - 1) / 2).round().permute(1, 2, 0).numpy().astype(np.int64)


def _write(path: Path, noise: Tensor, bits: int, encoding: pixels.Encoding) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = _MAKER
    canvas = pixels.Canvas(
        path, _HEIGHT[bits], _WIDTH, bit_depth=bits, dpi=_DPI, exif=exif.tobytes(), encoding=encoding
    )
    with canvas:
        for number in range(_HEIGHT[bits] // _STRIP):
            canvas.write_rows(_rows(noise, number))
        canvas.commit(_RECIPE)


def _worst_spot(path: Path, noise: Tensor, bits: int, chance: random.Random) -> int:
    """Largest difference, in levels, at both corners and at spots all over, opened by libvips."""
    height = _HEIGHT[bits]
    image = pyvips.Image.new_from_file(str(path), access="random")
    places = [(height - _SPOT, _WIDTH - _SPOT), (0, 0)]
    places += [(chance.randrange(height - _SPOT), chance.randrange(_WIDTH - _SPOT)) for _ in range(_SPOTS)]
    worst = 0
    for top, left in places:
        seen = image.crop(left, top, _SPOT, _SPOT).numpy().astype(np.int64)
        worst = max(worst, int(np.abs(seen - _expected(noise, top, left, bits)).max()))
    return worst


def _told(path: Path, bits: int) -> dict[str, dict[str, object]]:
    """What each reader says of the file."""
    image = pyvips.Image.new_from_file(str(path))
    found: dict[str, dict[str, object]] = {
        "libvips": {
            "size": (image.width, image.height),
            "bits": {"uchar": 8, "ushort": 16}[image.format],
            "profile": bytes(image.get("icc-profile-data")),
            "dpi": round(image.xres * 25.4, 3),
            "recipe": image.get("image-description"),
        }
    }
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff, f"{path} is no BigTIFF"
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        pixels_, inches = page.tags["XResolution"].value
        found["tifffile"] = {
            "size": (page.imagewidth, page.imagelength),
            "bits": page.bitspersample,
            "profile": page.iccprofile,
            "dpi": pixels_ / inches,
            "recipe": page.description,
            "maker": page.tags["Make"].value,
        }
    if shutil.which("exiftool"):
        found["ExifTool"] = _exiftool(path)
    if bits == 8:  # Pillow has no RGB of 16 bits
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(path) as opened:
            found["Pillow"] = {
                "size": opened.size,
                "profile": opened.info["icc_profile"],
                "dpi": float(opened.info["dpi"][0]),
                "maker": opened.getexif()[ExifTags.Base.Make],
            }
    return found


def _exiftool(path: Path) -> dict[str, object]:
    def ask(name: str) -> bytes:
        command = ["exiftool", "-api", "LargeFileSupport=1", "-b", f"-{name}", str(path)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return {
        "size": (int(ask("IFD0:ImageWidth")), int(ask("IFD0:ImageHeight"))),
        "bits": int(ask("IFD0:BitsPerSample").split()[0]),
        "profile": ask("ICC_Profile"),
        "dpi": float(ask("IFD0:XResolution")),
        "recipe": ask("XMP:Recipe").decode(),
        "maker": ask("IFD0:Make").decode(),
    }


def bigtiff(folder: Path) -> None:
    noise = torch.rand(3, _STRIP, _WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    chance = random.Random(0)
    for bits, compression, tiled in _FILES:
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            path = Path(inside) / "large.tif"
            began = time.perf_counter()
            _write(path, noise, bits, pixels.Encoding(compression=compression, tiled=tiled))
            seconds = time.perf_counter() - began
            worst = _worst_spot(path, noise, bits, chance)
            wanted = {"size": (_WIDTH, _HEIGHT[bits]), "bits": bits, "profile": profile("srgb"), "dpi": _DPI,
                      "recipe": _RECIPE, "maker": _MAKER}  # fmt: skip
            found = _told(path, bits)
            wrong = [f"{who}: {what}" for who, said in found.items() for what in said if said[what] != wanted[what]]
            print(
                f"bigtiff: {bits} bits, {compression}, {'tiles' if tiled else 'strips'}: "
                f"{path.stat().st_size / 1e9:.2f} GB in {seconds:.0f} s; {_SPOTS + 2} spots: largest difference "
                f"{worst} of {2**bits - 1}; {', '.join(found)}: {', '.join(wrong) or 'all agree'}; peak "
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB",
                flush=True,
            )
