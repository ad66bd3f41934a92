"""Large tensors that lie in files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from upimagine.pixels.mapped import Mapped


@pytest.mark.parametrize("side", [16, 1800])
def test_values_are_the_same_before_and_after_their_memory_was_given_back(tmp_path: Path, side: int) -> None:
    values = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(side))
    mapped = Mapped(values, tmp_path)
    assert (mapped.tensor is values) == (side == 16)  # a file is not worth its while
    assert torch.equal(mapped.tensor, values)
    mapped.let_go()
    assert torch.equal(mapped.tensor, values)
    assert list(tmp_path.iterdir()) == []
