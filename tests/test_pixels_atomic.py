"""Full disks, kills and refusals: files appear whole or not at all."""

from __future__ import annotations

import errno
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.pixels import atomic

NOISE = torch.rand(3, 200, 200, generator=torch.Generator().manual_seed(3)) * 2 - 1


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file may grow beyond this many bytes: the system itself refuses, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("suffix", "bit_depth"), [(".png", 8), (".png", 16), (".tif", 8), (".tif", 16), (".jpg", 8), (".webp", 8)]
)
@pytest.mark.parametrize("kept_bytes", [0, 1000, -1])
def test_no_room_leaves_the_old_file_alone(tmp_path: Path, suffix: str, bit_depth: int, kept_bytes: int) -> None:
    path = tmp_path / f"a{suffix}"
    pixels.write(path, NOISE, bit_depth=bit_depth, recipe="first")
    before = path.read_bytes()
    limit = kept_bytes if kept_bytes >= 0 else len(before) - 1  # -1: all but the last byte fits
    with files_end_at(limit), pytest.raises(UpimagineError, match="too large") as caught:
        pixels.write(path, NOISE, bit_depth=bit_depth, recipe="first", overwrite=True)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_room_for_bytes_and_canvas(tmp_path: Path) -> None:
    with files_end_at(5000):
        with pytest.raises(UpimagineError, match="too large"):
            pixels.write_bytes(tmp_path / "a.bin", bytes(5001))
        with pytest.raises(UpimagineError, match="too large"), pixels.Canvas(tmp_path / "a.tif", 200, 200) as canvas:
            canvas.write_rows(NOISE)
            canvas.commit()
        pixels.write_bytes(tmp_path / "b.bin", bytes(5000))
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.bin"]


def test_full_disk(tmp_path: Path) -> None:
    """A real disk of 256 kB, in a namespace of its own so that no rights are needed."""
    unshare = ["unshare", "--map-root-user", "--mount", "--user"]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=256k tmpfs '{disk}'"
    if not shutil.which("unshare"):
        pytest.skip("no unshare on this system")
    if subprocess.run([*unshare, "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("this system lets no test mount a disk")
    script = f"""
import torch
from pathlib import Path
from upimagine import pixels
from upimagine.errors import UpimagineError
disk = Path({str(disk)!r})
noise = torch.rand(3, 300, 300) * 2 - 1
def canvas(height):
    with pixels.Canvas(disk / "a.tif", height, 300) as c:
        for _ in range(height // 100):
            c.write_rows(noise[:, :100])
        c.commit()
for attempt in (
    lambda: pixels.write(disk / "a.tif", noise, bit_depth=16),
    lambda: pixels.write(disk / "a.png", noise, bit_depth=8),
    lambda: pixels.write_bytes(disk / "a.bin", bytes(300_000)),
    lambda: canvas(1000),  # the rows do not fit: told at once
    lambda: canvas(100),  # the rows fit, the file beside them does not
):
    try:
        attempt()
        print("written")
    except UpimagineError as error:
        print(error)
    print(sorted(p.name for p in disk.iterdir()))
"""
    done = subprocess.run(
        [*unshare, "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, script],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    for attempt in lines[0::2]:
        assert "the disk is full; free some space" in attempt or "the disk is too full" in attempt
    assert lines[1::2] == ["[]"] * 5
    assert "too full" in lines[6]
    assert done.stderr == ""


def test_a_killed_canvas_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, torch\n"
        "from upimagine import pixels\n"
        "canvas = pixels.Canvas(sys.argv[1], 100, 50)\n"
        "canvas.write_rows(torch.zeros(3, 60, 50))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.tif")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_an_exception_inside_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    pixels.write_text(path, "old")
    for error in (KeyboardInterrupt, RuntimeError, FileNotFoundError):
        with pytest.raises(error), pixels.replacing(path, overwrite=True) as file:
            file.write(b"half of the n")
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_another_errand_s_error_is_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), pixels.replacing(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no", "elsewhere")


def test_text_keeps_its_bytes(tmp_path: Path) -> None:
    pixels.write_text(tmp_path / "a.toml", "Zoë\r\nb\n")
    assert (tmp_path / "a.toml").read_bytes() == "Zoë\r\nb\n".encode()
    with pytest.raises(UpimagineError, match="add --overwrite"):
        pixels.write_text(tmp_path / "a.toml", "other")
    pixels.write_text(tmp_path / "a.toml", "other", overwrite=True)
    assert (tmp_path / "a.toml").read_text() == "other"


def test_claim_makes_the_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.tif"
    assert pixels.claim(str(path)) == path
    assert list(path.parent.iterdir()) == []


def test_claim_refuses_early(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    for path, match in [
        (tmp_path / "a.tif", "exists; add --overwrite to replace it"),
        (tmp_path, "is a folder"),
        (tmp_path / "a.tif" / "b.tif", "cannot be written"),
        (tmp_path / ("x" * 300), "cannot be written"),
        (Path("/dev/null"), "is a device"),
        (Path("/proc/a.tif"), "/proc/a.tif"),
    ]:
        with pytest.raises(UpimagineError, match=match) as caught:
            pixels.claim(path)
        assert "\n" not in str(caught.value)
    assert pixels.claim(tmp_path / "a.tif", overwrite=True) == tmp_path / "a.tif"


def test_an_output_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UpimagineError, match="exists"), pixels.replacing(tmp_path / "a") as file:
        file.write(b"mine")
        (tmp_path / "a").write_text("theirs")
    assert (tmp_path / "a").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a")
    pixels.write_text(tmp_path / "link", "new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "a").read_text() == "new"


def test_what_a_killed_process_left_of_an_output_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    out, other = tmp_path / "a.png", tmp_path / "b.png"
    for target in (out, out, other):
        atomic.unfinished_beside(target).write_bytes(b"half")
    atomic.claim(out)
    assert len(list(tmp_path.iterdir())) == 1  # the other output's
    with atomic.replacing(out) as file:
        file.write(b"whole")
        atomic.claim(out)
        assert len(list(tmp_path.iterdir())) == 2
    assert out.read_bytes() == b"whole"
