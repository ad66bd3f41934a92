"""Dithering: the tone stays, the bands go, black and white stay pure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from upimagine import pixels
from upimagine.pixels.formats import Encoding

DITHERED = Encoding(dither=True)


def eight_bit(folder: Path, levels: np.ndarray, how: Encoding = DITHERED) -> np.ndarray:
    """Write (H, W) levels in [0, 255] as grey PNG and give Pillow's (H, W, 3) samples."""
    plane = torch.from_numpy(levels.astype(np.float64) / 127.5 - 1).float()
    pixels.write(folder / "a.png", plane.expand(3, -1, -1), overwrite=True, encoding=how)
    with Image.open(folder / "a.png") as opened:
        return np.asarray(opened).astype(np.float64)


def test_a_slow_gradient_keeps_its_mean_and_shows_no_bands(tmp_path: Path) -> None:
    """Five levels over 1600 columns: undithered, each would be a band 320 columns wide."""
    levels = np.broadcast_to(np.linspace(100, 105, 1600), (1200, 1600))
    off = eight_bit(tmp_path, levels) - levels[..., None]
    local = off.reshape(12, 100, 16, 100, 3).mean((1, 3))  # over 100 x 100 pixels
    assert np.abs(local).max() < 0.05
    columns = off[..., 0].reshape(1200, 80, 20).mean((0, 2))  # narrow stripes of the whole height
    assert np.abs(columns).max() < 0.03
    # The power of the error does not tell where a level is hit: bands would show as quieter noise.
    power = off.reshape(1200, 80, 20, 3).var((0, 2, 3))
    assert power.max() / power.min() < 1.15
    assert power.mean() == pytest.approx(3 / 12, rel=0.03)  # triangular noise and rounding: 2/12 and 1/12
    plain = eight_bit(tmp_path, levels, Encoding()) - levels[..., None]
    assert np.abs(plain.reshape(1200, 80, 20, 3).mean((0, 2, 3))).max() > 0.4  # what the bands were


@pytest.mark.parametrize("level", [0.02, 0.25, 0.49, 0.51, 0.75, 1.0, 1.3, 127.0, 127.5, 253.8, 254.4, 254.6, 254.97])
def test_every_level_keeps_its_mean(tmp_path: Path, level: float) -> None:
    found = eight_bit(tmp_path, np.full((500, 600), level))
    assert found.mean() == pytest.approx(level, abs=0.005)
    assert found.max() - found.min() <= 3


def test_black_and_white_stay_pure(tmp_path: Path) -> None:
    for level in (0, 255):
        assert (eight_bit(tmp_path, np.full((200, 200), level)) == level).all()
    beyond = torch.full((3, 100, 100), 1.5)
    pixels.write(tmp_path / "b.png", beyond, encoding=DITHERED)
    assert (pixels.read(tmp_path / "b.png").pixels == 1).all()


def test_exact_levels_between_get_a_quarter_of_neighbours(tmp_path: Path) -> None:
    found = eight_bit(tmp_path, np.full((400, 400), 77.0))
    shares = [(found == level).mean() for level in (76, 77, 78)]
    assert shares == pytest.approx([0.125, 0.75, 0.125], abs=0.005)
    assert sum(shares) == 1


def test_no_pattern(tmp_path: Path) -> None:
    """The noise of a flat area is white: no line, column, period or neighbourhood stands out."""
    off = eight_bit(tmp_path, np.full((512, 512), 90.5)) - 90.5
    for channel in range(3):
        power = np.abs(np.fft.fft2(off[..., channel])) ** 2 / (512 * 512 * off[..., channel].var())
        power[0, 0] = 0
        # Of 2^17 independent exponential values the largest is about 12; a pattern makes one of hundreds.
        assert power.max() < 20
        blocks = power.reshape(8, 64, 8, 64).mean((1, 3))  # nor is any range of frequencies louder
        assert np.abs(blocks - 1).max() < 0.1
    channels = np.corrcoef(off.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.01
    assert np.abs(off.mean((1, 2))).max() < 0.08  # rows
    assert np.abs(off.mean((0, 2))).max() < 0.08  # columns


def test_the_same_place_gets_the_same_noise(tmp_path: Path) -> None:
    """Alpha beside the colours, or another width, changes nothing of what was there."""
    picture = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pixels.write(tmp_path / "a.png", picture, encoding=DITHERED)
    pixels.write(tmp_path / "b.png", picture, alpha=torch.full((1, 60, 80), 0.503), encoding=DITHERED)
    pixels.write(tmp_path / "c.png", picture[:, :, :50], encoding=DITHERED)
    one, two, three = (pixels.read(tmp_path / f"{name}.png") for name in "abc")
    assert one.pixels.equal(two.pixels)
    assert one.pixels[:, :, :50].equal(three.pixels)
    assert two.alpha is not None
    assert (two.alpha * 255).round().unique().numel() > 1
    assert two.alpha.mean().item() == pytest.approx(0.503, abs=1e-3)


def test_sixteen_bits_and_default_are_not_dithered(tmp_path: Path) -> None:
    picture = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for depth, how in ((16, DITHERED), (8, None)):
        pixels.write(tmp_path / "a.png", picture, bit_depth=depth, overwrite=True, encoding=how)
        top = (2**depth - 1) / 2
        assert ((pixels.read(tmp_path / "a.png").pixels - picture).abs().max() * top).item() <= 0.51


def test_dithering_reaches_a_jpeg(tmp_path: Path) -> None:
    """A flat half level comes out near its tone, where plain rounding misses by half a level."""
    flat = torch.full((3, 256, 256), 90.5 / 127.5 - 1)
    pixels.write(tmp_path / "a.jpg", flat, encoding=Encoding(dither=True, quality=100))
    with Image.open(tmp_path / "a.jpg") as opened:
        grey = np.asarray(opened).astype(float)
    assert grey.std() > 0.3
    assert grey.mean() == pytest.approx(90.5, abs=0.2)
