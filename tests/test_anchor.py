"""The parts of the anchor, each against what it must be."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from upimagine.train.anchor import Encoder, crowding, noisy, way_back


def test_codes_have_the_length_of_latents_with_and_without_noise() -> None:
    codes = Encoder(16, 4, 12)(torch.randn(5, 3, 16, 16))
    for some in (codes, noisy(codes, 2.0)):
        torch.testing.assert_close(some.norm(dim=1), torch.full((5,), math.sqrt(12)))
    assert torch.equal(noisy(codes, 0.0), F.normalize(codes, dim=1) * math.sqrt(12))


def test_noise_turns_a_code_by_what_it_says() -> None:
    codes = F.normalize(torch.randn(2000, 64), dim=1) * 8
    turned = F.cosine_similarity(codes, noisy(codes, 1.5)).mean()
    assert abs(float(turned) - 1 / math.sqrt(1 + 1.5**2)) < 0.02


def test_the_way_back_sees_only_what_is_coarse() -> None:
    real = torch.rand(2, 3, 32, 32)
    fine = torch.tensor([1.0, -1.0]).repeat(16)
    assert way_back(real + fine * 0.3, real, until_px=16) < 1e-6, "a pattern of single pixels averages out"
    assert abs(float(way_back(real + 0.3, real, until_px=16)) - 0.3) < 1e-6
    assert way_back(real + fine * 0.3, real, until_px=32) > 0.05


def test_crowding_falls_from_zero_as_codes_spread() -> None:
    one = torch.ones(6, 40)
    assert abs(float(crowding(one))) < 1e-6
    assert crowding(torch.eye(6, 40)) < -3.9


def test_latents_are_spread_as_codes_are() -> None:
    encoder = Encoder(16, 4, 12)
    pictures = torch.randn(64, 3, 16, 16) + torch.randn(64, 1, 1, 1)
    for _ in range(600):
        codes = encoder(pictures)
    moments = (codes.T @ codes / len(codes)).detach()
    drawn = torch.randn(200_000, 12) @ encoder.spread().T
    torch.testing.assert_close(drawn.T @ drawn / len(drawn), moments, atol=0.02 * float(moments.max()), rtol=0)
