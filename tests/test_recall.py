"""What recalling makes of latents."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from upimagine.nets.recall import Recall


def test_no_latent_stays_far_from_all_codes_and_none_of_these_is_forgotten() -> None:
    torch.manual_seed(0)
    recall = Recall(200, 64, noise=0.5)
    recalled = recall(torch.randn(4000, 64))
    near = F.normalize(recalled, dim=1) @ F.normalize(recall.codes, dim=1).T
    assert float(near.amax(dim=1).quantile(0.05)) > 0.55
    fair = 4000 / 200
    times = near.argmax(dim=1).bincount(minlength=200)
    assert times.min() > fair / 4
    assert times.max() < 4 * fair


def test_codes_of_one_kind_are_recalled_as_such_and_vectors_keep_their_length() -> None:
    recall = Recall(2, 16, noise=0.0)
    recall.store(torch.tensor([1, 0]), torch.stack((torch.eye(16)[3], torch.eye(16)[5])))
    latents = torch.zeros(1, 16)
    latents[0, 5] = 4.0
    torch.testing.assert_close(recall(latents)[0], torch.eye(16)[5] * math.sqrt(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(recall(torch.randn(9, 16)).norm(dim=1), torch.full((9,), 4.0))


def test_only_once_trained_vectors_are_stretched() -> None:
    recall = Recall(8, 16, noise=0.5, stretch=1.3)
    latents = torch.randn(9, 16)
    trained = recall(latents)
    torch.testing.assert_close(recall.eval()(latents), 1.3 * trained)
    torch.testing.assert_close(trained.norm(dim=1), torch.full((9,), 4.0))
