"""`upimagine enlarge` with everything that may be asked for beside the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms
from torch import Tensor

from upimagine import pixels
from upimagine.cli import main
from upimagine.models.loaded import LoadedUpscaler
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


def test_what_is_wrong_with_the_paper_or_beside_the_result_is_told_before_the_work(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def work(self: LoadedUpscaler, tiles: Tensor) -> Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(LoadedUpscaler, "upscale", work)
    arguments = ["enlarge", str(photo), "--with", str(models["detail"]), "-o", str(tmp_path / "a.png"), "--cm", "12"]
    assert main(arguments) == 130
    assert "only resampled" in capsys.readouterr().err
    (tmp_path / "a.pdf").write_bytes(b"precious")
    assert main([*arguments, "--sheet"]) == 1, "not a tile was made"
    assert "a.pdf exists" in capsys.readouterr().err
    assert main([*arguments[:4], "-o", str(tmp_path / "a.dzi"), "--sheet"]) == 1
    assert "--sheet is made from a file for print" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.pdf", "in.png"]


def test_patterns_name_pictures_and_one_that_matches_nothing_is_told(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.png").write_bytes(photo.read_bytes())
    model, out = str(models["detail"]), tmp_path / "out"
    assert main(["enlarge", str(tmp_path / "*.png"), "--with", model, "--to", "256", "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["in-256.png", "other-256.png"]
    assert main(["enlarge", str(tmp_path / "*.jpeg")]) == 1
    assert "no file matches" in capsys.readouterr().err


def test_a_batch_passes_over_what_fails_and_says_so(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    many, out, model = tmp_path / "many", tmp_path / "out", str(models["detail"])
    many.mkdir()
    for name in ("a", "c"):
        (many / f"{name}.png").write_bytes(photo.read_bytes())
    Image.new("RGB", (64, 48), "white").save(many / "b.png")
    (many / "d.png").write_bytes(photo.read_bytes()[:200])
    plain = LoadedUpscaler.upscale

    def short_of_memory(self: LoadedUpscaler, tiles: Tensor) -> Tensor:
        if bool((tiles > 0.99).all()):  # the white picture fits nowhere
            raise MemoryError
        return plain(self, tiles)

    monkeypatch.setattr(LoadedUpscaler, "upscale", short_of_memory)
    arguments = ["enlarge", str(many), "--with", model, "--to", "128", "-o", str(out), "--json"]
    assert main(arguments) == 3
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert f"{many / 'b.png'}: out of memory on tile row 1" in lines[0]
    assert str(many / "d.png") in lines[1]
    assert lines[-1] == f"upimagine enlarge: 2 of 4 done; passed over: {many / 'b.png'}, {many / 'd.png'}"
    assert [Path(each["path"]).name for each in json.loads(told.out)["enlarged"]] == ["a-128.png", "c-128.png"]
    assert sorted(path.name for path in out.iterdir()) == ["a-128.png", "c-128.png"]
    before = [path.stat().st_mtime_ns for path in sorted(out.iterdir())]
    assert main(arguments) == 3, "the same command goes on: what is there is kept, what failed is tried again"
    told = capsys.readouterr()
    assert "0 of 4 done; 2 kept that were there (--overwrite makes them anew); passed over: " in told.err
    assert json.loads(told.out)["there"] == [str(out / "a-128.png"), str(out / "c-128.png")]
    assert [path.stat().st_mtime_ns for path in sorted(out.iterdir())] == before
    for bad in ("b", "d"):
        (many / f"{bad}.png").unlink()
    assert main(arguments) == 0


def test_a_folder_s_results_are_no_pictures_of_the_next_run(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "many").mkdir()
    photo.rename(tmp_path / "many" / "a.png")
    monkeypatch.chdir(tmp_path / "many")
    for given, format_, name in (("../many", "tif", "a-128.tif"), (".", "jpg", "a-128.jpg")):
        arguments = ["enlarge", given, "--with", str(models["detail"]), "--to", "128", "--format", format_]
        assert [main(arguments), main(arguments)] == [0, 0]
        assert f"many-128/{name}  128x85" in capsys.readouterr().out
    assert [path.name for path in Path().iterdir()] == ["a.png"]
    assert sorted(path.name for path in Path("../many-128").iterdir()) == ["a-128.jpg", "a-128.tif"]
    assert main(["enlarge", "a.png", "--format", "tif", "-o", "b.png"]) == 1
    assert "leave --format away" in capsys.readouterr().err


def test_a_batch_ended_by_ctrl_c_tells_what_it_did(
    photo: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = tmp_path / "other.png"
    Image.new("RGB", (64, 48), "white").save(other)
    plain = LoadedUpscaler.upscale

    def interrupted(self: LoadedUpscaler, tiles: Tensor) -> Tensor:
        if bool((tiles > 0.99).all()):
            raise KeyboardInterrupt
        return plain(self, tiles)

    monkeypatch.setattr(LoadedUpscaler, "upscale", interrupted)
    out = tmp_path / "out"
    assert (
        main(["enlarge", str(photo), str(other), "--with", str(models["detail"]), "--to", "128", "-o", str(out)]) == 130
    )
    told = capsys.readouterr()
    assert "in-128.png  128x85" in told.out
    assert "1 of 2 done" in told.err
    assert [path.name for path in out.iterdir()] == ["in-128.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "4000000", "-o", "a.tif"], "the disk is too full"),
        (["--to", "80000", "-o", "a.jpg"], "JPEG ends at 65500"),
        (["--with", "nothing-x8"], "nothing-x8"),
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
    told = "plain 33% (#8c8c8c), mirrored 33% (#e65050), contrast 1.1 grain 4 33% (#50e6e6)"
    assert tell_winners(report) == told
