"""`upimagine enlarge` with everything that may be asked for beside the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from upimagine import pixels
from upimagine.cli import main
from upimagine.render.candidates import Variant
from upimagine.render.plan import plan_tiles
from upimagine.render.seams import NO_SEAMS
from upimagine.render.settings import Report
from upimagine.render.winner_map import draw_winners, tell_winners


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph of 96 x 64 px without a face."""
    y, x = np.mgrid[0:64, 0:96]
    picture = np.stack([x * 2, y * 3, (x * y) % 256], axis=2).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def test_a_print_with_bleed_sharpening_sheet_and_proof(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "paper.icc"
    profile.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    arguments = [
        "enlarge", str(photo), "--with", str(models["detail"]), "-o", str(tmp_path / "print.tif"), "--cm", "5.08",
        "--dpi", "200", "--bleed-mm", "1.27", "--sharpen", "0.8", "--space", "adobe-rgb", "--compression", "lzw",
        "--tiled", "--sheet", "--proof", str(profile), "--map", "--best-of", "3", "--json",
    ]  # fmt: skip
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)["enlarged"][0]
    assert (told["width"], told["height"]) == (400 + 2 * 10, 267 + 2 * 10)
    assert set(told["seams"]) == {"ratio", "contrast_dip", "tone_step", "period"}
    with tifffile.TiffFile(tmp_path / "print.tif") as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert page.shape[:2] == (287, 420)
        assert page.is_tiled
        assert page.compression.name == "LZW"
    assert b"Adobe RGB" in pyvips.Image.new_from_file(str(tmp_path / "print.tif")).get("icc-profile-data")
    assert (tmp_path / "print.pdf").read_bytes().startswith(b"%PDF")
    assert pixels.read_size(tmp_path / "print-proof.png") == (287, 420)
    winners = pixels.read(tmp_path / "print-winners.png").pixels
    assert winners.shape[1] % 16 == winners.shape[2] % 16 == 0


def test_a_paper_too_large_for_the_picture_is_told(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(models["detail"])
    assert main(["enlarge", str(photo), "--with", model, "-o", str(tmp_path / "a.png"), "--cm", "12"]) == 0
    assert "only resampled" in capsys.readouterr().err


def test_patterns_name_pictures_and_one_that_matches_nothing_is_told(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.png").write_bytes(photo.read_bytes())
    model, out = str(models["detail"]), tmp_path / "out"
    assert main(["enlarge", str(tmp_path / "*.png"), "--with", model, "--to", "256", "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["in-256.png", "other-256.png"]
    assert main(["enlarge", str(tmp_path / "*.jpeg")]) == 1
    assert "no file matches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stride", "0"], "--stride 0 cannot work"),
        (["--passes", "0"], "--passes 0 cannot work"),
        (["--growth", "0.5"], "--growth 0.5 cannot work"),
        (["--sharpen", "-1"], "--sharpen -1.0 cannot work"),
        (["--bleed-mm", "-1"], "--bleed-mm -1.0 cannot work"),
        (["--cm", "0"], "a print of 0 cm cannot be"),
        (["--best-of", "1", "--also", "detail-x8"], "one for each model"),
        (["--also", "portrait-x8", "--with", "detail-x8"], "must have one scale"),
        (["--quality", "200", "-o", "a.jpg"], "--quality 200 cannot work"),
        (["--proof", "nothing.icc", "--to", "64"], "nothing.icc"),
    ],
)
def test_what_cannot_work_gets_one_line(
    arguments: list[str], words: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["enlarge", str(photo), "--to", "128", *arguments]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1, told


def test_the_map_of_winners_shows_each_tile_in_its_candidates_colour() -> None:
    plan = plan_tiles(64, 96, 32, 32)
    winners = ((0, 1, 2), (2, 1, 0))
    shown = (Variant(), Variant(flip=True), Variant(contrast=1.1, noise_seed=4))
    report = Report(plan, shown, winners, 6, 8, 0.0, 0.0, 1.0, NO_SEAMS)
    picture = draw_winners(report, field_px=2)
    assert picture.shape == (3, 4, 6)
    fields = picture[:, ::2, ::2]
    for row in range(2):
        for col in range(3):
            alike = [(r, c) for r in range(2) for c in range(3) if (fields[:, r, c] == fields[:, row, col]).all()]
            assert all(winners[r][c] == winners[row][col] for r, c in alike)
            assert len(alike) == 2
    assert tell_winners(report) == "plain 33%, mirrored 33%, contrast 1.1 grain 4 33%"
