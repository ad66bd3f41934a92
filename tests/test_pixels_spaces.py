"""Files in Adobe RGB and Display P3, read by littlecms and compared with the arithmetic of the standards."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import Image, ImageCms

from upimagine import pixels
from upimagine.pixels.formats import Encoding, Space
from upimagine.pixels.spaces import profile

# Linear RGB to XYZ under D65, as printed: IEC 61966-2-1, Adobe RGB (1998) 4.3.5.3, and Apple's Display P3.
SRGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
ADOBE = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
P3 = np.array([[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]])
SPACES: list[Space] = ["adobe-rgb", "display-p3"]
# All corners of the cube, greys, and colours between them.
STEPS = torch.linspace(-1, 1, 6)
CUBE = torch.cartesian_prod(STEPS, STEPS, STEPS).T.reshape(3, 12, 18).contiguous()


def decode(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def by_the_standard(space: Space, picture: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [-1, 1], sRGB, to (H, W, 3) in [0, 1] in the space."""
    linear = decode((picture.permute(1, 2, 0).double().numpy() + 1) / 2)
    if space == "adobe-rgb":
        return (linear @ (np.linalg.inv(ADOBE) @ SRGB).T).clip(0, 1) ** (256 / 563)
    return encode(linear @ (np.linalg.inv(P3) @ SRGB).T)


@pytest.mark.parametrize("space", SPACES)
def test_sixteen_bit_samples_are_those_of_the_standard(tmp_path: Path, space: Space) -> None:
    pixels.write(tmp_path / "a.tif", CUBE, bit_depth=16, encoding=Encoding(space=space))
    found = tifffile.imread(tmp_path / "a.tif") / 65535
    # The printed matrices have four digits; near black a gamma makes much of the last.
    assert np.abs(found**2 - by_the_standard(space, CUBE) ** 2).max() < 4e-4
    assert np.abs(found - (CUBE.permute(1, 2, 0).numpy() + 1) / 2).max() > 0.1  # it does move colours
    assert (found[0, 0] == 0).all()
    assert (found[-1, -1] == 1).all()


def back_to_srgb(space: Space, samples: np.ndarray) -> np.ndarray:
    """What a file's samples mean by the standard: (H, W, 3) integers to (H, W, 3) levels of 255, sRGB."""
    unit = samples / np.iinfo(samples.dtype).max
    if space == "adobe-rgb":
        return 255 * encode((unit ** (563 / 256)) @ (np.linalg.inv(SRGB) @ ADOBE).T)
    return 255 * encode(decode(unit) @ (np.linalg.inv(SRGB) @ P3).T)


# Where a channel is near zero, the printed matrices' fourth digit, and 8 bits of another space, mean several levels.
INNER = ((CUBE.permute(1, 2, 0).numpy() + 1) * 127.5 > 40).all(-1)
FILES = [(".tif", 16), (".png", 16), (".png", 8), (".tif", 8)]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("suffix", "bit_depth"), FILES)
def test_littlecms_sees_the_colours(tmp_path: Path, space: Space, suffix: str, bit_depth: int) -> None:
    """Pillow's littlecms reads the file, at eight bits, with the profile that is in it."""
    path = tmp_path / f"a{suffix}"
    pixels.write(path, CUBE, bit_depth=bit_depth, encoding=Encoding(space=space))
    samples = pyvips.Image.new_from_file(str(path)).numpy()
    if bit_depth == 16:
        samples = (samples / 257).round().astype(np.uint8)
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(embedded_profile(path)))
    to_srgb = ImageCms.buildTransform(embedded, ImageCms.createProfile("sRGB"), "RGB", "RGB", renderingIntent=1)
    seen = ImageCms.applyTransform(Image.fromarray(samples), to_srgb)
    assert np.abs(np.asarray(seen) - back_to_srgb(space, samples))[INNER].max() < 1.1


def embedded_profile(path: Path) -> bytes:
    with Image.open(path) as opened:
        info = opened.info.get("icc_profile")
    return bytes(info) if info else bytes(pyvips.Image.new_from_file(str(path)).get("icc-profile-data"))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("suffix", "bit_depth"), FILES)
def test_reading_gives_the_original_back(tmp_path: Path, space: Space, suffix: str, bit_depth: int) -> None:
    path = tmp_path / f"a{suffix}"
    pixels.write(path, CUBE, bit_depth=bit_depth, encoding=Encoding(space=space))
    assert embedded_profile(path) == profile(space)
    read = (pixels.read(path).pixels.permute(1, 2, 0).numpy() + 1) * 127.5
    off = np.abs(read - (CUBE.permute(1, 2, 0).numpy() + 1) * 127.5)
    # One step of 8-bit Adobe RGB is up to two and a half of sRGB, and more near zero: no reader can do better there.
    allowed = {("adobe-rgb", 8): 2.5, ("display-p3", 8): 1.5}.get((space, bit_depth), 0.4)
    assert off[INNER].max() < allowed
    assert off.max() < (1.5 if bit_depth == 16 else 6)
    meant = back_to_srgb(space, pyvips.Image.new_from_file(str(path)).numpy())
    assert np.abs(read - meant)[INNER].max() < 0.6  # nothing is lost in reading


@pytest.mark.parametrize("space", SPACES)
def test_lossy_files_are_tagged_too(tmp_path: Path, space: Space) -> None:
    flat = CUBE[:, ::3, ::3].repeat_interleave(16, 1).repeat_interleave(16, 2)
    for suffix in (".jpg", ".webp"):
        pixels.write(tmp_path / f"a{suffix}", flat, encoding=Encoding(space=space, quality=100), recipe="r")
        with Image.open(tmp_path / f"a{suffix}") as opened:
            assert opened.info["icc_profile"] == profile(space)
        with Image.open(tmp_path / f"a{suffix}") as opened:
            wanted = by_the_standard(space, flat) * 255
            off = np.abs(np.asarray(opened)[8::16, 8::16] - wanted[8::16, 8::16])
        assert off.mean() < 1.5  # WebP halves the resolution of colours, hence the middles
        assert pixels.read_recipe(tmp_path / f"a{suffix}") == "r"


@pytest.mark.parametrize(
    ("space", "name", "colorants"),
    [
        # Adobe RGB (1998) Color Image Encoding, annex C; Apple's Display P3.icc.
        (
            "adobe-rgb",
            "Compatible with Adobe RGB (1998)",
            [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)],
        ),
        ("display-p3", "Display P3", [(0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)]),
    ],
)
def test_profiles_in_littlecms(space: Space, name: str, colorants: list[tuple[float, ...]]) -> None:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile(space))).profile
    assert opened.profile_description == name
    assert (opened.xcolor_space, opened.device_class, opened.version) == ("RGB ", "mntr", 2.1)
    found = [opened.red_colorant[0], opened.green_colorant[0], opened.blue_colorant[0]]
    assert np.array(found) == pytest.approx(np.array(colorants), abs=1e-4)
    # Equal channels must be neutral: the colorants add up to D50.
    assert np.sum(found, axis=0) == pytest.approx((0.9642, 1.0, 0.8249), abs=5e-5)
    assert opened.media_white_point[0] == pytest.approx((0.9505, 1.0, 1.0891), abs=3e-4)
    assert len(profile(space)) < 3000


def test_srgb_is_untouched(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.png", CUBE)
    pixels.write(tmp_path / "b.png", CUBE, encoding=Encoding(space="srgb"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("space", SPACES)
def test_a_gradient_never_passes_through_eight_bits(tmp_path: Path, space: Space) -> None:
    ramp = torch.linspace(-0.5, 0.5, 1500).expand(3, 4, -1)
    pixels.write(tmp_path / "a.tif", ramp, bit_depth=16, encoding=Encoding(space=space))
    assert len(np.unique(tifffile.imread(tmp_path / "a.tif")[0, :, 1])) == 1500


@pytest.mark.parametrize("space", ["srgb", *SPACES])
@pytest.mark.parametrize(("suffix", "bit_depth"), [(".png", 8), (".tif", 16)])
def test_strips_of_any_height_give_the_same_bytes(tmp_path: Path, space: Space, suffix: str, bit_depth: int) -> None:
    picture = torch.rand(4, 97, 131, generator=torch.Generator().manual_seed(2)) * 2.1 - 1.05
    how = Encoding(space=space, dither=True)
    alpha = (picture[3:] + 1) / 2
    files = []
    for heights in ([97], [1] * 97, [13, 50, 34], [96, 1]):
        path = tmp_path / f"a{suffix}"
        with pixels.Canvas(path, 97, 131, alpha=True, bit_depth=bit_depth, overwrite=True, encoding=how) as canvas:
            for rows in picture.split(heights, dim=1):
                canvas.write_rows(rows[:3], (rows[3:] + 1) / 2)
            canvas.commit()
        files.append(path.read_bytes())
    pixels.write(path, picture[:3], alpha=alpha, bit_depth=bit_depth, overwrite=True, encoding=how)
    assert {*files} == {path.read_bytes()}
