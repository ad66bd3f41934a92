"""The streamed canvas makes the very file that `write` makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError

NOISE = torch.rand(3, 61, 47, generator=torch.Generator().manual_seed(5)) * 2.2 - 1.1


@pytest.mark.parametrize(("suffix", "bit_depth"), [(".tif", 16), (".tif", 8), (".png", 16), (".png", 8), (".jpg", 8)])
def test_same_bytes_as_write(tmp_path: Path, suffix: str, bit_depth: int) -> None:
    whole, streamed = tmp_path / f"whole{suffix}", tmp_path / f"streamed{suffix}"
    pixels.write(whole, NOISE, bit_depth=bit_depth, dpi=300, recipe="a = 1\n")
    with pixels.Canvas(streamed, 61, 47, bit_depth=bit_depth, dpi=300, recipe="a = 1\n") as canvas:
        for rows in NOISE.split([1, 30, 0, 29, 1], dim=1):
            canvas.write_rows(rows)
        assert not streamed.exists()
        canvas.commit()
    assert streamed.read_bytes() == whole.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([whole.name, streamed.name])


def test_leaving_early_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), pixels.Canvas(tmp_path / "a.tif", 61, 47) as canvas:
        canvas.write_rows(NOISE)
        raise KeyboardInterrupt
    with pixels.Canvas(tmp_path / "a.tif", 61, 47) as canvas:
        canvas.write_rows(NOISE)
    assert list(tmp_path.iterdir()) == []


def test_missing_and_surplus_rows_are_refused(tmp_path: Path) -> None:
    with pixels.Canvas(tmp_path / "a.tif", 61, 47) as canvas:
        canvas.write_rows(NOISE[:, :60])
        with pytest.raises(ValueError, match="60 of 61"):
            canvas.commit()
        with pytest.raises(ValueError, match="row 62"):
            canvas.write_rows(NOISE[:, :2])
        with pytest.raises(ValueError, match="47"):
            canvas.write_rows(NOISE[:, 60:, :46])
        with pytest.raises(PictureError, match="NaN"):
            canvas.write_rows(NOISE[:, 60:] * torch.nan)
        canvas.write_rows(NOISE[:, 60:])
        canvas.commit()
    torch.testing.assert_close(pixels.read(tmp_path / "a.tif").pixels, NOISE.clamp(-1, 1), rtol=0, atol=1.6e-5)


def test_refuses_before_the_work(tmp_path: Path) -> None:
    pixels.write_text(tmp_path / "a.tif", "precious")
    for name, match, extra in [
        ("a.tif", "add --overwrite", {}),
        ("a.jpg", "8 bits", {}),
        ("a.pdf", "suffix", {}),
        ("a.png", "U\\+0007", {"recipe": "\a"}),
    ]:
        with pytest.raises(UpimagineError, match=match):
            pixels.Canvas(tmp_path / name, 61, 47, **extra)
    with pytest.raises(UpimagineError, match="too full"):
        pixels.Canvas(tmp_path / "huge.tif", 2**26, 2**26)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]
    assert (tmp_path / "a.tif").read_text() == "precious"


def test_memory_does_not_grow_with_height(tmp_path: Path) -> None:
    """Peak memory (the kernel's count, mapped files included) of a print 16 times as high."""
    script = """
import sys, torch
from pathlib import Path
from upimagine import pixels
def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
peaks = []
rows = torch.rand(3, 64, 2048) * 2 - 1
for strips in (8, 128):
    with pixels.Canvas(sys.argv[1], strips * 64, 2048, overwrite=True) as canvas:
        for _ in range(strips):
            canvas.write_rows(rows)
        canvas.commit()
        peaks.append(peak_mb())
print(peaks[1] - peaks[0])
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process's peak this way")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.tif")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 30  # the samples of the higher print are 100 MB


def test_ctrl_c_while_encoding_leaves_nothing(tmp_path: Path) -> None:
    script = """
import os, signal, sys, threading, torch
from pathlib import Path
from upimagine import pixels
path = Path(sys.argv[1])
def interrupt_when_encoding():  # the half-written file appears beside the output then
    while not list(path.parent.iterdir()):
        pass
    os.kill(os.getpid(), signal.SIGINT)
struck_in_time = False
while not struck_in_time:  # a busy machine may let the strike come too late
    path.unlink(missing_ok=True)
    with pixels.Canvas(path, 4096, 2048) as canvas:
        rows, ended = torch.rand(3, 512, 2048) * 2 - 1, False
        for _ in range(8):
            canvas.write_rows(rows)
        striker = threading.Thread(target=interrupt_when_encoding)
        striker.start()
        try:
            canvas.commit()
            ended = True
            striker.join()
        except KeyboardInterrupt:
            struck_in_time = not ended
print(list(path.parent.iterdir()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.png")], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_named_spool_keeps_rows_for_another_canvas_and_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    rows = torch.rand(3, 40, 30) * 2 - 1
    spool = tmp_path / "rows"
    with pixels.Canvas(tmp_path / "whole.png", 40, 30) as whole:
        whole.write_rows(rows)
        whole.commit()
    with pixels.Canvas(tmp_path / "a.png", 40, 30, spool=spool) as first:
        first.write_rows(rows[:, :25])
        assert first.sync() == 25
        with pytest.raises(UpimagineError, match="another process"):
            pixels.Canvas(tmp_path / "a.png", 40, 30, spool=spool)
    with pixels.Canvas(tmp_path / "a.png", 40, 30, spool=spool, keep_rows=17) as second:
        assert second.rows_written == 17
        second.write_rows(rows[:, 17:])
        second.commit()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    with pytest.raises(UpimagineError, match="shorter"):
        pixels.Canvas(tmp_path / "b.png", 80, 30, spool=spool, keep_rows=60)
