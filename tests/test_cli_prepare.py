"""`upimagine prepare` as it is used: scan, move thresholds, take out, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from planted import SPOILT, sound

from upimagine.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    portraits = sound()
    (tmp_path / "in").mkdir()
    for name, picture in {
        "a": portraits[0],
        "b": portraits[1],
        "soft": SPOILT["blurred"](portraits[2], 2),
        "two": SPOILT["crowded"](portraits[3], 0),
    }.items():
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), picture[..., ::-1])
    return tmp_path / "in"


def prepare(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    code = main(["prepare", *map(str, arguments), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def test_scan_threshold_and_exports(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = tmp_path / "catalog.db"
    code, result, _ = prepare(capsys, folder, "--into", catalog)
    assert (code, result["pictures"], result["clean"]) == (0, 4, 2)
    assert result["scanned"]["new_pictures"] == 4
    assert result["flags"]["blurred"]["raised"] == result["flags"]["crowded"]["raised"] == 1
    code, result, _ = prepare(
        capsys, "--into", catalog, "--threshold", "crowded=3", "--threshold", "blurred=off",
        "--threshold", "upscaled=off", "--threshold", "hidden=off",
    )  # fmt: skip
    assert (code, result["clean"], result["scanned"]) == (0, 4, None)
    assert (result["flags"]["crowded"]["threshold"], result["flags"]["blurred"]["threshold"]) == (3, None)
    code, result, _ = prepare(
        capsys, folder, "--into", catalog, "--threshold", "blurred=0.7", "--links", tmp_path / "links",
        "--export", tmp_path / "t.csv", "--export", tmp_path / "t.jsonl", "--page", tmp_path / "worst.html",
    )  # fmt: skip
    assert (code, result["clean"], result["scanned"]["unchanged"]) == (0, 3, 4)
    assert len(list((tmp_path / "links").iterdir())) == 3
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "worst.html").is_file() and len(result["written"]) == 4


def test_people_get_a_table_of_flags(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", str(folder), "--into", str(tmp_path / "c.db"), "--no-faces"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'c.db'}: 4 pictures, 3 clean"
    assert any(line.split()[:5] == ["blurred", "1", "blur", "above", "0.64"] for line in lines)


def test_exit_codes_tell_of_pictures_that_were_passed_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.png").write_bytes(b"nothing")
    code, result, errors = prepare(capsys, folder, "--into", tmp_path / "c.db")
    assert (code, result["pictures"]) == (3, 4)
    assert "bad.png" in errors and errors.count("\n") == 1
    code, result, _ = prepare(capsys, folder / "bad.png", "--into", tmp_path / "d.db")
    assert (code, result["pictures"]) == (1, 0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--threshold", "blured=1"], "no flag 'blured'"),
        (["--threshold", "blurred"], "FLAG=NUMBER"),
        (["--export", "t.txt"], "end it in .csv"),
        (["--links", "."], "not an empty folder"),
        (["--threads", "-1"], "give 0 or more"),
    ],
)
def test_what_cannot_work_is_said_before_the_scan(
    more: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    code, _, errors = prepare(capsys, folder, "--into", tmp_path / "c.db", *more)
    assert code == 1 and said in errors and errors.count("\n") == 1


def test_without_a_source_there_must_be_a_catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = prepare(capsys, "--into", tmp_path / "c.db")
    assert code == 1 and "no such catalog" in errors
    code, _, errors = prepare(capsys, tmp_path / "nowhere", "--into", tmp_path / "c.db")
    assert code == 1 and "neither a folder nor a file" in errors
