"""The run's page: whole, self-contained, escaped, readable by a parser."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from upimagine.train.curves import Chart, charts_of, draw
from upimagine.train.journal import Line
from upimagine.train.page import Report, Shown, render, time_left, write_page
from upimagine.train.watch import Finding

VOID = {"meta", "img", "polyline"}
FOUND = Finding(
    "discriminator too strong", "its loss <fell> to 0.05", "it is & was", "--rollback, or --gamma 10", None, 4.0
)
LINES: list[Line] = [
    {"kimg": 1.0, "discriminator/loss": 1.2, "generator/loss": 2.0, "generator/gradient_norm": 10.0, "odd<name>": 3.0},
    {"kimg": 2.0, "event": "resumed"},
    {"kimg": 2.0, "discriminator/loss": 0.9, "generator/loss": None, "generator/gradient_norm": 1000.0},
    {"kimg": 4.0, "discriminator/loss": 0.6, "generator/loss": 3.0, "generator/gradient_norm": 100.0},
]
REPORT = Report(
    title='<script>alert("x")</script>',
    state="training",
    kimg=4.0,
    total_kimg=200.0,
    seconds_left=7200.0,
    written="2030-01-02 03:04 UTC",
    lines=LINES,
    active=[FOUND],
    past=[dataclasses.replace(FOUND, name="sameness", until_kimg=4.5)],
    settings={
        "task": "dcgan",
        "about": "<img src=http://example.org/x.png>",
        "augment": ["color", "cutout"],
        "init_from": None,
        "rollbacks": [
            {"from_kimg": 9.0, "to_kimg": 3.0, "because": ["<b>"], "learning_rate_times": {"discriminator": 0.5}}
        ],
    },
    preview=Shown(4.0, "data:image/jpeg;base64,AAAA"),
    strip=[Shown(2.0, "data:image/jpeg;base64,AAAA"), Shown(4.0, "data:image/jpeg;base64,BBBB")],
    film="film.webp",
)


class Reader(HTMLParser):
    """Checks that elements close in order; collects their attributes and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_every_element_closes_and_nothing_comes_from_outside() -> None:
    reader = parsed(render(REPORT))
    addresses = [
        value
        for _, attributes in reader.seen
        for name, value in attributes.items()
        if name in ("src", "href", "srcset")
    ]
    assert [a for a in addresses if not (a or "").startswith("data:image/jpeg;base64,")] == ["film.webp"]
    tags = {tag for tag, _ in reader.seen}
    assert not tags & {"script", "link", "iframe", "object", "base"}
    assert all(not name.startswith("on") for _, attributes in reader.seen for name in attributes)
    style = re.search(r"<style>(.*)</style>", render(REPORT), re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "prefers-color-scheme:dark" in style[1]


def test_what_comes_from_outside_is_escaped() -> None:
    page = render(REPORT)
    assert "<script" not in page
    assert "<img src=http" not in page
    text = parsed(page).text
    for told in (
        '<script>alert("x")</script>',
        "<img src=http://example.org/x.png>",
        "<fell>",
        "it is & was",
        "odd<name>",
    ):
        assert told in text
    assert "<b>)" in text  # a finding's name within the list of rollbacks


def test_pictures_and_curves_have_words_for_those_who_do_not_see_them() -> None:
    reader = parsed(render(REPORT))
    assert dict(reader.seen[0][1])["lang"] == "en"
    assert all(attributes.get("alt") for tag, attributes in reader.seen if tag == "img")
    drawings = [attributes for tag, attributes in reader.seen if tag == "svg"]
    assert len(drawings) == 3
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawings)
    assert "discriminator: loss from 1.2 to 0.6" in (drawings[0]["aria-label"] or "")
    levels = [int(tag[1]) for tag, _ in reader.seen if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_page_tells_how_the_run_stands() -> None:
    text = parsed(render(REPORT)).text
    for told in (
        "Training: 4.0 of 200 thousand pictures shown, 2.0 h left",
        "since 4 kimg",
        "Likely cause",
        "color, cutout",
    ):
        assert told in text
    assert "9 to 3 kimg" in text
    assert "of discriminator times 0.5" in text
    assert "Nothing is amiss" not in text
    well = parsed(render(dataclasses.replace(REPORT, active=[], past=[], preview=None, lines=[], film=None))).text
    assert "Nothing is amiss" in well
    assert "Numbers" not in well
    assert [time_left(seconds) for seconds in (30.0, 150.0, 5400.0, 9000.0)] == ["30 s", "2 min", "90 min", "2.5 h"]


def test_every_number_is_drawn_once() -> None:
    charts = charts_of(LINES)
    names = [name for chart in charts for name in chart.names]
    assert sorted(names) == ["discriminator/loss", "generator/gradient_norm", "generator/loss", "odd<name>"]
    assert [chart.names for chart in charts if chart.title == "Losses"] == [("discriminator/loss", "generator/loss")]


def points(chart: Chart, lines: list[Line]) -> list[list[tuple[float, float]]]:
    figure = ElementTree.fromstring(draw(chart, lines))
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]
        for line in figure.iter("polyline")
    ]


def test_curves_go_where_the_numbers_are() -> None:
    loss, generator = points(Chart("Losses", ("discriminator/loss", "generator/loss")), LINES)
    assert [x for x, _ in loss] == [0.0, 200.0, 600.0]
    # The span is .6 to 3.0, on 8 to 192 of 200, upside down as in any drawing.
    assert [y for _, y in loss] == pytest.approx([192 - 184 * (v - 0.6) / 2.4 for v in (1.2, 0.9, 0.6)], abs=0.1)
    assert generator == [(0.0, pytest.approx(192 - 184 * 1.4 / 2.4, abs=0.1)), (600.0, 8.0)]
    (norms,) = points(Chart("Gradients", ("generator/gradient_norm",), logarithmic=True), LINES)
    assert [y for _, y in norms] == [192.0, 8.0, 100.0]
    (single,) = points(Chart("odd", ("odd<name>",)), LINES)
    assert single == [(0.0, 100.0), (600.0, 100.0)]


def test_a_long_run_is_drawn_with_few_points_from_its_beginning_to_its_end() -> None:
    lines: list[Line] = [{"kimg": float(i + 1), "x": float(i % 2)} for i in range(9001)]
    (line,) = points(Chart("x", ("x",)), lines)
    assert 300 < len(line) <= 401
    assert line[-1][0] == 600.0
    assert line[-1][1] == 192.0  # the last is as it is
    assert all(y < 50 for _, y in line[:-1])  # the others are means of zeros and ones


def test_a_kill_while_the_page_is_written_leaves_a_whole_page(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import dataclasses
from test_train_page import REPORT, Shown, write_page
run = Path(sys.argv[1])
preview = Shown(4.0, "data:image/jpeg;base64," + "A" * 3_000_000)
for number in range(10**6):
    write_page(run, dataclasses.replace(REPORT, title=f"page {number}", preview=preview))
    print(number, flush=True)
"""
    for many in (1, 4):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(many):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        page = (tmp_path / "index.html").read_text()
        assert page.endswith("</html>\n")
        parsed(page)
        number = re.search(r"<h1>page (\d+)</h1>", page)
        assert number is not None
        assert int(number[1]) >= last


def test_a_page_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    write_page(tmp_path, REPORT)
    write_page(tmp_path, dataclasses.replace(REPORT, title="second"))
    assert "<h1>second</h1>" in (tmp_path / "index.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
