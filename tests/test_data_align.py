"""Aligned faces: the square is CelebA-HQ's, the cut is exact, and a folder of faces goes on where it was stopped."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from planted import Rgb8, sound

from upimagine.cli import main
from upimagine.data.align import cut_square, face_square, in_square, side_px
from upimagine.data.catalog import Catalog
from upimagine.data.cutting import TABLE, cut_faces
from upimagine.data.landmarks import faces_of
from upimagine.data.scan import scan
from upimagine.data.thresholds import set_threshold
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_faces


def some_points(number: int) -> np.ndarray:
    return np.random.default_rng(number).uniform(20, 200, (68, 2)).astype(np.float32)


@pytest.mark.parametrize("number", range(5))
def test_the_square_is_the_one_of_celeba_hq(number: int) -> None:
    points = some_points(number)
    x_y = points[:, ::-1].astype(np.float64)
    # The formulas of the paper's appendix C, in their own words: e, m, E, M, x, y, c.
    left, right = x_y[36:42].mean(0), x_y[42:48].mean(0)
    eyes, mouth = (left + right) / 2, (x_y[48] + x_y[54]) / 2
    between, down = right - left, mouth - eyes
    x = between - np.flipud(down) * [-1, 1]
    x = x / np.hypot(*x) * max(np.hypot(*between) * 2.0, np.hypot(*down) * 1.8)
    y, c = np.flipud(x) * [-1, 1], eyes + down * 0.1
    expected = np.stack([c - x - y, c + x - y, c - x + y])[:, ::-1]
    square = face_square(points)
    np.testing.assert_allclose(square, expected, atol=1e-9)
    assert side_px(square) == pytest.approx(2 * np.hypot(*x))


@pytest.mark.parametrize("degrees", [0, 30, -75, 180])
def test_eyes_come_to_lie_level_and_the_mouth_below_them(degrees: float) -> None:
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48], points[48], points[54] = (100, 80), (100, 120), (140, 88), (140, 112)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    turned = points @ turn * 3 + 500
    placed = in_square(turned, face_square(turned), 100)
    # Half side: 2 eye distances, 80 of the 40 between the eyes; centre 4 below the eyes.
    np.testing.assert_allclose(placed[36], (50 - 2.5, 50 - 12.5), atol=1e-3)
    np.testing.assert_allclose(placed[42], (50 - 2.5, 50 + 12.5), atol=1e-3)
    np.testing.assert_allclose((placed[48] + placed[54]) / 2, (50 + 22.5, 50), atol=1e-3)


def test_an_upright_square_is_cut_to_the_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    square = np.array([[10, 20], [10, 52], [42, 20]], np.float64)
    assert (cut_square(picture, square, 32) == picture[10:42, 20:52]).all()
    quarter = np.array([[42, 20], [10, 20], [42, 52]], np.float64)  # upper left, upper right, lower left
    assert (cut_square(picture, quarter, 32) == np.rot90(picture[10:42, 20:52], -1)).all()


def test_a_reduced_square_is_the_mean_over_areas() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    square = np.array([[0, 0], [0, 512], [512, 0]], np.float64)
    means = picture.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(cut_square(picture, square, 64) - means).max() <= 1


def test_beyond_the_border_stands_the_mirror_image_which_fades_to_the_median() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    square = np.array([[-100, -20], [-100, 180], [100, -20]], np.float64)
    cut = cut_square(picture, square, 200)
    assert (cut[100:, 20:120] == picture).all(), "the picture itself is as it was"
    near, mirrored = cut[99, 20:120].astype(float), picture[0].astype(float)
    assert np.abs(near - mirrored).mean() < 12, "at the border nothing jumps"
    far = np.median(picture, axis=(0, 1))
    assert np.abs(cut[:30] - far).max() <= 1, "the fade is over after three tenths of the side"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two single portraits, and one of three people."""
    (tmp_path / "in").mkdir()
    portraits = sound()

    def write(name: str, picture: Rgb8) -> None:
        cv2.imwrite(str(tmp_path / "in" / name), picture[..., ::-1])

    write("a.png", portraits[0])
    write("b.png", portraits[1])
    write("group.png", np.concatenate([portraits[2], portraits[3], portraits[4]], axis=1))
    return tmp_path / "in"


@pytest.fixture
def catalog(pictures: Path, tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path / "catalog.db", create=True)
    scan(catalog, [pictures], find_faces=find_faces, threads=1)
    return catalog


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / TABLE).read_text().splitlines()[1:]]


def test_landmarks_are_kept_in_pixels_of_the_picture(catalog: Catalog) -> None:
    """The finder looked at 512 px; a group three portraits wide, at 576."""
    counts = {}
    for path, sha256 in catalog.connection.execute("SELECT path, sha256 FROM places JOIN pictures ON picture = id"):
        faces = faces_of(catalog.connection, sha256)
        counts[Path(path).name] = len(faces)
        for number, face in enumerate(faces):
            third = int(np.mean(face.points68[:, 1]) // 192)
            assert 0 <= third < 3 and (face.points68[36:48, 0] < face.points68[48:60, 0].mean()).all(), number
            y0, x0, y1, x1 = face.box
            assert 0 < y1 - y0 < 192 and 0 < x1 - x0 < 192
    assert counts == {"a.png": 1, "b.png": 1, "group.png": 3}


def test_every_face_becomes_a_picture_with_its_landmarks(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    cut = cut_faces(catalog, out, 128, "all")
    assert (cut.new, cut.kept, cut.small, cut.unsure, cut.troubles) == (5, 0, 0, 0, [])
    found = rows(out)
    assert {row["file"] for row in found} == {path.name for path in out.glob("*.png")}
    for row in found:
        picture = cv2.imread(str(out / str(row["file"])))
        assert picture.shape == (128, 128, 3)
        points = np.array(row["points68"])
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        assert abs(left[0] - right[0]) < 5 and right[1] - left[1] > 20, "eyes are level"
        assert np.hypot(*((left + right) / 2 - (points[48] + points[54]) / 2)) > 20


def test_a_second_call_makes_nothing_anew_and_what_was_taken_out_stays_out(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    cut_faces(catalog, out, 96, "all")
    first, *others = sorted(out.glob("*.png"))
    first.unlink()
    times = {path: path.stat().st_mtime_ns for path in others}
    again = cut_faces(catalog, out, 96, "all")
    assert (again.new, again.kept) == (0, 5)
    assert not first.exists() and {path: path.stat().st_mtime_ns for path in others} == times
    with pytest.raises(UpimagineError, match="holds faces of 96 px"):
        cut_faces(catalog, out, 64)
    with pytest.raises(UpimagineError, match="something else"):
        cut_faces(catalog, tmp_path / "in", 64)


def test_clean_means_the_thresholds_of_the_catalog_face_by_face(catalog: Catalog, tmp_path: Path) -> None:
    assert cut_faces(catalog, tmp_path / "clean", 96).new == 5, "a crowd is no fault"
    set_threshold(catalog, "small", 192)  # a and b and group
    assert cut_faces(catalog, tmp_path / "none", 96).new == 0
    set_threshold(catalog, "small", None)
    clear = sorted(row[0] for row in catalog.connection.execute("SELECT features FROM faces"))
    set_threshold(catalog, "hidden", (clear[2] + clear[3]) / 2)
    cut = cut_faces(catalog, tmp_path / "clear", 96)
    assert (cut.new, cut.unsure) == (2, 3), "faces are judged one by one"
    set_threshold(catalog, "hidden", None)
    assert cut_faces(catalog, tmp_path / "large", 500).small == 5


def test_a_picture_that_changed_is_told_and_the_others_are_cut(
    pictures: Path, catalog: Catalog, tmp_path: Path
) -> None:
    shutil.copyfile(pictures / "b.png", pictures / "a.png")
    (pictures / "group.png").unlink()
    cut = cut_faces(catalog, tmp_path / "faces", 96, "all")
    assert cut.new == 1 and len(cut.troubles) == 2
    assert any("a.png" in line and "scan again" in line for line in cut.troubles)


SCRIPT = """
import sys
from pathlib import Path
from upimagine.data import cutting
from upimagine.data.catalog import Catalog
put = cutting._put
def told(path, content):
    put(path, content)
    print(path.name, flush=True)
cutting._put = told
with Catalog(Path(sys.argv[1])) as catalog:
    cutting.cut_faces(catalog, Path(sys.argv[2]), 96, "all", threads=1)
"""


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_cutting_goes_on_to_the_same_folder(catalog: Catalog, tmp_path: Path, after: int) -> None:
    out, whole = tmp_path / "faces", tmp_path / "whole"
    cut_faces(catalog, whole, 96, "all", threads=1)
    command = [sys.executable, "-c", SCRIPT, str(catalog.path), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with (out / TABLE).open("a") as table:
        table.write('{"file": "cut sho')  # as a kill in the middle of a line leaves it
    cut_faces(catalog, out, 96, "all", threads=1)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


def test_the_command_cuts_and_tells(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["prepare", str(pictures), "--into", str(tmp_path / "c.db"), "--threads", "1"]
    assert main([*where, "--aligned", str(tmp_path / "faces"), "--aligned-px", "96"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 faces cut out"
    assert main([*where, "--aligned", str(tmp_path / "faces"), "--aligned-px", "96", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faces"]["kept"] == 5
    assert main([*where, "--aligned", str(tmp_path / "faces"), "--aligned-px", "5"]) == 1
    assert "give 16 to 4096" in capsys.readouterr().err
    assert main([*where[:2], "--into", str(tmp_path / "d.db"), "--no-faces", "--aligned", str(tmp_path / "f")]) == 1
    assert "holds no face" in capsys.readouterr().err
