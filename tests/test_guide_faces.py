from __future__ import annotations

import builtins
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from mean_face import mean_face
from torch import Tensor
from torch.nn import functional

from upimagine.errors import PictureError, UpimagineError
from upimagine.guide import points as ibug
from upimagine.guide.dlib_points import DlibFinder
from upimagine.guide.face import Face, rgb8
from upimagine.guide.faces import FaceGuide, find_face, find_faces
from upimagine.guide.tflite import network
from upimagine.roles import Guide

FACE_JPG = Path(__file__).parent / "data" / "face.jpg"


def to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


def resized(picture: Tensor, side: int) -> Tensor:
    return functional.interpolate(picture, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)


@pytest.fixture(scope="module")
def portrait() -> Tensor:
    pixels = cv2.imread(str(FACE_JPG))
    assert pixels is not None
    return to_tensor(pixels[..., ::-1])


@pytest.fixture(scope="module")
def small(portrait: Tensor) -> Tensor:
    return resized(portrait, 128)


def found(picture: Tensor) -> Face:
    face = find_face(picture)
    assert face is not None
    return face


def mean_distance(a: np.ndarray, b: np.ndarray, face: Face) -> float:
    """Mean distance of matching points, as a share of the face's size."""
    return float(np.linalg.norm(a - b, axis=1).mean()) / face.size_px


def test_features_stand_where_a_face_has_them(portrait: Tensor) -> None:
    face = found(portrait)
    points = face.points68
    middle = {
        name: points[list(part)].mean(axis=0)
        for name, part in {
            "right eye": ibug.EYES[0],
            "left eye": ibug.EYES[1],
            "right brow": ibug.BROWS[0],
            "left brow": ibug.BROWS[1],
            "nose": ibug.NOSE_BASE,
            "mouth": ibug.LIPS_INNER,
        }.items()
    }
    for side in ("right", "left"):
        assert middle[f"{side} brow"][0] < middle[f"{side} eye"][0] < middle["nose"][0] < middle["mouth"][0]
    assert middle["right eye"][1] < middle["nose"][1] < middle["left eye"][1]
    assert points[ibug.CHIN][0] == points[:, 0].max()
    assert points[0][1] < points[list(ibug.EYES[0]), 1].min()
    assert points[16][1] > points[list(ibug.EYES[1]), 1].max()
    y0, x0, y1, x1 = face.box
    assert (points >= [y0, x0]).all()
    assert (points <= [y1, x1]).all()
    assert 0.5 < face.score <= 1


def test_points_lie_on_the_picture_features(portrait: Tensor) -> None:
    # The drawn person has dark eyes, red lips and a plain skin: a wrong crop, offset or scale misses them.
    points = found(portrait).points68
    grey = portrait[0].mean(dim=0).numpy()

    def mean_inside(part: tuple[int, ...], plane: np.ndarray) -> float:
        mask = np.zeros(plane.shape, np.uint8)
        cv2.fillPoly(mask, [np.rint(points[list(part)][:, ::-1] - 0.5).astype(np.int32)], 1)
        return float(plane[mask > 0].mean())

    cheek = grey[tuple(((points[31] + points[3]) / 2).astype(int))]
    for eye in ibug.EYES:
        assert mean_inside(eye, grey) < cheek - 0.1
    redness = (portrait[0, 0] - portrait[0, 1]).numpy()
    assert mean_inside(ibug.LIPS_OUTER, redness) > mean_inside((*ibug.NOSE_BRIDGE, *ibug.NOSE_BASE), redness)


def test_mirrored_picture_gives_mirrored_points(small: Tensor) -> None:
    face, other = found(small), found(small.flip(-1))
    assert mean_distance(face.points68, ibug.mirror(other.points68, 128), face) < 0.03


@pytest.mark.parametrize("side", [64, 320, 640])
def test_points_scale_with_the_picture(small: Tensor, side: int) -> None:
    face, other = found(small), found(resized(small, side))
    assert mean_distance(face.points68, ibug.scale(other.points68, (side, side), (128, 128)), face) < 0.03


def test_points_turn_with_the_picture(portrait: Tensor) -> None:
    face = found(portrait)
    turn = cv2.getRotationMatrix2D((96 - 0.5, 96 - 0.5), 25, 1)
    pixels = cv2.warpAffine(rgb8(portrait), turn, (192, 192), borderMode=cv2.BORDER_REPLICATE)
    other = found(to_tensor(pixels))
    expected = (face.points68[:, ::-1] - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
    assert mean_distance(expected[:, ::-1], other.points68, face) < 0.04


def test_unrefined_points_are_near_the_refined_ones(portrait: Tensor) -> None:
    face, rough = find_face(portrait), find_face(portrait, refined=False)
    assert face is not None and rough is not None
    eyes_px = np.linalg.norm(face.points68[36:42].mean(axis=0) - face.points68[42:48].mean(axis=0))
    apart = np.linalg.norm(face.points68 - rough.points68, axis=1).mean() / eyes_px
    assert 0 < apart < 0.05
    assert rough.score == pytest.approx(face.score, abs=0.02)


def test_tight_face_is_found_through_a_reflected_border(portrait: Tensor) -> None:
    face = found(portrait)
    y0, x0, y1, x1 = (round(edge) for edge in face.box)
    tight = portrait[..., y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]
    other = found(tight)
    assert mean_distance(face.points68 - np.array([y0 + 3, x0 + 3]), other.points68, face) < 0.06


def test_small_face_in_a_large_photograph() -> None:
    faces = find_faces(to_tensor(skimage.data.astronaut()))
    assert len(faces) == 1
    y0, x0, y1, x1 = faces[0].box
    assert 55 < y0 < 95 and 165 < y1 < 195  # Eileen Collins' face, read off the picture
    assert 165 < x0 < 190 and 255 < x1 < 290


def test_every_face_of_a_group_largest_first(portrait: Tensor) -> None:
    group = torch.full((1, 3, 512, 900), -0.2)
    group[..., 20:404, 20:404] = resized(portrait, 384)
    group[..., 200:392, 450:642] = portrait
    group[..., 300:428, 740:868] = resized(portrait, 128)
    faces = find_faces(group)
    assert len(faces) == 3
    assert [round(face.points68[:, 1].mean() / 100) for face in faces] == [2, 5, 8]
    assert faces[0].size_px > faces[1].size_px > faces[2].size_px


def test_nothing_is_found_where_no_face_is() -> None:
    generator = torch.Generator().manual_seed(3)
    nothing = [
        torch.rand((1, 3, 128, 128), generator=generator) * 2 - 1,
        resized(torch.rand((1, 3, 9, 9), generator=generator) * 2 - 1, 640),
        torch.full((1, 3, 128, 128), 0.3),
        torch.zeros((1, 3, 1, 1)),
        torch.zeros((1, 3, 3, 500)),
        to_tensor(skimage.data.coffee()),
    ]
    for picture in nothing:
        assert find_faces(picture) == []
        assert FaceGuide().draw(picture, (96, 96)) is None


def test_one_picture_at_a_time(small: Tensor) -> None:
    face = found(small)
    np.testing.assert_array_equal(found(small[0]).points68, face.points68)
    for wrong in (small.repeat(2, 1, 1, 1), small[:, :1], torch.zeros(1, 3, 0, 5)):
        with pytest.raises(PictureError, match="one RGB picture"):
            find_faces(wrong)


def test_networks_are_made_once_a_thread() -> None:
    assert network("face_landmark.tflite") is network("face_landmark.tflite")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(network, "face_landmark.tflite").result() is not network("face_landmark.tflite")


@pytest.mark.parametrize(("style", "count"), [("rgb", 3), ("channels", 6)])
@pytest.mark.parametrize("via_px", [None, 128])
def test_guide_plays_its_role(small: Tensor, style: Any, count: int, via_px: int | None) -> None:
    guide = FaceGuide(style, via_px=via_px)
    assert isinstance(guide, Guide)
    assert guide.channels == count
    raster = guide.draw(small, (96, 96))
    assert raster is not None
    assert raster.shape == (1, count, 96, 96)
    assert raster.dtype == torch.float32
    assert raster.min() >= -1 and raster.max() <= 1 and raster.max() > 0.9
    wide = guide.draw(small, (48, 96))
    assert wide is not None
    assert (wide - functional.avg_pool2d(raster, (2, 1))).abs().mean() < 0.03


def test_guide_marks_the_eyes_it_found(small: Tensor) -> None:
    face = found(small)
    raster = FaceGuide("channels").draw(small, (96, 96))
    assert raster is not None
    eyes = raster[0, 3]
    for eye in ibug.EYES:
        y, x = (face.points68[list(eye)].mean(axis=0) * 96 / 128).astype(int)
        assert eyes[y, x] > 0.5
    assert eyes[:20].max() == -1


def test_guide_draws_all_faces(portrait: Tensor) -> None:
    pair = torch.cat([portrait, portrait], dim=-1)
    raster = FaceGuide("channels").draw(pair, (96, 192))
    assert raster is not None
    assert raster[0, 4, :, :96].max() > 0.9 and raster[0, 4, :, 96:].max() > 0.9


def test_mean_face_resembles_a_found_one(portrait: Tensor) -> None:
    face = found(portrait)
    low, high = face.points68.min(axis=0), face.points68.max(axis=0)
    mean = mean_face((low[0], low[1], high[0], high[1]))
    assert mean_distance(face.points68, mean, face) < 0.08


def test_unknown_choices_are_named() -> None:
    wrong: Any = "tattoo"
    with pytest.raises(UpimagineError, match="'tattoo' is unknown: use one of mediapipe, dlib"):
        FaceGuide(backend=wrong)
    with pytest.raises(UpimagineError, match="'tattoo' is unknown: use one of rgb, channels"):
        FaceGuide(wrong)
    with pytest.raises(UpimagineError, match="via 0 px"):
        FaceGuide(via_px=0)


def test_missing_dlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_dlib(name: str, *rest: Any) -> Any:
        if name == "dlib":
            raise ImportError("No module named 'dlib'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_dlib)
    with pytest.raises(UpimagineError, match=r"pip install 'upimagine\[dlib\]'"):
        DlibFinder()


def test_missing_or_wrong_dlib_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    with pytest.raises(UpimagineError, match=r"nowhere\.dat.*libdlib-data"):
        DlibFinder(tmp_path / "nowhere.dat")
    (tmp_path / "no.dat").write_bytes(b"not a model")
    with pytest.raises(UpimagineError, match="not a dlib shape predictor"):
        DlibFinder(tmp_path / "no.dat")


def test_dlib_agrees_with_mediapipe(portrait: Tensor) -> None:
    pytest.importorskip("dlib")
    from upimagine.guide.dlib_points import DEBIAN_MODEL

    if not DEBIAN_MODEL.is_file():
        pytest.skip("Debian's libdlib-data is not installed")
    face, other = found(portrait), find_face(portrait, "dlib")
    assert other is not None
    assert mean_distance(face.points68, other.points68, face) < 0.06


def test_finder_is_silent_and_imports_late() -> None:
    # The runtime announces itself on stderr unless told otherwise, and it is slow to import.
    code = (
        "import sys, torch; from upimagine.guide.faces import find_faces; "
        "assert 'ai_edge_litert' not in sys.modules and 'dlib' not in sys.modules; "
        "assert find_faces(torch.zeros(3, 64, 64)) == []"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
