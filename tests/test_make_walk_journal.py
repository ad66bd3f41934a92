"""A walk that was killed, interrupted or failed, and is started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_make import MACHINE, recipe  # noqa: F401 (a fixture)

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.make.journal import files_of
from upimagine.make.walk import make
from upimagine.make.walk_journal import NAME
from upimagine.recipe import Recipe, write_recipe

SCRIPT = """
import sys
from pathlib import Path
from upimagine.make.machine import settle
from upimagine.make.walk import make
make(sys.argv[1], sys.argv[2], machine=settle("cpu", "float32", 1), save_every_s=0)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_killed_in_the_print_and_started_again_it_ends_in_the_same_bytes(recipe: Recipe, tmp_path: Path) -> None:  # noqa: F811
    whole, killed, written = tmp_path / "whole", tmp_path / "killed", tmp_path / "toy.toml"
    written.write_text(write_recipe(recipe))
    make(written, whole, machine=MACHINE)
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(written), str(killed)]) as process:
        while process.poll() is None and not files_of(killed / "print.tif")[0].exists():
            pass
        process.send_signal(signal.SIGKILL)
    assert (killed / NAME).exists()
    portrait = (killed / "portrait-1.png").stat().st_mtime_ns
    sampled: list[str] = []
    made = make(written, killed, machine=MACHINE, watch=lambda what, done, total: sampled.append(what))
    assert made.resumed
    assert not [what for what in sampled if what.startswith("sampling")]
    assert (killed / "portrait-1.png").stat().st_mtime_ns == portrait, "what is finished is not made again"
    assert contents(killed) == contents(whole)


class Stops:
    """A watch that presses Ctrl-C, or fails, at a step of a kind of work."""

    def __init__(self, what: str, error: BaseException) -> None:
        self.what, self.error = what, error

    def __call__(self, what: str, done: int, total: int) -> None:
        if what.startswith(self.what):
            raise self.error


def test_ctrl_c_leaves_what_the_same_walk_goes_on_with_and_another_one_removes(recipe: Recipe, tmp_path: Path) -> None:  # noqa: F811
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    make(recipe, whole, machine=MACHINE)
    with pytest.raises(KeyboardInterrupt):
        make(recipe, stopped, machine=MACHINE, watch=Stops("enlarging", KeyboardInterrupt()), save_every_s=0)
    assert json.loads((stopped / NAME).read_text())["chosen"]
    with pytest.raises(UpimagineError, match=r"contact-sheet\.png exists"):
        make(recipe, stopped, machine=MACHINE, seed=4)
    with pytest.raises(KeyboardInterrupt):
        make(recipe, stopped, machine=MACHINE, watch=Stops("enlarging", KeyboardInterrupt()), save_every_s=0)
    make(recipe, stopped, machine=MACHINE, seed=4, overwrite=True)
    assert not [path for path in stopped.iterdir() if path.name.startswith(".")]
    make(recipe, stopped, machine=MACHINE, overwrite=True)
    assert contents(stopped) == contents(whole)


@pytest.mark.parametrize("what", ["sampling", "enlarging"])
def test_a_walk_that_failed_leaves_nothing(what: str, recipe: Recipe, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(UpimagineError, match="no luck"):
        make(recipe, tmp_path / "out", machine=MACHINE, watch=Stops(what, UpimagineError("no luck")), save_every_s=0)
    assert not list((tmp_path / "out").iterdir())


def test_files_that_the_walk_did_not_begin_are_not_replaced(recipe: Recipe, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(KeyboardInterrupt):
        make(recipe, tmp_path, machine=MACHINE, watch=Stops("enlarging", KeyboardInterrupt()))
    (tmp_path / "print.tif").write_bytes(b"mine")
    with pytest.raises(UpimagineError, match=r"print\.tif exists"):
        make(recipe, tmp_path, machine=MACHINE)
    assert (tmp_path / "print.tif").read_bytes() == b"mine"
    assert pixels.read_size(tmp_path / "contact-sheet.png")


def test_a_folder_that_cannot_be_made_is_told_in_a_line(recipe: Recipe, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UpimagineError, match=r"file.* cannot be written"):
            make(recipe, out, machine=MACHINE)


def test_one_walk_at_a_time_in_a_folder(recipe: Recipe, tmp_path: Path) -> None:  # noqa: F811
    def second(what: str, done: int, total: int) -> None:
        with pytest.raises(UpimagineError, match="another process"):
            make(recipe, tmp_path, machine=MACHINE)
        raise UpimagineError("seen")

    with pytest.raises(UpimagineError, match="seen"):
        make(recipe, tmp_path, machine=MACHINE, watch=second)
