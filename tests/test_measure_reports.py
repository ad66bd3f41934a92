"""The two tables: enlargers against truths on disk, samples against training pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.measure.enlargement import bicubic, evaluate
from upimagine.measure.faces import face_share
from upimagine.measure.features import feature_distance
from upimagine.measure.samples import evaluate_samples
from upimagine.nets.vgg import Vgg16Features


@pytest.fixture(scope="module")
def network() -> Vgg16Features:
    torch.manual_seed(0)
    return Vgg16Features()


def shrink(truth: Tensor) -> Tensor:
    return F.avg_pool2d(truth, 8)


def save_noise(path: Path, height: int, width: int, seed: int) -> Tensor:
    """Write noise as a PNG with OpenCV, which knows nothing of this package; its values in [-1, 1]."""
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_enlargers_are_scored_beside_bicubic(network: Vgg16Features, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    truths = {path: save_noise(path, 24, 32, seed) for seed, path in enumerate(paths)}
    by_plane = {shrink(truth).sum().item(): truth for truth in truths.values()}

    def clairvoyant(low: Tensor) -> Tensor:
        return by_plane[low.sum().item()]

    table = evaluate({"clairvoyant": clairvoyant, "again": bicubic}, paths, network, shrink)
    assert table.enlargers == ["bicubic", "clairvoyant", "again"]
    assert table.skipped == []
    for figure in ("l1", "unit", "l1_share", "unit_share"):
        assert table.column("clairvoyant", figure) == pytest.approx([0, 0], abs=1e-5)
    assert table.column("clairvoyant", "sharpness") == pytest.approx([1, 1], rel=1e-4)
    assert min(table.column("clairvoyant", "consistency_db")) > 100
    assert table.column("again", "l1_share") == [1, 1]
    assert table.mean("again", "unit_share") == table.median("bicubic", "unit_share") == 1
    assert table.mean("bicubic", "sharpness") < 0.1
    expected = [feature_distance(network, bicubic(shrink(truth)), truth).l1 for truth in truths.values()]
    assert table.column("bicubic", "l1") == pytest.approx(expected, rel=1e-2)  # up to rounding to 8 bits
    text = str(table)
    assert text.count("| a.png |") == text.count("| b.png |") == text.count("| **mean** |") == 3


def test_unusable_truths_are_named_and_passed_over(network: Vgg16Features, tmp_path: Path) -> None:
    good, odd, broken = (tmp_path / name for name in ("good.png", "odd.png", "broken.png"))
    save_noise(good, 16, 16, 1)
    save_noise(odd, 20, 16, 2)
    broken.write_text("no picture")
    table = evaluate({}, [broken, odd, good], network, shrink)
    assert [score.picture for score in table.scores] == ["good.png"]
    assert [path for path, _ in table.skipped] == [broken, odd]
    assert all(path.name in why and "\n" not in why for path, why in table.skipped)
    with pytest.raises(UpimagineError, match=r"none of the 2 .*broken\.png"):
        evaluate({}, [broken, odd], network, shrink)


def test_enlargers_of_the_wrong_size_or_with_nan_are_refused(network: Vgg16Features, tmp_path: Path) -> None:
    save_noise(tmp_path / "a.png", 16, 16, 1)
    for wrong in (lambda low: low, lambda low: bicubic(low) * float("nan")):
        with pytest.raises(UpimagineError, match=r"enlarger wrong .*a\.png"):
            evaluate({"wrong": wrong}, [tmp_path / "a.png"], network, shrink)


def test_faces_are_looked_for_in_the_enlarged_picture() -> None:
    seen = []

    def find(picture: Tensor) -> object | None:
        seen.append(tuple(picture.shape))
        return picture if float(picture.mean()) > 0 else None

    pictures = torch.tensor([0.5, -0.5, 0.5, 0.5])[:, None, None, None].expand(-1, 3, 64, 48)
    result = face_share(pictures, find=find)
    assert result.found == [True, False, True, True]
    assert result.share == 0.75
    assert set(seen) == {(1, 3, 341, 256)}
    with pytest.raises(UpimagineError, match="no pictures"):
        face_share(pictures[:0], find=find)


def test_the_default_finder_sees_a_face_and_no_face_in_noise() -> None:
    from skimage import data

    rgb = torch.from_numpy(data.astronaut()[:256, 96:352].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    small = F.avg_pool2d(torch.cat([rgb, noise]), 2)  # (2, 3, 128, 128)
    assert face_share(small).found == [True, False]


def coarse(seed: int, count: int) -> Tensor:
    """Random blotches: (count, 3, 32, 32) in [-1, 1]."""
    seeds = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return F.interpolate(seeds, size=32, mode="bilinear")


def test_collapsed_and_strange_samples_show_in_the_report(network: Vgg16Features) -> None:
    training, held_out = coarse(1, 16), coarse(2, 16)
    collapsed = coarse(3, 2).repeat(4, 1, 1, 1) * 0.2 - 0.7

    def report(samples: Tensor) -> tuple[float, float, float]:
        found = evaluate_samples(samples, training, held_out=held_out, features=network, find=lambda picture: picture)
        assert found.faces == 1
        assert found.count == len(samples)
        assert found.distance is not None
        assert found.training_distance is not None
        assert "Fréchet" in str(found)
        ratio = found.distance.frechet / found.training_distance.frechet
        return found.similarity.mean - found.training_similarity.mean, ratio, found.distance.kernel.value

    good, bad = report(coarse(4, 16)), report(collapsed)
    assert abs(good[0]) < 0.05
    assert bad[0] > 0.03
    assert bad[1] > 2 * good[1]
    assert bad[2] > good[2]


def test_report_without_features_has_no_distances_and_sizes_must_agree() -> None:
    found = evaluate_samples(coarse(1, 4), coarse(2, 5), find=lambda picture: None)
    assert found.faces == 0
    assert found.distance is None
    assert "Fréchet" not in str(found)
    with pytest.raises(UpimagineError, match="sizes differ"):
        evaluate_samples(coarse(1, 4), coarse(2, 4)[..., :16, :16], find=lambda picture: None)
