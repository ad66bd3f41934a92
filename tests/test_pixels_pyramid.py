"""Pyramids of tiles: what a viewer would find, and nothing where one did not come to be."""

from __future__ import annotations

import io
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError
from upimagine.pixels.formats import Encoding

HEIGHT, WIDTH = 700, 601
SMOOTH = torch.stack(
    [
        torch.linspace(-1, 1, WIDTH).expand(HEIGHT, -1),
        torch.linspace(1, -1, HEIGHT)[:, None].expand(-1, WIDTH),
        torch.zeros(HEIGHT, WIDTH),
    ]
)
RECIPE = '# Zoë, 東京\n[stage]\nname = "x"\r\n'


def assembled(dzi: Path, level: int) -> np.ndarray:
    """Do what a viewer does by the Deep Zoom rules: read the description, place each tile without its overlap."""
    space = "{http://schemas.microsoft.com/deepzoom/2008}"
    image = ElementTree.parse(dzi).getroot()
    size = image.find(f"{space}Size")
    assert image.tag == f"{space}Image"
    assert size is not None
    tile_px, overlap_px, kind = int(image.attrib["TileSize"]), int(image.attrib["Overlap"]), image.attrib["Format"]
    height, width = int(size.attrib["Height"]), int(size.attrib["Width"])
    last = math.ceil(math.log2(max(height, width)))
    shrink = 2 ** (last - level)
    height, width = math.ceil(height / shrink), math.ceil(width / shrink)
    whole = np.zeros((height, width, 3))
    folder = dzi.with_name(dzi.name.removesuffix(".dzi") + "_files") / str(level)
    found = {entry.name for entry in folder.iterdir()}
    for row in range(math.ceil(height / tile_px)):
        for column in range(math.ceil(width / tile_px)):
            name = f"{column}_{row}.{kind}"
            found.remove(name)
            with Image.open(folder / name) as opened:
                tile = np.asarray(opened.convert("RGB"))
            top, left = row * tile_px, column * tile_px
            above, before = overlap_px * (row > 0), overlap_px * (column > 0)
            rows, columns = min(tile_px, height - top), min(tile_px, width - left)
            after = overlap_px * (top + rows < height), overlap_px * (left + columns < width)
            assert tile.shape[:2] == (above + rows + after[0], before + columns + after[1])
            whole[top : top + rows, left : left + columns] = tile[above : above + rows, before : before + columns]
    assert not found
    return whole


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("tiles", ["jpeg", "png"])
def test_every_level_is_there_and_shows_the_picture(tmp_path: Path, tiles: str) -> None:
    dzi = tmp_path / "a.b.dzi"
    pixels.write(dzi, SMOOTH, recipe=RECIPE, dpi=300, encoding=Encoding(tiles=tiles))  # type: ignore[arg-type]
    wanted = ((SMOOTH + 1) * 127.5).permute(1, 2, 0).numpy()
    assert names(tmp_path) == ["a.b.dzi", "a.b_files"]
    assert names(tmp_path / "a.b_files") == sorted([*map(str, range(11)), "recipe.json"])
    assert np.abs(assembled(dzi, 10) - wanted).max() <= (0.51 if tiles == "png" else 4)
    half = assembled(dzi, 9)
    assert half.shape == (350, 301, 3)
    assert np.abs(half[:, :300] - wanted[:, :600].reshape(350, 2, 300, 2, 3).mean((1, 3))).max() < 4
    assert assembled(dzi, 0).shape == (1, 1, 3)
    quarter = assembled(dzi, 8)[:175, :150]
    assert np.abs(quarter - wanted[:, :600].reshape(175, 4, 150, 4, 3).mean((1, 3))).max() < 4
    with Image.open(tmp_path / "a.b_files" / "10" / f"0_0.{'jpg' if tiles == 'jpeg' else 'png'}") as tile:
        assert "icc_profile" not in tile.info
        assert "exif" not in tile.info
        if tiles == "jpeg":
            quality_90 = io.BytesIO()
            Image.new("RGB", (8, 8)).save(quality_90, "JPEG", quality=90)
            assert tile.quantization == Image.open(quality_90).quantization  # type: ignore[attr-defined]
            assert [layer[1:3] for layer in tile.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (254, 254), (256, 3), (255, 509), (512, 513)])
def test_sizes_at_the_edges(tmp_path: Path, height: int, width: int) -> None:
    picture = SMOOTH[:, :height, :width]
    pixels.write(tmp_path / "a.dzi", picture, encoding=Encoding(tiles="png"))
    last = math.ceil(math.log2(max(height, width)))
    wanted = ((picture + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(assembled(tmp_path / "a.dzi", last) - wanted).max() <= 0.51
    assert names(tmp_path / "a_files") == sorted(map(str, range(last + 1)))


def test_streamed_is_the_same(tmp_path: Path) -> None:
    how = Encoding(dither=True, space="display-p3")
    pixels.write(tmp_path / "whole.dzi", SMOOTH, encoding=how, recipe="a")
    with pixels.Canvas(tmp_path / "rows.dzi", HEIGHT, WIDTH, bit_depth=8, encoding=how) as canvas:
        for rows in SMOOTH.split(111, dim=1):
            canvas.write_rows(rows)
        assert names(tmp_path) == ["whole.dzi", "whole_files"]
        canvas.commit("a")
    assert names(tmp_path) == ["rows.dzi", "rows_files", "whole.dzi", "whole_files"]
    for path in (tmp_path / "whole_files").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "rows_files" / path.relative_to(tmp_path / "whole_files")).read_bytes()
    with Image.open(tmp_path / "rows_files" / "10" / "1_1.jpg") as tile:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(tile.info["icc_profile"]))
    assert ImageCms.getProfileDescription(profile).strip() == "Display P3"


def test_recipe_comes_back_and_the_picture_does_not(tmp_path: Path) -> None:
    for recipe in (RECIPE, None):
        pixels.write(tmp_path / "a.dzi", SMOOTH[:, :9, :9], recipe=recipe, overwrite=True)
        assert pixels.read_recipe(tmp_path / "a.dzi") == recipe
    for reader in (pixels.read, pixels.read_size):
        with pytest.raises(PictureError, match=r"a\.dzi: is a pyramid"):
            reader(tmp_path / "a.dzi")
    (tmp_path / "a_files" / "recipe.json").write_bytes(b"\xff")
    with pytest.raises(PictureError, match=r"recipe\.json: cannot be read"):
        pixels.read_recipe(tmp_path / "a.dzi")


def test_what_a_pyramid_cannot_hold(tmp_path: Path) -> None:
    assert pixels.best_bit_depth("a.dzi") == 8
    for match, extra in [("8 bits", {"bit_depth": 16}), ("transparency", {"alpha": torch.ones(1, HEIGHT, WIDTH)})]:
        with pytest.raises(PictureError, match=match):
            pixels.write(tmp_path / "a.dzi", SMOOTH, **extra)  # type: ignore[arg-type]
    assert names(tmp_path) == []


def test_overwrite_replaces_both(tmp_path: Path) -> None:
    dzi = tmp_path / "a.dzi"
    pixels.write(dzi, SMOOTH, recipe="old")
    for remaining in ("both", "folder"):
        if remaining == "folder":
            dzi.unlink()
        for attempt in (lambda: pixels.claim(dzi), lambda: pixels.write(dzi, SMOOTH[:, :20, :20])):
            with pytest.raises(UpimagineError, match="exists; add --overwrite"):
                attempt()
        assert pixels.claim(dzi, overwrite=True) == dzi
    pixels.write(dzi, SMOOTH[:, :20, :20], overwrite=True)
    assert names(tmp_path) == ["a.dzi", "a_files"]
    assert names(tmp_path / "a_files") == sorted(map(str, range(6)))
    assert assembled(dzi, 5).shape == (20, 20, 3)


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    """Browsers save "page.html" with a folder "page_files"."""
    (tmp_path / "page_files").mkdir()
    (tmp_path / "page_files" / "style.css").write_text("precious")
    for attempt in (pixels.claim, lambda path, overwrite: pixels.write(path, SMOOTH, overwrite=overwrite)):
        with pytest.raises(UpimagineError, match="other things than tiles"):
            attempt(tmp_path / "page.dzi", True)
    assert names(tmp_path) == ["page_files"]
    assert (tmp_path / "page_files" / "style.css").read_text() == "precious"


@pytest.mark.parametrize("limit_bytes", [0, 600, 3000])
def test_a_disk_that_refuses_leaves_the_old_pyramid(tmp_path: Path, limit_bytes: int) -> None:
    dzi = tmp_path / "a.dzi"
    pixels.write(dzi, SMOOTH, recipe="old")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    noise = torch.rand(3, 600, 600, generator=torch.Generator().manual_seed(1)) * 2 - 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
        with pytest.raises(UpimagineError, match=r"a\.dzi") as caught:
            pixels.write(dzi, noise, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    assert names(tmp_path) == ["a.dzi", "a_files"]


def test_full_disk(tmp_path: Path) -> None:
    """A real disk of 256 kB, in a namespace of its own so that no rights are needed."""
    unshare = ["unshare", "--map-root-user", "--mount", "--user"]
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o size=256k tmpfs '{tmp_path / 'disk'}'"
    if not shutil.which("unshare"):
        pytest.skip("no unshare on this system")
    if subprocess.run([*unshare, "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("this system lets no test mount a disk")
    script = (
        "import sys, torch\nfrom pathlib import Path\nfrom upimagine import pixels\n"
        "from upimagine.errors import UpimagineError\ndisk = Path(sys.argv[1])\n"
        "try:\n    pixels.write(disk / 'a.dzi', torch.rand(3, 500, 500) * 2 - 1)\n"
        "except UpimagineError as error:\n    print(error)\nprint([p.name for p in disk.iterdir()])\n"
    )
    done = subprocess.run(
        [*unshare, "sh", "-c", f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, script, str(tmp_path / "disk")],
        capture_output=True,
        text=True,
        check=True,
    )
    message, left, end = done.stdout.split("\n")
    assert message.startswith(f"{tmp_path / 'disk' / 'a.dzi'}: the disk is full; free some space")
    assert (left, end) == ("[]", "")
    assert done.stderr == ""


INTERRUPTED = """
import os, shutil, signal, sys, threading, torch
from pathlib import Path
from upimagine import pixels
path, number = Path(sys.argv[1]), int(sys.argv[2])
def strike():  # when the first tiles lie in the hidden folder
    while not (any(path.parent.glob(".*/picture_files/*/*_*.png")) or path.exists()):
        pass
    os.kill(os.getpid(), number)
struck_in_time = False
while not struck_in_time:  # a busy machine may let the strike come too late
    path.unlink(missing_ok=True)
    shutil.rmtree(path.with_name("a_files"), ignore_errors=True)
    with pixels.Canvas(path, 1900, 1900, bit_depth=8, encoding=pixels.Encoding(tiles="png")) as canvas:
        canvas.write_rows(torch.rand(3, 1900, 1900) * 2 - 1)
        striker, ended = threading.Thread(target=strike), False
        striker.start()
        try:
            canvas.commit()
            ended = True
            striker.join()
        except KeyboardInterrupt:
            struck_in_time = not ended
print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_there_is_no_dzi(tmp_path: Path, number: signal.Signals) -> None:
    started = time.monotonic()
    arguments = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "a.dzi"), str(int(number))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert time.monotonic() - started < 120
    if number == signal.SIGINT:
        assert (done.stdout, done.stderr) == ("interrupted\n", "")
        assert names(tmp_path) == []
    else:
        assert done.returncode == -signal.SIGKILL
        assert all(name.endswith(".upimagine-part") for name in names(tmp_path))
        assert not (tmp_path / "a_files").exists()
    # What a kill leaves is no hindrance, and goes.
    pixels.write(tmp_path / "a.dzi", SMOOTH)
    assert names(tmp_path) == ["a.dzi", "a_files"]
    assert assembled(tmp_path / "a.dzi", 10).shape == (HEIGHT, WIDTH, 3)


KILLED_AT_A_RENAME = """
import os, signal, sys, torch
from pathlib import Path
from upimagine import pixels
rename, left = Path.rename, int(sys.argv[2])
def counting(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)
Path.rename = counting
pixels.write(sys.argv[1], torch.zeros(3, 40, 40), recipe="new", overwrite=True)
"""


@pytest.mark.parametrize("done", range(4))
def test_killed_while_names_change_hands_the_old_one_or_the_new_one_is_there(tmp_path: Path, done: int) -> None:
    dzi = tmp_path / "a.dzi"
    pixels.write(dzi, SMOOTH, recipe="old")
    ended = subprocess.run([sys.executable, "-c", KILLED_AT_A_RENAME, str(dzi), str(done)], check=False)
    assert ended.returncode == -signal.SIGKILL
    with pytest.raises(UpimagineError, match="exists"):  # which looks after what was left
        pixels.claim(dzi)
    assert names(tmp_path) == ["a.dzi", "a_files"]
    recipe, size_px = ("old", (HEIGHT, WIDTH)) if done < 3 else ("new", (40, 40))
    assert pixels.read_recipe(dzi) == recipe
    assert assembled(dzi, 10 if done < 3 else 6).shape == (*size_px, 3)


def test_a_move_that_fails_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dzi = tmp_path / "a.dzi"
    pixels.write(dzi, SMOOTH, recipe="old")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    rename, renamed = Path.rename, []

    def failing(self: Path, target: Path) -> Path:
        renamed.append(Path(target).name)
        if self.name == "picture.dzi":
            raise OSError(5, os.strerror(5))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(UpimagineError, match="input/output error"):
        pixels.write(dzi, SMOOTH[:, :99, :99], overwrite=True)
    assert renamed[:4] == ["old", "old_files", "a_files", "a.dzi"]  # the folder before the .dzi
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    assert names(tmp_path) == ["a.dzi", "a_files"]


def test_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / "a[1] Zoë"
    pixels.write(folder / "東京 [x=2].dzi", SMOOTH[:, :300, :300], encoding=Encoding(tiles="png"))
    assert names(folder) == ["東京 [x=2].dzi", "東京 [x=2]_files"]
    assert assembled(folder / "東京 [x=2].dzi", 9).shape == (300, 300, 3)
