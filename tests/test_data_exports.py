"""What is taken out of a catalog: tables that read back the same, links, the page of the worst."""

from __future__ import annotations

import csv
import json
import re
import sys
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from planted import SPOILT, scaled, sound

from upimagine.data.catalog import Catalog
from upimagine.data.labelling import give_label
from upimagine.data.links import link_pictures
from upimagine.data.records import Record, picture_paths, records
from upimagine.data.scan import scan
from upimagine.data.tables import export_table
from upimagine.data.thresholds import flag_states
from upimagine.data.worst import worst_page
from upimagine.errors import UpimagineError

NAME = 'odd, "name" <b>&é.jpg'


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Six pictures: three sound ones, a small copy of the first, a blurred one, a grey one with an odd name."""
    portraits = sound()
    pictures = {
        "0.jpg": portraits[0],
        "1.jpg": portraits[1],
        "2.jpg": portraits[2],
        "copy.jpg": scaled(portraits[0], 0.8),
        "soft.jpg": SPOILT["blurred"](portraits[3], 3),
        NAME: SPOILT["grey"](portraits[4], 0),
    }
    folder = tmp_path / "in"
    folder.mkdir()
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / name), picture[..., ::-1])
    catalog = Catalog(tmp_path / "catalog.db", create=True, who="Ann, the <i>first</i>")
    scan(catalog, [folder])
    for record in records(catalog):
        if record.path.endswith("1.jpg"):
            give_label(catalog, record.sha256, "keep", 'yes,\n"indeed" ✓')
            give_label(catalog, record.sha256, "keep", None)
    return catalog


def names(pictures: Any) -> list[str]:
    return [Path(record.path).name for record in pictures]


def test_records_are_all_clean_or_flagged(catalog: Catalog) -> None:
    assert names(records(catalog)) == ["0.jpg", "1.jpg", "2.jpg", "copy.jpg", NAME, "soft.jpg"]
    assert names(records(catalog, "clean")) == ["0.jpg", "1.jpg", "2.jpg"]
    assert names(records(catalog, "flagged")) == ["copy.jpg", NAME, "soft.jpg"]
    assert [path.name for path in picture_paths(catalog, "clean")] == ["0.jpg", "1.jpg", "2.jpg"]
    flags = {Path(record.path).name: record.flags for record in records(catalog)}
    assert flags["copy.jpg"] == ("duplicate",)
    assert "blurred" in flags["soft.jpg"]
    assert flags[NAME] == ("grey",)
    for which in ("clean", "all"):
        counted = sum("blurred" in record.flags for record in records(catalog, which))
        assert counted == (which == "all") * {state.name: state.raised for state in flag_states(catalog)}["blurred"]


def same(row: dict[str, Any], record: Record, scores: dict[str, float], labels: list[dict[str, Any]]) -> None:
    assert (row["path"], row["sha256"]) == (record.path, record.sha256.hex())
    sizes = tuple(int(row[name]) for name in ("places", "bytes", "height", "width"))
    assert sizes == (record.places, record.bytes, record.height, record.width)
    assert scores == record.scores, "to the last bit"
    assert [(label["name"], label["value"], label["who"]) for label in labels] == [
        (label.name, label.value, label.who) for label in record.labels
    ]


def test_a_csv_reads_back_the_same(catalog: Catalog, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    assert export_table(catalog, table) == 6
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    plain = {"path", "sha256", "places", "bytes", "height", "width", "flags", "labels"}
    for row, record in zip(rows, records(catalog), strict=True):
        scores = {name: float(value) for name, value in row.items() if name not in plain and value}
        same(row, record, scores, json.loads(row["labels"]))
        assert tuple(row["flags"].split()) == record.flags


def test_jsonl_reads_back_the_same(catalog: Catalog, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    assert export_table(catalog, table, "flagged") == 3
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    for row, record in zip(rows, records(catalog, "flagged"), strict=True):
        same(row, record, row["scores"], row["labels"])
        assert tuple(row["flags"]) == record.flags


def test_parquet_reads_back_the_same(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("upimagine.data.tables._GROUP", 4)
    table = tmp_path / "table.parquet"
    assert export_table(catalog, table) == 6
    rows = parquet.read_table(table).to_pylist()
    for row, record in zip(rows, records(catalog), strict=True):
        scores = {name: value for name, value in row.items() if isinstance(value, float)}
        same(row, record, scores, json.loads(row["labels"]))


def test_parquet_without_pyarrow_is_one_line_with_the_mend(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UpimagineError, match=r"pip install 'upimagine\[parquet\]'") as error:
        export_table(catalog, tmp_path / "table.parquet")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "table.parquet").exists()


def test_tables_are_not_replaced_unasked_and_have_known_endings(catalog: Catalog, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("mine")
    with pytest.raises(UpimagineError, match="exists"):
        export_table(catalog, table)
    assert table.read_text() == "mine"
    assert export_table(catalog, table, overwrite=True) == 6
    with pytest.raises(UpimagineError, match=r"end it in \.csv"):
        export_table(catalog, tmp_path / "table.xlsx")


def test_links_lead_to_the_pictures(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "in" / "2.jpg").unlink()
    folder = tmp_path / "out" / "links"
    linked = link_pictures(records(catalog, "clean"), folder)
    assert (linked.links, linked.copies) == (2, 0)
    assert len(linked.missing) == 1 and "2.jpg" in linked.missing[0]
    assert sorted(path.resolve().name for path in folder.iterdir()) == ["0.jpg", "1.jpg"]
    assert all(path.is_symlink() for path in folder.iterdir())
    assert [path.name for path in folder.parent.iterdir()] == ["links"], "nothing unfinished is left"
    with pytest.raises(UpimagineError, match="not an empty folder"):
        link_pictures(records(catalog), folder)
    assert len(list(folder.iterdir())) == 2
    assert (tmp_path / "in" / "0.jpg").is_file()


def test_where_links_are_impossible_there_are_copies(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    linked = link_pictures(records(catalog), tmp_path / "copies")
    assert (linked.links, linked.copies) == (0, 6)
    originals = {path.read_bytes() for path in (tmp_path / "in").iterdir()}
    assert {path.read_bytes() for path in (tmp_path / "copies").iterdir()} == originals


class Page(HTMLParser):
    """Sections with their items: (words, thumbnails, whether it is outlined)."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str, list[tuple[list[str], list[str], bool]]] = {}
        self.tags: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attributes)
        for name in ("src", "href"):
            if name in given and not str(given[name]).startswith(("data:", "#")):
                self.outside.append(str(given[name]))
        if tag == "section":
            self._items = self.sections.setdefault(str(given["id"]), [])
        elif tag == "li" and given.get("class"):
            self._items.append(([], [], given["class"] == "raised"))
        elif tag == "img":
            self._items[-1][1].append(str(given["src"]))

    def handle_data(self, data: str) -> None:
        if self.sections and self._items and data.strip():
            self._items[-1][0].append(data.strip())


def test_the_page_shows_the_worst_first_and_loads_nothing(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "in" / "2.jpg").unlink()
    out = tmp_path / "worst.html"
    worst_page(catalog, out, most=4)
    text = out.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.sections.keys() == {state.name for state in flag_states(catalog)}
    assert not page.outside and "http" not in re.sub(r"http-equiv", "", text)
    assert "script" not in page.tags and "b>&é" not in text, "names are shown as they are, not run"
    grey = page.sections["grey"]
    assert len(grey) == 4
    assert NAME in grey[0][0] and [item[2] for item in grey] == [True, False, False, False]
    values = [next(float(word) for word in item[0] if re.fullmatch(r"[\d.e+-]+", word)) for item in grey]
    assert values == sorted(values)
    twin = page.sections["duplicate"][0]
    assert "copy.jpg" in twin[0] and any("0.jpg" in word for word in twin[0]) and len(twin[1]) == 2
    assert page.sections["faceless"] == []
    assert "cannot be read" in text, "the picture that is gone has no thumbnail"
    encoded = b64decode(twin[1][0].removeprefix("data:image/jpeg;base64,"))
    assert max(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR).shape) == 112
    with pytest.raises(UpimagineError, match="exists"):
        worst_page(catalog, out)
