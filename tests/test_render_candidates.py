import pytest
import torch

from upimagine.errors import UpimagineError
from upimagine.render.candidates import Variant, variants


def tiles(channels: int = 6) -> torch.Tensor:
    return torch.rand(4, channels, 9, 9, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_flips_are_undone_exactly_and_take_the_guide_along() -> None:
    shown = Variant(flip=True).apply(tiles())
    assert torch.equal(shown, tiles().flip(-1))
    assert torch.equal(Variant(flip=True).undo(shown[:, :3], tiles()), tiles()[:, :3])


@pytest.mark.parametrize("variant", variants(True, (0.9, 1.1), (0.5, 1.2)))
def test_undo_inverts_apply(variant: Variant) -> None:
    source = tiles()
    shown = variant.apply(source)
    assert torch.allclose(variant.undo(shown[:, :3], source), source[:, :3], atol=2e-6)
    guide = source[:, 3:].flip(-1) if variant.flip else source[:, 3:]
    assert torch.equal(shown[:, 3:], guide)
    assert torch.equal(source, tiles())  # the plane itself is never changed


def test_contrast_keeps_the_mean_luma_and_saturation_keeps_every_luma() -> None:
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    before = (tiles()[:, :3] * weights).sum(1)
    harder = (Variant(contrast=1.5).apply(tiles())[:, :3] * weights).sum(1)
    assert torch.allclose(harder.mean((1, 2)), before.mean((1, 2)), atol=1e-6)
    assert torch.allclose(harder.std((1, 2)), 1.5 * before.std((1, 2)), atol=1e-6)
    vivid = (Variant(saturation=1.5).apply(tiles())[:, :3] * weights).sum(1)
    assert torch.allclose(vivid, before, atol=1e-6)


def test_undo_does_not_clip() -> None:
    bright = torch.full((1, 3, 4, 4), 0.9)
    dark = torch.zeros(1, 3, 2, 2)
    assert torch.allclose(Variant(contrast=0.5).undo(bright, dark), torch.full_like(bright, 1.8))


def test_identity_comes_first_and_nothing_twice() -> None:
    assert variants(False) == (Variant(),)
    assert variants() == (Variant(), Variant(flip=True))
    many = variants(True, (0.9, 1.0, 1.1), (0.8, 1.0, 1.2))
    assert many[0] == Variant()
    assert len(many) == len(set(many)) == 18
    assert variants(False, (0.9,))[0] == Variant()


@pytest.mark.parametrize("values", [{"contrast": 0.0}, {"contrast": float("nan")}, {"saturation": -1.0}])
def test_what_cannot_be_undone_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(UpimagineError):
        Variant(**values)
