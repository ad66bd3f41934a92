"""Colours of tagged files, against the arithmetic of the standards."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import Image, ImageCms

from upimagine import pixels

# Columns R, G, B of the primaries in XYZ, adapted to D50 with Bradford, as ICC profiles hold them.
SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])
ADOBE = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7449]])
P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
COLOURS = np.array([[[200, 120, 100], [90, 140, 80], [60, 70, 160], [128, 128, 128], [255, 255, 255], [0, 0, 0]]])


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def matrix_profile(space: bytes, primaries: np.ndarray, gamma: float) -> bytes:
    """An ICC version 2 display profile (ICC.1:2001): one gamma, and primaries where there is colour."""

    def s15(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none\0", b"wtpt": b"XYZ \0\0\0\0" + s15(0.9642, 1, 0.8249)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for channel, column in zip(b"rgb", primaries.T, strict=True):
            tags[bytes([channel]) + b"XYZ"] = b"XYZ \0\0\0\0" + s15(*column)
            tags[bytes([channel]) + b"TRC"] = curve
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = struct.pack(">I", start + len(body))
    head = size + bytes(4) + b"\x02\x10\0\0mntr" + space + b"XYZ " + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    return (head + bytes(28) + s15(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + body


def to_unit(picture: pixels.Picture) -> np.ndarray:
    """(H, W, 3) in [0, 1]."""
    return (picture.pixels.permute(1, 2, 0).numpy() + 1) / 2


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_adobe_rgb_becomes_srgb(tmp_path: Path, bit_depth: int) -> None:
    profile = matrix_profile(b"RGB ", ADOBE, 563 / 256)
    if bit_depth == 8:
        Image.fromarray(COLOURS.astype(np.uint8)).save(tmp_path / "a.tif", icc_profile=profile)
    else:
        tifffile.imwrite(tmp_path / "a.tif", (COLOURS * 257).astype(np.uint16), photometric="rgb", iccprofile=profile)
    picture = pixels.read(tmp_path / "a.tif")
    expected = srgb_encode((COLOURS / 255) ** (563 / 256) @ (np.linalg.inv(SRGB) @ ADOBE).T)
    assert np.abs(to_unit(picture) - expected).max() < 0.7 / 255
    assert np.abs(expected - COLOURS / 255).max() > 10 / 255  # the profile does matter
    assert picture.bit_depth == bit_depth


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_display_p3_becomes_srgb(tmp_path: Path, suffix: str) -> None:
    profile = pyvips.Operation.call("profile_load", "p3")
    wide = COLOURS.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    extra = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(wide).save(tmp_path / f"a{suffix}", icc_profile=profile, **extra)
    expected = srgb_encode(srgb_decode(wide / 255) @ (np.linalg.inv(SRGB) @ P3).T)
    slack = 2 if suffix == ".jpg" else 1
    assert np.abs(to_unit(pixels.read(tmp_path / f"a{suffix}")) - expected).max() < slack / 255


def test_srgb_profiles_of_any_maker_leave_samples_exact(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    makers = [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        pyvips.Operation.call("profile_load", "srgb"),
    ]
    for profile in makers:
        Image.fromarray(samples).save(tmp_path / "a.png", icc_profile=profile)
        expected = torch.from_numpy(samples.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)
        torch.testing.assert_close(pixels.read(tmp_path / "a.png").pixels, expected, rtol=0, atol=1e-6)


def test_alpha_passes_a_profile_untouched(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    Image.fromarray(samples).save(tmp_path / "a.png", icc_profile=matrix_profile(b"RGB ", ADOBE, 2.2))
    alpha = pixels.read(tmp_path / "a.png").alpha
    assert alpha is not None
    assert (alpha[0] * 255).numpy() == pytest.approx(samples[..., 3], abs=1e-3)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_grey_profile(tmp_path: Path, bit_depth: int) -> None:
    levels = np.array([[0, 20, 60, 128, 200, 255]])
    linear = matrix_profile(b"GRAY", np.eye(3), 1.0)
    stored = levels.astype(np.uint8) if bit_depth == 8 else (levels * 257).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", iccprofile=linear)
    picture = pixels.read(tmp_path / "a.tif")
    assert np.abs(to_unit(picture)[..., 0] - srgb_encode(levels / 255)).max() < 1 / 255
    assert picture.pixels[0].equal(picture.pixels[1])
    assert picture.pixels[0].equal(picture.pixels[2])


def test_grey_picture_that_kept_an_rgb_profile(tmp_path: Path) -> None:
    levels = np.array([[0, 20, 60, 128, 200, 255]], np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.jpg", quality=100, icc_profile=matrix_profile(b"RGB ", ADOBE, 1.0))
    stored = np.asarray(Image.open(tmp_path / "a.jpg")) / 255
    unit = to_unit(pixels.read(tmp_path / "a.jpg"))
    assert np.abs(unit - srgb_encode(stored)[..., None]).max() < 1 / 255


def test_cmyk_with_and_without_a_profile(tmp_path: Path) -> None:
    # paper, cyan, magenta, yellow, all black
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [191, 173, 163, 230]]], np.uint8)
    inks = inks.repeat(16, 0).repeat(16, 1)
    picture = Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes())
    press = pyvips.Operation.call("profile_load", "cmyk")
    adobe = matrix_profile(b"RGB ", ADOBE, 2.2)
    for name, profile in {"none": None, "press": press, "nonsense": adobe}.items():
        extra = {"icc_profile": profile} if profile else {}
        picture.save(tmp_path / f"{name}.jpg", quality=100, **extra)
        picture.save(tmp_path / f"{name}.tif", **extra)
        for suffix in (".jpg", ".tif"):
            paper, cyan, magenta, yellow, black = to_unit(pixels.read(tmp_path / f"{name}{suffix}"))[8, 8::16]
            assert paper.min() > 0.97
            assert cyan[0] < 0.3
            assert cyan[2] > 0.6
            assert magenta[1] < 0.3
            assert magenta[0] > 0.8
            assert yellow[2] < 0.3
            assert yellow[1] > 0.85
            assert black.max() < 0.1
    without, tagged = (pixels.read(tmp_path / f"{name}.tif").pixels for name in ("none", "press"))
    assert without.equal(tagged)


@pytest.mark.parametrize(
    "profile",
    [
        matrix_profile(b"RGB ", ADOBE, 2.2)[:128].ljust(600, b"\0"),
        b"nonsense" * 40,
        matrix_profile(b"GRAY", ADOBE, 1.0),
    ],
    ids=["empty", "nonsense", "grey"],
)
def test_a_profile_that_cannot_apply_is_passed_over(tmp_path: Path, profile: bytes) -> None:
    Image.fromarray(COLOURS.astype(np.uint8)).save(tmp_path / "a.tif", icc_profile=profile)
    assert to_unit(pixels.read(tmp_path / "a.tif")) * 255 == pytest.approx(COLOURS, abs=1e-3)


def test_strong_colours_of_sixteen_bits_are_computed_not_looked_up(tmp_path: Path) -> None:
    """Pure green of Adobe RGB's inside has no red: littlecms' table for 16 bits gave it 14 of 255 levels."""
    strong = np.array([[[0, 153, 0], [0, 204, 51], [204, 204, 0], [0, 102, 255], [255, 0, 0], [255, 255, 255]]]) / 255
    adobe = (srgb_decode(strong) @ (np.linalg.inv(ADOBE) @ SRGB).T).clip(0, 1) ** (256 / 563)
    stored = (adobe * 65535).round().astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb", iccprofile=matrix_profile(b"RGB ", ADOBE, 563 / 256)
    )
    assert np.abs(to_unit(pixels.read(tmp_path / "a.tif")) - strong).max() < 1.5 / 255
