"""Makers keep their promises; pairs stay pairs, and what does not match is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine import pixels
from upimagine.data.makers import USUAL, blur, edges, halftone, maker_named, pixelate, quantise, shuffle
from upimagine.data.pairs import Jitter, load_combined, load_folders, load_guided, load_pictures, pair_at
from upimagine.errors import UpimagineError
from upimagine.guide.faces import FaceGuide


def noise(size: int = 64) -> Tensor:
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", USUAL)
def test_every_maker_is_pure_stays_in_range_and_repeats_itself(name: str) -> None:
    picture = noise()
    before, maker = picture.clone(), maker_named(name, 64)
    made = maker(picture, random())
    assert torch.equal(picture, before)
    assert made.shape == picture.shape
    assert made.dtype == torch.float32
    assert made.abs().max() <= 1
    assert not torch.equal(made, picture)
    assert torch.equal(made, maker(picture, random()))


@pytest.mark.parametrize("times", [2, 8, 32])
def test_pixelating_keeps_the_mean_of_every_square(times: int) -> None:
    made = pixelate(noise(), times)
    torch.testing.assert_close(F.avg_pool2d(made, times), F.avg_pool2d(noise(), times))
    squares = made.unfold(1, times, times).unfold(2, times, times)
    assert (squares == squares[..., :1, :1]).all()
    torch.testing.assert_close(pixelate(made, times), made)


def test_a_flat_picture_has_no_edges_and_a_step_has_one_line() -> None:
    assert (edges(torch.full((3, 32, 32), 0.3), 200) == 1).all()
    step = torch.full((3, 32, 32), -0.5)
    step[:, :, 16:] = 0.5
    lines = edges(step, 200)
    assert set(lines.unique().tolist()) == {-1.0, 1.0}
    dark = (lines[0] < 0).nonzero()[:, 1].unique()
    assert len(dark) == 1
    assert int(dark[0]) in (15, 16)
    assert (edges(step, 2000) == 1).all()  # 128 levels count 512


def test_blurring_spreads_a_point_like_a_gaussian_and_leaves_flat_places() -> None:
    torch.testing.assert_close(blur(torch.full((3, 16, 16), 0.4), 5), torch.full((3, 16, 16), 0.4))
    point = torch.full((3, 65, 65), 0.0)
    point[:, 32, 32] = 1.0
    spread = blur(point, 3.0)[0]
    torch.testing.assert_close(spread.sum(), torch.tensor(1.0))
    places = torch.arange(65) - 32.0
    assert float((spread.sum(0) * places.square()).sum()) == pytest.approx(9.0, rel=0.03)  # cut off at three sigma


@pytest.mark.parametrize("tone", [-1.0, -0.76, -0.5, 0.0, 0.3, 0.6, 1.0])
def test_half_tone_has_two_levels_and_the_tone_as_their_share(tone: float) -> None:
    made = halftone(torch.full((3, 64, 64), tone), 4)
    assert set(made.unique().tolist()) <= {-1.0, 1.0}
    torch.testing.assert_close(made.mean((1, 2)), torch.full((3,), tone), atol=1e-3, rtol=0)
    if abs(tone) < 1:
        quarters = F.avg_pool2d(made, 32)
        assert (quarters - tone).abs().max() < 0.06  # everywhere alike
        assert not torch.equal(made[0], made[1])  # each colour on a grid of its own


def test_quantising_gives_so_many_levels_with_both_ends() -> None:
    made = quantise(noise(), 4)
    torch.testing.assert_close(made.unique(), torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0]))
    assert (made - noise()).abs().max() <= 1 / 3 + 1e-6


def test_shuffling_moves_whole_blocks_and_loses_none() -> None:
    def blocks(picture: Tensor) -> list[tuple[float, ...]]:
        cut = picture.unfold(1, 16, 16).unfold(2, 16, 16).permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
        return [tuple(block.tolist()) for block in cut]

    made = shuffle(noise(), 16, random())
    assert blocks(made) != blocks(noise())
    assert sorted(blocks(made)) == sorted(blocks(noise()))
    assert not torch.equal(made, shuffle(noise(), 16, np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("pixilate", "did you mean pixelate"),
        ("pixelate:7", "one that divides 256"),
        ("pixelate:64", "from 2 to 32"),
        ("pixelate:x", "cannot work"),
        ("quantise:2.5", "a whole number"),
        ("blur:0", "from 0.1"),
        ("mine.py:run", "does not exist"),
    ],
)
def test_makers_that_cannot_be_are_told_in_words(how: str, words: str) -> None:
    with pytest.raises(UpimagineError, match=words):
        maker_named(how, 256)


def test_a_function_of_the_users_makes_pairs_and_its_faults_are_named(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "def negative(picture):\n    picture *= -1\n    return picture\n"
        "def crop(picture):\n    return picture[:, 1:]\n"
        "def fails(picture):\n    return picture / no\n"
    )
    source = ((noise(32) + 1) * 127.5).to(torch.uint8)
    a, b = pair_at([source], 0, 0, Jitter(32, 32), maker_named(f"{script}:negative", 32))
    torch.testing.assert_close(a, -b)
    for function, words in (("crop", "must give a tensor"), ("fails", "NameError"), ("none", "no function 'none'")):
        with pytest.raises(UpimagineError, match=words):
            maker_named(f"{script}:{function}", 32)(noise(32), random())
    script.write_text("1 +")
    with pytest.raises(UpimagineError, match="cannot be run"):
        maker_named(f"{script}:negative", 32)


def write(path: Path, height: int, width: int, red: float, suffix_left: float | None = None) -> None:
    """A PNG whose red is `red`, of its left half `suffix_left`, with a ramp in green."""
    picture = torch.zeros(3, height, width)
    picture[0] = red
    if suffix_left is not None:
        picture[0, :, : width // 2] = suffix_left
    picture[1] = torch.linspace(-1, 1, height)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels.write(path, picture)


def test_combined_files_hold_a_left_and_b_right(tmp_path: Path) -> None:
    write(tmp_path / "even.png", 40, 80, red=0.5, suffix_left=-0.5)
    write(tmp_path / "odd.png", 40, 81, red=0.5, suffix_left=-0.5)
    write(tmp_path / "thin.png", 40, 1, red=0.5)
    write(tmp_path / "tiny.png", 8, 16, red=0.5)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    skipped: dict[str, str] = {}
    sources = load_combined([tmp_path], 40, 16, lambda path, reason: skipped.update({path.name: reason}))
    assert [tuple(source.shape) for source in sources] == [(6, 40, 40), (6, 40, 40)]
    assert set(skipped) == {"thin.png", "tiny.png", "broken.png"}
    assert "thin.png is one pixel wide" in skipped["thin.png"]
    assert "tiny.png gives 8x8" in skipped["tiny.png"]
    a, b = pair_at(sources, 0, 0, Jitter(32, 40))
    assert a.shape == b.shape == (3, 32, 32)
    assert a[0].mean() == pytest.approx(-0.5, abs=0.01)
    assert b[0].mean() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(a[1], b[1])  # the same window of both
    again = pair_at(sources, 0, 0, Jitter(32, 40), reverse=True)
    assert torch.equal(again[0], b)
    assert torch.equal(again[1], a)


def test_two_folders_pair_by_name_and_name_what_does_not_match(tmp_path: Path) -> None:
    for name in ("one.png", "two.jpg", "alone.png", "sizes.png"):
        write(tmp_path / "a" / name, 48, 64, red=-0.5)
    for name in ("one.png", "two.png", "lonely.png", "two.webp"):
        write(tmp_path / "b" / name, 48, 64, red=0.5)
    write(tmp_path / "b/sizes.png", 48, 65, red=0.5)
    skipped: dict[str, str] = {}
    sources = load_folders(
        tmp_path / "a", [tmp_path / "b"], 36, 16, lambda path, reason: skipped.update({path.name: reason})
    )
    assert [tuple(source.shape) for source in sources] == [(6, 36, 48)] * 2
    assert set(skipped) == {"alone.png", "lonely.png", "two.webp", "sizes.png"}
    assert "has no partner" in skipped["alone.png"]
    assert "65x48 but its partner 64x48" in skipped["sizes.png"]
    a, b = pair_at(sources, 1, 0, Jitter(32, 36))
    assert a[0].mean() == pytest.approx(-0.5, abs=0.02)
    assert b[0].mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(UpimagineError, match="no name stands in both"):
        write(tmp_path / "c/other.png", 48, 64, red=0.5)
        load_folders(tmp_path / "c", [tmp_path / "b"], 36, 16, lambda path, reason: None)


def test_jitter_moves_and_mirrors_the_window_and_the_maker_sees_what_is_cut_out(tmp_path: Path) -> None:
    ramp = torch.linspace(-1, 1, 72).expand(3, 72, 72)
    pixels.write(tmp_path / "ramp.png", ramp)
    sources = load_pictures([tmp_path], 36, 16, lambda path, reason: None)
    maker = maker_named("pixelate:8", 32)
    pairs = [pair_at(sources, place, 0, Jitter(32, 36), maker) for place in range(40)]
    mirrored = [bool(b[0, 0, 0] > b[0, 0, -1]) for _, b in pairs]
    assert 10 < sum(mirrored) < 30
    assert len({float(b.min()) for _, b in pairs}) > 2
    for a, b in pairs:
        torch.testing.assert_close(a, pixelate(b, 8))
    assert not any(
        bool(b[0, 0, 0] > b[0, 0, -1])
        for b in (pair_at(sources, place, 0, Jitter(32, 36, flip=False), maker)[1] for place in range(10))
    )


def test_proportions_stay_and_small_pictures_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "wide.png", 40, 120, red=0.0)
    write(tmp_path / "small.png", 31, 120, red=0.0)
    skipped: list[str] = []
    sources = load_pictures([tmp_path], 36, 32, lambda path, reason: skipped.append(reason))
    assert [tuple(source.shape) for source in sources] == [(3, 36, 108)]
    assert len(skipped) == 1
    assert "small.png gives 120x31" in skipped[0]


def test_guides_stand_beside_faces_and_pictures_without_one_are_named(face: Path, tmp_path: Path) -> None:
    (tmp_path / "face.jpg").write_bytes(face.read_bytes())
    write(tmp_path / "meadow.png", 64, 64, red=0.2)
    skipped: list[str] = []
    sources = load_guided([tmp_path], FaceGuide(), 96, 16, lambda path, reason: skipped.append(path.name))
    assert skipped == ["meadow.png"]
    assert sources[0].shape[0] == 6
    a, _ = pair_at(sources, 0, 0, Jitter(96, 96, flip=False))
    assert (a == 1).any()
    assert (a == -1).float().mean() > 0.1
