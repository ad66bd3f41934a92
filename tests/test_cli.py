"""The command line as a newcomer meets it: help, exit codes, one line an error, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from upimagine.cli import VERBS, main


def run(*arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "upimagine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, **more)


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from upimagine.cli import main; code = main(['--help']); "
        "heavy = {'torch', 'numpy', 'tyro', 'rich', 'pydantic', 'pyvips', 'cv2'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f"  {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"upimagine {verb}" in capsys.readouterr().out


def test_wrong_usage_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["enlrage"]) == 2
    assert "did you mean enlarge?" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["enlarge", "a.png", "--to", "large"])
    assert stopped.value.code == 2
    with pytest.raises(SystemExit) as stopped:
        main(["again"])
    assert stopped.value.code == 2
    assert main(["enlarge"]) == 2
    assert "no picture was named" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("upimagine ")


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


def test_bad_pictures_get_one_clear_line_each(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    whole = face.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("hello")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("cut.jpg", "text.png", "dot.png", "empty.jpg", "missing.jpg"):
        done = run("enlarge", tmp_path / name, "--with", models["detail"], "--to", "64", "-o", tmp_path / "out.png")
        assert done.returncode == 1, name
        assert name in one_line(done.stderr)
        assert done.stdout == ""
        assert not (tmp_path / "out.png").exists()


def test_a_batch_goes_on_past_a_bad_picture(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(face.read_bytes())
    (folder / "b.jpg").write_bytes(b"no picture")
    (folder / "c.jpg").write_bytes(face.read_bytes())
    done = run("enlarge", folder, "--with", models["detail"], "--to", "256", "-o", tmp_path / "out", "--json")
    assert done.returncode == 3
    told, summary = done.stderr.splitlines()
    assert f"{folder / 'b.jpg'}: is no JPEG" in told
    assert f"2 of 3 done; passed over: {folder / 'b.jpg'}" in summary
    result = json.loads(done.stdout)
    assert [Path(each["path"]).name for each in result["enlarged"]] == ["a-256.png", "c-256.png"]
    assert result["failed"] == [str(folder / "b.jpg")]
    for each in result["enlarged"]:
        with Image.open(each["path"]) as made:
            assert made.size == (256, 256)


def test_a_picture_without_a_face_is_enlarged_and_said_so(models: dict[str, Path], tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (90, 120, 40)).save(tmp_path / "meadow.png")
    done = run(
        "enlarge", tmp_path / "meadow.png", "--with", models["portrait"], "--to", "256", "-o", tmp_path / "big.png"
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "the grid of tiles may show" not in line]  # toy weights
    assert len(said) == 1
    assert "meadow.png: no face found, enlarged without a guide" in said[0]
    with Image.open(tmp_path / "big.png") as made:
        assert made.size == (256, 192)


def test_unknown_models_empty_folders_and_existing_outputs(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "bad.safetensors").write_bytes(b"not weights")
    detail = models["detail"]
    cases = {
        ("enlarge", face, "--with", "nonesuch", "-o", tmp_path / "x.png"): "there is no model 'nonesuch'",
        ("enlarge", face, "--with", tmp_path / "bad.safetensors", "-o", tmp_path / "x.png"): "not a sound model file",
        (
            "enlarge",
            face,
            "--with",
            models["generator"],
            "-o",
            tmp_path / "x.png",
        ): "a model that enlarges them is needed",
        ("enlarge", tmp_path / "empty", "--with", detail): "holds no pictures",
        ("enlarge", face, "--with", detail, "-o", tmp_path / "there.png"): "--overwrite",
        ("enlarge", face, "--with", detail, "-o", tmp_path / "x.bmp"): ".bmp",
        ("sample", "nonesuch", "-o", tmp_path / "s"): "there is no model 'nonesuch'",
        ("make", "landscape", "-o", tmp_path / "m"): "there is no recipe 'landscape'",
        ("again", face, "-o", tmp_path / "x.png"): "holds no recipe",
        ("models", "nonesuch"): "there is no model 'nonesuch'",
        ("train", "dcgan", "--data", tmp_path / "empty", "--out", tmp_path / "r"): "holds no pictures",
    }
    for arguments, words in cases.items():
        done = run(*arguments)
        assert done.returncode == 1, arguments
        assert words in one_line(done.stderr), arguments
    assert (tmp_path / "there.png").read_bytes() == b"mine"
    assert not (tmp_path / "x.png").exists()


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = run("models", "nonesuch", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_full_disk_leaves_nothing_half_written(models: dict[str, Path], face: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); "
        "from upimagine.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["enlarge", str(face), "--with", str(models["detail"]), "--to", "512", "-o", str(out / "big.tif")]
    done = subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "big.tif" in one_line(done.stderr)
    assert list(out.iterdir()) == []


def test_ctrl_c_while_training_keeps_a_checkpoint_and_the_same_command_goes_on(pictures: Path, tmp_path: Path) -> None:
    arguments = [
        "train", "dcgan", "--data", str(pictures), "--out", str(tmp_path / "run"), "--size-px", "64", "--width", "4",
        "--batch", "2", "--tick-kimg", "0.002", "--threads", "1", "--device", "cpu",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "upimagine", *arguments, "--kimg", "1000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:  # the first tick tells that it is training
        if "kimg" in line:
            break
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped; the same command goes on from here" in stdout
    kimg = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])["kimg"]
    done = run(*arguments, "--kimg", str(kimg + 0.004), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] is True


def test_results_come_on_stdout_and_progress_does_not(models: dict[str, Path], tmp_path: Path) -> None:
    done = run(
        "sample", models["generator"], "-n", "5", "-o", tmp_path / "s", "--json", env=os.environ | {"COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sampled"] == 5
    assert done.stderr == ""
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        *("contact-sheet.png", "latents.safetensors", "pictures", "scores.csv"),
    ]
    assert sorted(path.name for path in (tmp_path / "s/pictures").iterdir()) == [f"{i:05d}.png" for i in range(5)]
    assert len((tmp_path / "s/scores.csv").read_text().splitlines()) == 6
