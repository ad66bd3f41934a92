import math

import cv2
import numpy as np
import pytest
import torch

from upimagine.render.scoring import combine, contrast, fidelity_db, sharpness


def pictures() -> torch.Tensor:
    return torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(5)) * 2 - 1


def grey_255(picture: torch.Tensor) -> np.ndarray:
    rgb = ((picture.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.float32)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def test_sharpness_is_the_variance_of_opencvs_laplacian() -> None:
    for picture, value in zip(pictures(), sharpness(pictures()), strict=True):
        expected = cv2.Laplacian(grey_255(picture), cv2.CV_32F)[1:-1, 1:-1].astype(np.float64).var()
        assert float(value) == pytest.approx(expected, rel=1e-4)


def test_contrast_is_the_deviation_of_luma() -> None:
    for picture, value in zip(pictures(), contrast(pictures()), strict=True):
        assert float(value) == pytest.approx(grey_255(picture).std(), rel=1e-4)


def test_fidelity_is_psnr_over_a_range_of_two() -> None:
    low = pictures()
    assert fidelity_db(low + 0.02, low).tolist() == pytest.approx([40.0] * 3, abs=1e-3)
    assert fidelity_db(low, low).tolist() == pytest.approx([126.0] * 3, abs=0.1)


def test_scores_are_weighted_z_scores_of_each_tile() -> None:
    fidelity = torch.full((2, 3), 30.0)
    sharp = torch.tensor([[1.0, 2.0, 3.0], [300.0, 100.0, 200.0]])
    real = torch.tensor([[5.0, 5.0, 5.0], [0.0, 0.0, 3.0]])
    scores = combine([(2.0, sharp), (1.0, real)], fidelity, veto_db=3.0)
    step = math.sqrt(1.5)
    root = math.sqrt(0.5)
    expected = [[-2 * step, 0.0, 2 * step], [2 * step - root, -2 * step - root, 2 * root]]
    assert torch.allclose(scores, torch.tensor(expected, dtype=torch.float64))


def test_the_unfaithful_never_win_and_do_not_sway_the_others() -> None:
    fidelity = torch.tensor([[30.0, 26.9, 28.0]])
    sharp = torch.tensor([[1.0, 1e9, 2.0]])
    scores = combine([(1.0, sharp)], fidelity, veto_db=3.0)
    assert scores[0, 1] == -math.inf
    assert torch.allclose(scores[0, [0, 2]], torch.tensor([-1.0, 1.0], dtype=torch.float64))


def test_the_floor_vetoes_but_leaves_the_most_faithful() -> None:
    fidelity = torch.tensor([[30.0, 29.0, 19.0], [15.0, 16.0, 14.0]])
    scores = combine([], fidelity, veto_db=100.0, floor_db=20.0)
    assert torch.isfinite(scores).tolist() == [[True, True, False], [False, True, False]]


def test_rounding_is_not_a_difference() -> None:
    nearly = torch.tensor([[100.0, 100.0 + 1e-5]])
    assert combine([(1.0, nearly)], torch.zeros(1, 2), veto_db=3.0).tolist() == [[0.0, 0.0]]
