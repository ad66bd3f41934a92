"""Pictures passed through: pyramids and small views equal what the whole gives, at any size, in little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_pixels_pyramid import SMOOTH, assembled

from upimagine import pixels
from upimagine.errors import PictureError


def tiles_of(dzi: Path) -> dict[str, bytes]:
    folder = dzi.with_name(f"{dzi.stem}_files")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


@pytest.mark.parametrize(("suffix", "bit_depth"), [(".png", 8), (".jpg", 8), (".tif", 16)])
def test_a_pyramid_is_what_the_whole_picture_gives(tmp_path: Path, suffix: str, bit_depth: int) -> None:
    source = tmp_path / f"a{suffix}"
    pixels.write(source, SMOOTH, bit_depth=bit_depth)
    pixels.write(tmp_path / "whole.dzi", pixels.read(source).pixels, quality=92)
    assert pixels.deep_zoom(source, tmp_path / "passed.dzi", quality=92) == SMOOTH.shape[1:]
    assert tiles_of(tmp_path / "passed.dzi") == tiles_of(tmp_path / "whole.dzi")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [source.name, "passed.dzi", "passed_files", "whole.dzi", "whole_files"]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_stand_upright(tmp_path: Path, orientation: int) -> None:
    stored = Image.fromarray(((SMOOTH[:, :300, :200].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy())
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    wanted = pixels.read(tmp_path / "a.jpg").pixels
    assert pixels.deep_zoom(tmp_path / "a.jpg", tmp_path / "a.dzi") == wanted.shape[1:]
    seen = torch.from_numpy(assembled(tmp_path / "a.dzi", 9)).permute(2, 0, 1)
    assert (seen - (wanted + 1) * 127.5).abs().max() < 8  # JPEG twice
    small = pixels.read_small(tmp_path / "a.jpg", 75).double()
    assert small.shape == (3, *(side // 4 for side in wanted.shape[1:]))
    means = torch.nn.functional.avg_pool2d((wanted + 1) * 127.5, 4).double()
    assert (small - means).abs().max() < 4


def test_small_pictures_and_slivers_stay(tmp_path: Path) -> None:
    pixels.write(tmp_path / "a.png", SMOOTH[:, :50, :40])
    read = pixels.read_small(tmp_path / "a.png", 64)
    assert torch.equal(read, ((SMOOTH[:, :50, :40] + 1) * 127.5).round().byte())
    pixels.write(tmp_path / "sliver.png", torch.zeros(3, 1, 900))
    assert pixels.read_small(tmp_path / "sliver.png", 64).shape == (3, 1, 64)


def test_what_claims_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels.write(tmp_path / "a.png", SMOOTH)
    monkeypatch.setattr("upimagine.pixels.passing.MOST_PIXELS", 1000)
    for call in (
        lambda: pixels.read_small(tmp_path / "a.png", 9),
        lambda: pixels.deep_zoom(tmp_path / "a.png", tmp_path / "b.dzi"),
    ):
        with pytest.raises(PictureError, match="601 x 700 pixels, more than 1000"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_large_print_passes_in_little_memory(tmp_path: Path) -> None:
    """120 megapixels: 360 MB as bytes, 1.4 GB as they are computed with."""
    script = """
import sys
from pathlib import Path
from upimagine import pixels
def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
folder = Path(sys.argv[1])
pixels.read_small(folder / "small.tif", 256)
pixels.deep_zoom(folder / "small.tif", folder / "small.dzi")
before = peak_mb()
small = pixels.read_small(folder / "large.tif", 256)
print(tuple(small.shape), pixels.deep_zoom(folder / "large.tif", folder / "a.dzi"))
print(peak_mb() - before)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process's peak this way")
    row = np.tile(np.arange(8000, dtype=np.uint8)[None, :, None], (1, 1, 3))
    for name, height in (("small", 300), ("large", 15_000)):
        Image.fromarray(np.broadcast_to(row, (height, 8000, 3)).copy()).save(
            tmp_path / f"{name}.tif", compression="tiff_deflate"
        )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    said, more_mb = done.stdout.splitlines()
    assert said == "(3, 256, 137) (15000, 8000)"
    assert float(more_mb) < 120
