"""DiffAugment: what each policy does, and gradients through it."""

from __future__ import annotations

import pytest
import torch

from upimagine.train.augment import diff_augment


def test_diff_augment_changes_rows_apart_and_lets_gradients_through() -> None:
    torch.manual_seed(0)
    picture = (torch.rand(1, 3, 32, 32) * 2 - 1).repeat(4, 1, 1, 1).requires_grad_()
    changed = diff_augment(picture)
    assert changed.shape == picture.shape
    assert all(not torch.equal(changed[0], changed[i]) for i in range(1, 4))
    changed.square().sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_diff_augment_policies_do_what_they_say() -> None:
    torch.manual_seed(0)
    picture = torch.rand(8, 3, 32, 32) + 0.5  # no zeros
    assert torch.equal(diff_augment(picture, ()), picture)
    moved = diff_augment(picture, ("translation",))
    for before, after in zip(picture, moved, strict=True):
        shifts = [
            (dy, dx)
            for dy in range(-4, 5)
            for dx in range(-4, 5)
            if torch.equal(
                after[:, max(dy, 0) : 32 + min(dy, 0), max(dx, 0) : 32 + min(dx, 0)],
                before[:, max(-dy, 0) : 32 + min(-dy, 0), max(-dx, 0) : 32 + min(-dx, 0)],
            )
        ]
        assert len(shifts) == 1
    holes = (diff_augment(picture, ("cutout",)) == 0).float().mean(dim=(1, 2, 3))
    assert (holes <= 0.25).all()
    assert (holes >= 0.0625).all()
    grey = diff_augment(torch.full((4, 3, 8, 8), 0.3), ("color",))
    assert (grey.std(dim=(1, 2, 3)) < 1e-6).all()  # brightness alone can move a flat grey
    with pytest.raises(ValueError, match="unknown augmentation"):
        diff_augment(picture, ("solarise",))
