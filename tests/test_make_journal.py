"""Killed at any instant and started again, an enlargement ends in the same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.make.journal import files_of
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge
from upimagine.recipe import Enlarge, Print, Sharpen
from upimagine.render import enlarge as rendering

SCRIPT = """
import sys
from pathlib import Path
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge
from upimagine.recipe import Enlarge, Print, Sharpen
photo, out, model = map(Path, sys.argv[1:])
options = Enlarge(model="", stride_px=8, keep_detail=True)
printing = Print(bit_depth=16, bleed_mm=1, sharpen=Sharpen())
print("begun", flush=True)
enlarge(photo, out, to_px=640, models=(str(model),), options=options, printing=printing,
        machine=settle("cpu", "float32", 1), save_every_s=0)
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """80 px, half transparent."""
    ramp = torch.linspace(-1, 1, 80)
    colours = torch.stack((ramp.expand(80, 80), ramp[:, None].expand(80, 80), (ramp * ramp[:, None]).sin()))
    pixels.write(tmp_path / "photo.png", colours, alpha=(ramp.expand(80, 80)[None] > 0).float())
    return tmp_path / "photo.png"


def run(photo: Path, out: Path, model: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(photo), str(out), str(model)], stdout=subprocess.PIPE, text=True
    )


def test_killed_at_random_instants_it_ends_in_the_same_bytes(
    photo: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    whole = tmp_path / "a" / "print.tif"
    with run(photo, whole, models["detail"]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        assert process.wait() == 0
        lasted = time.monotonic() - began
    killed, chance = tmp_path / "b" / "print.tif", random.Random(5)
    kills = 0
    for _ in range(40):
        with run(photo, killed, models["detail"]) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while kills == 0 and process.poll() is None and not files_of(killed)[0].exists():
                pass  # the first of them dies once there is something to go on with, however fast the machine is
            try:
                assert process.wait(timeout=chance.uniform(0.3, 0.8) * lasted if kills else 0.01) == 0
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        if killed.exists():  # in the last instant; what it left besides goes with the next call
            with pytest.raises(UpimagineError, match="exists"):
                enlarge(photo, killed)
            break
    assert kills >= 1
    assert killed.read_bytes() == whole.read_bytes()
    assert not any(path.exists() for path in files_of(killed))


@pytest.mark.parametrize("after", [2, 3, 6])  # the first row is chosen when the second is there
def test_ctrl_c_leaves_what_the_same_call_goes_on_with_and_another_call_begins_anew(
    after: int, photo: Path, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, out = settle("cpu", "float32", 1), tmp_path / "b" / "print.png"
    options = Enlarge(model="", stride_px=8, keep_detail=True)

    def go(target: Path, every_s: float = 0.0, amount: float = 1.0) -> bool:
        printing = Print(bit_depth=16, sharpen=Sharpen(amount=amount), bleed_mm=1)
        model = str(models["detail"])
        return enlarge(
            photo, target, to_px=640, models=(model,), options=options, printing=printing, machine=machine,
            save_every_s=every_s,
        ).resumed  # fmt: skip

    assert not go(tmp_path / "a" / "print.png")
    make, rows = rendering.RowMaker.make, []

    def interrupting(self: rendering.RowMaker, row: int) -> rendering.CandidateRow:
        if len(rows) == after:
            raise KeyboardInterrupt
        rows.append(row)
        return make(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(rendering.RowMaker, "make", interrupting)
        with pytest.raises(KeyboardInterrupt):
            go(out)
    assert all(path.exists() for path in files_of(out))
    assert not out.exists()
    other = tmp_path / "b" / "other.png"
    for mine, theirs in zip(files_of(out), files_of(other), strict=True):
        theirs.write_bytes(mine.read_bytes())
    assert not go(other, amount=0.5), "the journal of another rendering must not be used"
    assert go(out)
    assert pixels.read(out).pixels.equal(pixels.read(tmp_path / "a" / "print.png").pixels)
    assert out.read_bytes() == (tmp_path / "a" / "print.png").read_bytes()
    assert not any(path.exists() for path in files_of(out))
