"""Verdicts in the catalog: each swipe once, undo to what was said before, the majority's word, SwipeLabel's logs."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upimagine.data.catalog import Catalog
from upimagine.data.labelling import give_label, label_history
from upimagine.data.records import belongs, picture_paths
from upimagine.data.sources import opened
from upimagine.data.swipelabel import import_swipelabel
from upimagine.data.swipes import Swipe, SwipeBook
from upimagine.data.verdicts import VERDICT, verdicts, verdicts_by_person
from upimagine.errors import UpimagineError


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Pictures 1 to 5, of which 5 is flagged; of 1 there are two files of one name."""
    catalog = Catalog(tmp_path / "catalog.db", create=True, who="ann")
    with catalog.writing() as connection:
        writer = catalog.writer()
        for number in range(1, 6):
            connection.execute(
                "INSERT INTO pictures (id, sha256, bytes, height, width, measured, writer, added) "
                "VALUES (?, ?, 9, 8, 7, 1, ?, '')",
                (number, content(number), writer),
            )
            put_place(catalog, f"/p/{number}.jpg", number)
        connection.execute("INSERT INTO scores VALUES (5, ?, 0.99, ?)", (catalog.measure("blur"), writer))
    return catalog


def put_place(catalog: Catalog, path: str, picture: int) -> None:
    catalog.connection.execute(
        "INSERT INTO places (path, picture, bytes, mtime_ns, writer) VALUES (?, ?, 9, 0, 1)", (path, picture)
    )


def writer_of(catalog: Catalog, who: str) -> int:
    row = catalog.connection.execute("INSERT INTO writers (who, tool, began) VALUES (?, 'test', '')", (who,))
    assert row.lastrowid is not None
    return row.lastrowid


def content(number: int) -> bytes:
    return number.to_bytes(32, "big")


def swipe(number: int, verdict: str | None, undoes: uuid.UUID | None = None) -> Swipe:
    return Swipe(uuid.uuid4(), content(number), verdict, undoes)  # type: ignore[arg-type]  # a verdict by its name


def test_a_swipe_that_is_sent_again_counts_once(catalog: Catalog) -> None:
    book, swipes = SwipeBook(catalog, "test"), [swipe(1, "keep"), swipe(2, "reject"), swipe(9, "keep")]
    first = book.take_down("ben", swipes)
    assert [(taken.picture, taken.verdict) for taken in first] == [(1, "keep"), (2, "reject"), (None, None)]
    assert book.take_down("ben", swipes) == first
    assert SwipeBook(catalog, "another sitting").take_down("ben", [*swipes, swipe(1, "unsure")])[0].verdict == "keep"
    assert [(label.value, label.who) for label in label_history(catalog, content(1))] == [
        ("keep", "ben"),
        ("unsure", "ben"),
    ]


def test_undo_says_again_what_the_same_person_said_before(catalog: Catalog) -> None:
    book = SwipeBook(catalog, "test")
    first, second, third = (swipe(1, verdict) for verdict in ("keep", "reject", "unsure"))
    book.take_down("ben", [first, second])
    book.take_down("ann", [swipe(1, "unsure")])
    book.take_down("ben", [third])
    undone = [book.take_down("ben", [swipe(1, None, each.name)])[0].verdict for each in (third, second, first)]
    assert undone == ["reject", "keep", None]
    assert verdicts_by_person(catalog.connection) == {"ben": {}, "ann": {1: "unsure"}}
    never_sent = swipe(2, None, uuid.uuid4())
    assert book.take_down("ben", [never_sent])[0].verdict is None
    assert len(label_history(catalog, content(1))) == 7, "nothing is forgotten"


def test_a_message_is_written_whole_or_not_at_all(catalog: Catalog) -> None:
    book = SwipeBook(catalog, "test")
    bad = Swipe(uuid.uuid4(), content(2), "keep", given=b"".join)  # type: ignore[arg-type]  # SQLite takes no function
    with pytest.raises(Exception, match="type"):
        book.take_down("ben", [swipe(1, "keep"), bad])
    assert verdicts(catalog.connection) == {}
    book.take_down("ben", [swipe(1, "keep")])  # its row among the writers went with the rest, and is made anew
    assert verdicts(catalog.connection) == {1: "keep"}


_WORDS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("abc"), st.sampled_from(["keep", "reject", "unsure", None])),
    max_size=30,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_WORDS)
def test_the_majority_of_last_words_is_the_verdict(catalog: Catalog, words: list[tuple[int, str, str | None]]) -> None:
    with catalog.writing() as connection:  # what an earlier example said is taken back first
        people = [writer_of(catalog, who) for who in "abc"]
        connection.executemany(
            "INSERT INTO labels VALUES (NULL, ?, 'verdict', NULL, ?, '')",
            [(picture, person) for picture in range(1, 5) for person in people],
        )
        connection.executemany(
            "INSERT INTO labels VALUES (NULL, ?, 'verdict', ?, ?, '')",
            [(picture, value, writer_of(catalog, who)) for picture, who, value in words],
        )
    last = {(picture, who): value for picture, who, value in words}
    expected = {}
    for picture in {picture for picture, _ in last}:
        said = [value for (other, _), value in last.items() if other == picture and value is not None]
        lead = said.count("keep") - said.count("reject")
        if said:
            expected[picture] = "keep" if lead > 0 else "reject" if lead < 0 else "unsure"
    assert verdicts(catalog.connection) == expected


def test_people_outrank_flags_and_data_is_what_they_left(catalog: Catalog) -> None:
    SwipeBook(catalog, "test").take_down(
        "ben", [swipe(1, "keep"), swipe(2, "reject"), swipe(3, "unsure"), swipe(5, "keep")]
    )
    give_label(catalog, content(4), "colour", "reject")  # another label is no verdict

    def names(which: str) -> list[str]:
        return [path.stem for path in picture_paths(catalog, which)]  # type: ignore[arg-type]

    assert names("good") == ["1", "3", "4", "5"] and names("clean") == ["1", "2", "3", "4"]
    assert (names("keep"), names("reject"), names("unsure")) == (["1", "5"], ["2"], ["3"])
    assert (names("unsorted"), names("flagged"), names("all")) == (["4"], ["5"], ["1", "2", "3", "4", "5"])
    for given_path, wanted in (("catalog.db", "1345"), ("catalog.db:keep", "15"), ("catalog.db:all", "12345")):
        with opened([catalog.path.with_name(given_path)]) as found:
            assert "".join(each.path.stem for each in found) == wanted
    SwipeBook(catalog, "test").take_down("ben", [swipe(3, None)])
    with (
        pytest.raises(UpimagineError, match="no picture that is unsure; sort more"),
        opened([catalog.path.with_name("catalog.db:unsure")]),
    ):
        pass
    with pytest.raises(UpimagineError, match="is not a folder"), opened([catalog.path.with_name("catalog.db:kept")]):
        pass
    assert belongs("good", True, "unsure") is False


LOG = """2019-05-04 12:00:00.000001 1.jpg:1
2019-05-04 12:00:01.5 p/2.jpg:-1
2019-05-04 12:00:02.250000 /p/3.jpg:0

2019-05-04 12:00:03 1.jpg:-1
2019-05-04 12:00:04.1 odd: name.jpg:1
2019-02-31 12:00:04.1 4.jpg:1
2019-05-04 12:00:05.1 4.jpg:2
2019-05-04 12:00:05.1 missing.jpg:1
2019-05-04 12:00:06.1 twice.jpg:1
"""


def test_a_swipelabel_log_comes_in_once(catalog: Catalog, tmp_path: Path) -> None:
    put_place(catalog, "/p/odd: name.jpg", 4)
    put_place(catalog, "/a/twice.jpg", 1)
    put_place(catalog, "/b/twice.jpg", 2)
    log = tmp_path / "log.txt"
    log.write_text(LOG)
    imported = import_swipelabel(catalog, log, "ben", "test")
    assert (imported.swipes, imported.older) == (5, 0)
    assert [trouble.split(": ", 1)[0].rpartition(" ")[2] for trouble in imported.troubles] == ["7", "8", "9", "10"]
    assert "several pictures" in imported.troubles[3] and "no such picture" in imported.troubles[2]
    expected = {1: "reject", 2: "reject", 3: "unsure", 4: "keep"}
    assert verdicts(catalog.connection) == expected
    assert label_history(catalog, content(1))[0].given.endswith(".000001+00:00")
    SwipeBook(catalog, "test").take_down("ben", [swipe(2, "keep")])  # what is said later outranks the log
    again = import_swipelabel(catalog, log, "ben", "test")
    assert again.swipes + again.older == 5 and verdicts(catalog.connection) == expected | {2: "keep"}
    count = catalog.connection.execute("SELECT count(*) FROM labels WHERE name = ?", (VERDICT,)).fetchone()[0]
    assert count == 6


@pytest.mark.parametrize("text", ["", "hello\nworld\n"])
def test_what_is_no_log_is_said_to_be_none(catalog: Catalog, tmp_path: Path, text: str) -> None:
    log = tmp_path / "log.txt"
    log.write_text(text)
    with pytest.raises(UpimagineError, match=r"YYYY-MM-DD|is empty"):
        import_swipelabel(catalog, log, "ben", "test")
    with pytest.raises(UpimagineError, match="cannot be read"):
        import_swipelabel(catalog, tmp_path / "none.txt", "ben", "test")
