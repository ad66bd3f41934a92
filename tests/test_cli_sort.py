"""`upimagine sort` as one meets it on the command line."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from phones import Server, server
from test_sort_browser import make_catalog

from upimagine.cli import main
from upimagine.data.catalog import Catalog
from upimagine.data.verdicts import verdicts
from upimagine.studio.qr import qr_code


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return make_catalog(tmp_path, 40)


def test_a_log_is_taken_over_and_a_taste_learned_from_it(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "swipes.log"
    log.write_text("".join(f"2020-01-01 10:00:{n:02}.5 {n:05}.png:{1 if n % 2 else -1}\n" for n in range(30)))
    assert main(["sort", str(catalog), "--taste"]) == 1
    assert "there are 0 keeps and 0 rejects; sort some more first" in capsys.readouterr().err
    assert main(["sort", str(catalog), "--swipelabel", str(log), "--who", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"] == {"keep": 15, "reject": 15}
    with log.open("a") as file:
        file.write("nonsense\n")
    assert main(["sort", str(catalog), "--swipelabel", str(log), "--who", "ann"]) == 3
    assert "line 31: not" in capsys.readouterr().err
    assert main(["sort", str(catalog), "--taste", "--json"]) == 0
    taste = json.loads(capsys.readouterr().out)["taste"]
    assert (taste["pictures"], taste["swipes"]) == (40, 30) and 0 <= taste["interval"][0] < taste["interval"][1] <= 1
    assert main(["prepare", "--into", str(catalog), "--export", str(tmp_path / "kept.jsonl"), "--which", "keep"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert [int(Path(row["path"]).stem) for row in rows] == list(range(1, 30, 2))
    assert all(0 < row["scores"]["taste"] < 1 for row in rows)
    assert "sorted: 15 keep, 15 reject, 0 unsure" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--which", "unsure"], "nothing was sorted as unsure yet"),
        (["--which", "flagged"], "all flagged pictures are sorted"),
        (["--port", "70000"], "give 0 to 65535"),
        (["--swipelabel", "none.log"], "none.log cannot be read"),
    ],
)
def test_what_cannot_work_is_one_line(
    catalog: Path, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sort", str(catalog), *arguments]) == 1
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
    assert main(["sort", str(catalog.with_name("none.db"))]) == 1
    assert "no such catalog" in capsys.readouterr().err


def test_the_code_in_the_terminal_says_the_address() -> None:
    address = "http://192.168.178.21:8050/enter/QX2sftaiho1V2ykBeolnBA"
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in qr_code(address).splitlines()]
    halves = {" ": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
    picture = np.array([[halves[mark][half] for mark in line] for line in lines for half in (0, 1)], np.uint8)
    shown = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    assert cv2.QRCodeDetector().detectAndDecode(shown)[0] == address


def test_doubtful_first_learns_while_one_swipes_and_ctrl_c_writes_the_score(catalog: Path) -> None:
    with server(catalog, "--order", "doubtful", "--who", "ann", "--json") as running:
        about = httpx.get(f"{running.url}sort/about").json()
        hand, held, swiped, answer = "0" * 8 + "-0000-4000-8000-" + "0" * 12, [], 0, {"taste": ""}
        while swiped < 38:
            if not held:
                answer = say(running, about, hand, held, [], 40)
                held = answer["more"]
                assert len(held) <= 40
            picture = held.pop(0)
            answer = say(running, about, hand, held, [(swiped, picture)], 0)
            swiped += 1
        people = httpx.get(f"{running.url}sort/people").json()
        assert people["people"][0]["sorted"] == 38
        assert "needs 24 swipes" not in people["taste"] and people["taste"].startswith("Doubtful first. The taste was")
        running.process.send_signal(signal.SIGINT)
        out, err = running.process.communicate(timeout=60)
        assert json.loads(out)["verdicts"] == {"keep": 19, "reject": 19} and "score `taste` written" in err
    with Catalog(catalog) as opened:
        tasted = opened.connection.execute(
            "SELECT count(*) FROM scores JOIN measures ON measures.id = measure WHERE name = 'taste'"
        ).fetchone()[0]
        assert tasted == 40 and len(verdicts(opened.connection)) == 38


def say(
    running: Server, about: dict[str, str], hand: str, holds: list[str], swiped: list[tuple[int, str]], want: int
) -> dict[str, list[str]]:
    """One message of a page that keeps every second picture."""
    swipes = [
        {"uuid": f"00000000-0000-4000-8000-{number:012}", "picture": picture, "verdict": ("keep", "reject")[number % 2]}
        for number, picture in swiped
    ]
    message = {"catalog": about["catalog"], "hand": hand, "who": "ann", "holds": holds, "swipes": swipes, "want": want}
    answer = httpx.post(f"{running.url}sort/message", json=message)
    assert answer.status_code == 200, answer.text
    said: dict[str, list[str]] = answer.json()
    return said
