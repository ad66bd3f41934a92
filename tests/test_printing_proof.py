"""Soft proofs and gamut, against the arithmetic of the standards and against Little CMS through Pillow."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image, ImageCms
from skimage.color import deltaE_ciede2000

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError
from upimagine.printing import PaperProfile, measure_gamut, proof_file, read_profile, soft_proof

D50 = np.array([0.9642, 1.0, 0.8249])
SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])  # columns, in D50
# A printer of dull inks: primaries drawn towards grey, as columns of XYZ that sum to white.
DULL = 0.6 * SRGB + 0.4 * D50[:, None] / 3
CREAM = np.array([0.88, 0.90, 0.64])  # XYZ of a yellowish paper


def profile_bytes(
    space: bytes = b"RGB ",
    kind: bytes = b"prtr",
    primaries: np.ndarray = DULL,
    white: np.ndarray = D50,
    without: bytes = b"",
) -> bytes:
    """An ICC version 2 profile (ICC.1:2001) of gamma 2.2 and three primaries, or of gamma 2.2 in grey."""

    def s15(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none\0", b"wtpt": b"XYZ \0\0\0\0" + s15(*white)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for channel, column in zip(b"rgb", primaries.T, strict=True):
            tags[bytes([channel]) + b"XYZ"] = b"XYZ \0\0\0\0" + s15(*column)
            tags[bytes([channel]) + b"TRC"] = curve
    tags = {tag: content for tag, content in tags.items() if not without or not tag.endswith(without)}
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I", start + len(body)) + bytes(4) + b"\x02\x10\0\0" + kind + space + b"XYZ "
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + s15(*D50)
    return head.ljust(128, b"\0") + table + body


def press() -> bytes:
    """A real CMYK press, with tables both ways."""
    return bytes(pyvips.Operation.call("profile_load", "cmyk"))


def saved(folder: Path, content: bytes, name: str = "paper.icc") -> PaperProfile:
    (folder / name).write_bytes(content)
    return read_profile(folder / name)


def colours(count: int = 400) -> torch.Tensor:
    """(3, 1, count) in [-1, 1], of 8-bit steps: black, white, greys, primaries and many more."""
    ends = np.array([[0, 0, 0], [255, 255, 255], [128, 128, 128], [255, 0, 0], [0, 255, 0], [0, 0, 255], [20, 20, 20]])
    more = np.random.default_rng(0).integers(0, 256, (count - len(ends), 3))
    return torch.from_numpy(np.concatenate([ends, more]).T[:, None].astype(np.float32)) / 127.5 - 1


def unit(picture: torch.Tensor) -> np.ndarray:
    """(3, 1, n) in [-1, 1] to (n, 3) in [0, 1]."""
    return (picture[:, 0].T.double().numpy() + 1) / 2


def decode(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def to_lab(xyz: np.ndarray) -> np.ndarray:
    ratio = xyz / D50
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def on_dull_paper(picture: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """XYZ (n, 3) before and after the dull printer, which clips what it has no ink for."""
    before = decode(unit(picture)) @ SRGB.T
    return before, (before @ np.linalg.inv(DULL).T).clip(0, 1) @ DULL.T


def test_relative_proof_by_arithmetic(tmp_path: Path) -> None:
    proof = soft_proof(colours(), saved(tmp_path, profile_bytes()))
    _, after = on_dull_paper(colours())
    expected = encode(after @ np.linalg.inv(SRGB).T)
    assert np.abs(unit(proof) - expected).max() < 1.5 / 255
    assert np.abs(unit(colours()) - expected).max() > 40 / 255  # the paper does matter


def test_absolute_view_shows_the_papers_white(tmp_path: Path) -> None:
    profile = saved(tmp_path, profile_bytes(white=CREAM))
    _, after = on_dull_paper(colours())
    expected = encode((after * CREAM / D50) @ np.linalg.inv(SRGB).T)
    assert np.abs(unit(soft_proof(colours(), profile, view="absolute")) - expected).max() < 1.5 / 255
    white = unit(soft_proof(colours(), profile, view="absolute"))[1]
    assert white[0] > white[2] + 0.08  # cream
    assert unit(soft_proof(colours(), profile))[1] == pytest.approx([1, 1, 1], abs=1 / 255)


@pytest.mark.parametrize("view", ["relative", "absolute"])
@pytest.mark.parametrize("rendering", ["relative", "perceptual"])
@pytest.mark.parametrize("compensated", [False, True])
def test_as_little_cms_proofs_a_press(tmp_path: Path, view: str, rendering: str, compensated: bool) -> None:
    intents = {
        "perceptual": ImageCms.Intent.PERCEPTUAL,
        "relative": ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "absolute": ImageCms.Intent.ABSOLUTE_COLORIMETRIC,
    }
    flags = ImageCms.Flags.SOFTPROOFING | ImageCms.Flags.NOOPTIMIZE
    if compensated:
        flags |= ImageCms.Flags.BLACKPOINTCOMPENSATION
    screen = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    transform = ImageCms.buildProofTransform(
        screen,
        screen,
        ImageCms.ImageCmsProfile(io.BytesIO(press())),
        "RGB",
        "RGB",
        intents[rendering],
        intents[view],
        flags,
    )
    eight = (unit(colours())[None] * 255).round().astype(np.uint8)
    expected = np.asarray(ImageCms.applyTransform(Image.fromarray(eight), transform))[0] / 255
    proof = soft_proof(
        colours(),
        saved(tmp_path, press()),
        view=view,  # type: ignore[arg-type]
        rendering=rendering,  # type: ignore[arg-type]
        black_point_compensation=compensated,
    )
    off = np.abs(unit(proof) - expected)
    assert off.mean() < 0.4 / 255
    assert off.max() < 2.5 / 255


def test_black_point_compensation_keeps_shadows_apart(tmp_path: Path) -> None:
    profile = saved(tmp_path, press())
    shadows = torch.linspace(-1, -0.8, 9).expand(3, 1, 9).contiguous()
    steps = {
        on: np.diff(unit(soft_proof(shadows, profile, black_point_compensation=on)).mean(1)) for on in (True, False)
    }
    assert steps[True][0] > 0.001
    assert steps[False][0] < 0.0005


def test_gamut_by_arithmetic(tmp_path: Path) -> None:
    gamut = measure_gamut(colours(), saved(tmp_path, profile_bytes()))
    before, after = on_dull_paper(colours())
    difference = deltaE_ciede2000(to_lab(before), to_lab(after))
    sure = np.abs(difference - 2) > 0.3
    assert (gamut.outside[0].numpy() == (difference > 2))[sure].all()
    assert gamut.share == pytest.approx((difference > 2).mean(), abs=0.02)
    assert 0.3 < gamut.share < 1
    assert gamut.worst == pytest.approx(difference.max(), rel=0.05)
    assert gamut.mask().shape == (3, 1, 400)
    assert gamut.mask()[0].gt(0).equal(gamut.outside)


def test_a_wide_paper_holds_everything(tmp_path: Path) -> None:
    gamut = measure_gamut(colours(), saved(tmp_path, profile_bytes(primaries=SRGB)))
    assert gamut.share == 0
    assert gamut.worst < 0.5
    assert measure_gamut(colours(), saved(tmp_path, profile_bytes()), delta_e=1000).share == 0


def test_a_press_holds_what_it_printed(tmp_path: Path) -> None:
    """Twice through the same paper loses little: the proof of a proof is in gamut, saturated colours are not."""
    profile = saved(tmp_path, press())
    proof = soft_proof(colours(), profile, black_point_compensation=False)
    assert measure_gamut(colours(), profile).share > 2 * measure_gamut(proof, profile).share
    assert measure_gamut(colours(), profile).outside[0, [3, 4, 5]].all()
    assert not measure_gamut(colours(), profile).outside[0, 1]  # white


def test_grey_papers(tmp_path: Path) -> None:
    proof = soft_proof(colours(), saved(tmp_path, profile_bytes(b"GRAY")))
    assert (proof.amax(0) - proof.amin(0)).max() < 0.02
    assert unit(proof)[2] == pytest.approx([128 / 255] * 3, abs=2 / 255)


def test_names_that_libvips_would_read_otherwise(tmp_path: Path) -> None:
    for name in ("cmyk", "a[1].icc", "srgb"):
        assert measure_gamut(colours(), saved(tmp_path, profile_bytes(), name)).share > 0.3


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no ICC profile"),
        (b"nonsense" * 100, "no ICC profile"),
        (profile_bytes()[:200], "cut short"),
        (press()[:5000] + bytes(len(press()) - 5000), "damaged"),
        (profile_bytes(kind=b"scnr"), "camera or scanner"),
        (profile_bytes(kind=b"link"), "device link"),
        (profile_bytes(b"Lab "), "'Lab' colours"),
        (profile_bytes(b"6CLR"), "'6CLR' colours"),
        (profile_bytes(without=b"TRC"), "only takes colours in"),
        (profile_bytes(without=b"XYZ"), "damaged"),
    ],
)
def test_a_profile_that_will_not_do_is_one_line(tmp_path: Path, content: bytes, match: str) -> None:
    with pytest.raises(PictureError, match=match) as caught:
        saved(tmp_path, content)
    assert str(tmp_path / "paper.icc") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_profile_and_words_of_no_meaning(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        read_profile(tmp_path / "none.icc")
    with pytest.raises(PictureError, match="folder"):
        read_profile(tmp_path)
    profile = saved(tmp_path, profile_bytes())
    with pytest.raises(UpimagineError, match="view"):
        soft_proof(colours(), profile, view="saturation")  # type: ignore[arg-type]
    with pytest.raises(UpimagineError, match="rendering"):
        soft_proof(colours(), profile, rendering="absolute")  # type: ignore[arg-type]
    for delta_e in (0.0, float("nan")):
        with pytest.raises(UpimagineError, match="difference"):
            measure_gamut(colours(), profile, delta_e=delta_e)
    with pytest.raises(ValueError, match="H, W"):
        soft_proof(colours()[None], profile)
    with pytest.raises(PictureError, match="NaN"):
        soft_proof(colours() * torch.nan, profile)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_the_proof_of_a_file_is_that_of_its_picture(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "paper.icc").write_bytes(profile_bytes())
    profile = read_profile(tmp_path / "paper.icc")
    source, out = tmp_path / f"a{suffix}", tmp_path / "a-proof.tif"
    depth = pixels.best_bit_depth(source)
    pixels.write(source, torch.rand(3, 600, 40) * 2 - 1, bit_depth=depth, encoding=pixels.Encoding(space="adobe-rgb"))
    proof_file(source, out, profile, dpi=240)
    found = pixels.read(out)
    assert (found.pixels - soft_proof(pixels.read(source).pixels, profile)).abs().max() < 4e-5
    assert (found.bit_depth, found.dpi) == (16, 240)
    with pytest.raises(UpimagineError, match="exists"):
        proof_file(source, out, profile)


def test_transparent_places_are_paper(tmp_path: Path) -> None:
    (tmp_path / "paper.icc").write_bytes(profile_bytes())
    pixels.write(tmp_path / "a.png", -torch.ones(3, 5, 6), alpha=torch.zeros(1, 5, 6))
    proof_file(tmp_path / "a.png", tmp_path / "proof.png", read_profile(tmp_path / "paper.icc"))
    assert pixels.read(tmp_path / "proof.png").pixels.min() > 0.99
