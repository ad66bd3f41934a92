"""The catalog's file: versions, foreign keys, history that stays, several writers at a time."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from upimagine.data import schema
from upimagine.data.catalog import Catalog
from upimagine.data.flags import FLAGS
from upimagine.data.labelling import current_labels, give_label, label_history
from upimagine.data.thresholds import count_pictures, flag_states, set_threshold
from upimagine.errors import UpimagineError


def put(catalog: Catalog, number: int, **scores: float) -> bytes:
    """A picture with a place, as a scan would leave it."""
    sha256 = number.to_bytes(32, "big")
    with catalog.writing() as connection:
        who = catalog.writer()
        picture = connection.execute(
            "INSERT INTO pictures (sha256, bytes, height, width, measured, writer, added) "
            "VALUES (?, 9, 8, 7, 1, ?, '')",
            (sha256, who),
        ).lastrowid
        connection.execute(
            "INSERT INTO places (path, picture, bytes, mtime_ns, writer) VALUES (?, ?, 9, 0, ?)",
            (f"/p/{number}.jpg", picture, who),
        )
        for name, value in scores.items():
            connection.execute("INSERT INTO scores VALUES (?, ?, ?, ?)", (picture, catalog.measure(name), value, who))
    return sha256


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog.db", create=True, who="ann")


def test_a_file_of_version_1_is_brought_up_and_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = sqlite3.connect(path, isolation_level=None)
    for statement in schema.MIGRATIONS[0]:
        old.execute(statement)
    old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO writers VALUES (1, 'bob', 'before', '2020')")
    old.execute("INSERT INTO pictures VALUES (1, ?, 9, 8, 7, 1, 1, '2020')", (bytes(32),))
    old.execute("INSERT INTO places VALUES ('/p/a.jpg', 1, 9, 0, NULL, NULL, 1)")
    old.execute("INSERT INTO measures VALUES (1, 'blur')")
    old.execute("INSERT INTO scores VALUES (1, 1, 0.95, 1)")
    old.execute("INSERT INTO flags VALUES ('blurred', 1, 'above', 'blur')")
    old.execute("INSERT INTO thresholds VALUES (1, 'blurred', 0.5, 1, '2020')")
    old.execute("INSERT INTO labels VALUES (1, 1, 'keep', 'yes', 1, '2020')")
    old.close()
    with Catalog(path) as catalog:
        tables = {name for (name,) in catalog.connection.execute("SELECT name FROM sqlite_master")}
        assert "near" in tables
        assert catalog.connection.execute("PRAGMA user_version").fetchone()[0] == len(schema.MIGRATIONS)
        # No hash yet: the next scan must measure again.
        assert catalog.connection.execute("SELECT measured, phash, compared FROM pictures").fetchall() == [(0, None, 0)]
        assert label_history(catalog, bytes(32))[0].who == "bob"
        states = {state.name: state for state in flag_states(catalog)}
        assert states.keys() == FLAGS.keys()
        assert (states["blurred"].threshold, states["blurred"].raised) == (0.5, 1), "moved thresholds stay"
        assert catalog.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_what_is_no_catalog_or_too_new_is_refused_and_not_changed(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE mine (a)").connection.close()
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to look at: " * 9)
    new = tmp_path / "new.db"
    Catalog(new, create=True).close()
    sqlite3.connect(new).execute("PRAGMA user_version = 99").connection.close()
    for path, said in ((other, "another program's"), (text, "is no catalog"), (new, "version 99")):
        before = path.read_bytes()
        with pytest.raises(UpimagineError, match=said) as error:
            Catalog(path, create=True)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
        assert path.read_bytes() == before
    with pytest.raises(UpimagineError, match="no such catalog"):
        Catalog(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_rows_that_point_nowhere_are_refused(catalog: Catalog) -> None:
    for statement in (
        "INSERT INTO scores VALUES (1, 1, 0.5, 1)",
        "INSERT INTO places (path, picture, bytes, mtime_ns, writer) VALUES ('/a', 77, 1, 1, 1)",
        "INSERT INTO places (path, picture, bytes, mtime_ns, writer) VALUES ('/a', NULL, 1, 1, 1)",
    ):
        with pytest.raises(sqlite3.IntegrityError), catalog.writing() as connection:
            connection.execute(statement)
    assert catalog.connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_labels_say_who_gave_them_and_are_only_added(catalog: Catalog) -> None:
    picture = put(catalog, 1)
    give_label(catalog, picture, "keep", "yes")
    with Catalog(catalog.path, who="ben") as other:
        give_label(other, picture, "keep", "no")
    give_label(catalog, picture, "keep", None)
    give_label(catalog, picture, "keep", "maybe")
    history = label_history(catalog, picture)
    assert [(label.who, label.value) for label in history] == [
        ("ann", "yes"),
        ("ben", "no"),
        ("ann", None),
        ("ann", "maybe"),
    ]
    assert [label.given for label in history] == sorted(label.given for label in history)
    assert current_labels(history) == {("keep", "ann"): "maybe", ("keep", "ben"): "no"}
    assert current_labels(history[:3]) == {("keep", "ben"): "no"}
    for statement in ("UPDATE labels SET value = 'x'", "DELETE FROM labels", "DELETE FROM thresholds"):
        with pytest.raises(sqlite3.IntegrityError, match="only added"), catalog.writing() as connection:
            connection.execute(statement)
    assert label_history(catalog, picture) == history
    with pytest.raises(UpimagineError, match="knows no picture"):
        give_label(catalog, bytes(32), "keep", "yes")


def test_a_moved_threshold_counts_at_once_and_the_former_are_kept(catalog: Catalog) -> None:
    for number, blurred in enumerate((0.1, 0.5, 0.6, 0.9), 1):
        put(catalog, number, blur=blurred, side_px=300)

    def raised() -> int:
        return {state.name: state.raised for state in flag_states(catalog)}["blurred"]

    counts = []
    for limit in (0.6, 0.05, None, 0.95):
        set_threshold(catalog, "blurred", limit)
        counts.append((raised(), count_pictures(catalog)))
    assert counts == [(2, (4, 2)), (4, (4, 0)), (0, (4, 4)), (0, (4, 4))]
    set_threshold(catalog, "small", 300)
    assert count_pictures(catalog) == (4, 0), "a score at the threshold raises the flag"
    rows = catalog.connection.execute("SELECT value FROM thresholds WHERE flag = 'blurred' ORDER BY id").fetchall()
    assert [value for (value,) in rows] == [FLAGS["blurred"].threshold, 0.6, 0.05, None, 0.95]
    for flag, value in (("blured", 0.5), ("blurred", float("nan"))):
        with pytest.raises(UpimagineError):
            set_threshold(catalog, flag, value)


def test_what_fails_inside_a_transaction_leaves_nothing(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError), catalog.writing() as connection:
        connection.execute("INSERT INTO measures (name) VALUES ('x')")
        catalog.writer()
        raise ZeroDivisionError
    assert catalog.connection.execute("SELECT count(*) FROM measures WHERE name = 'x'").fetchone()[0] == 0
    put(catalog, 1)  # the writer's row went with the rest, and is made anew
    assert catalog.connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_several_writers_lose_nothing(catalog: Catalog) -> None:
    picture = put(catalog, 1)
    failures: list[BaseException] = []

    def write(who: str) -> None:
        try:
            with Catalog(catalog.path, who=who) as mine:
                for number in range(40):
                    give_label(mine, picture, "keep", str(number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"writer {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    history = label_history(catalog, picture)
    for number in range(4):
        said = [label.value for label in history if label.who == f"writer {number}"]
        assert said == [str(value) for value in range(40)]


def test_several_processes_may_make_one_catalog(tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.db"
    script = (
        "import sys; from pathlib import Path; from upimagine.data.catalog import Catalog; "
        "from upimagine.data.thresholds import set_threshold\n"
        "with Catalog(Path(sys.argv[1]), create=True) as mine: set_threshold(mine, 'small', float(sys.argv[2]))"
    )
    makers = [subprocess.Popen([sys.executable, "-c", script, str(path), str(number)]) for number in range(3)]
    assert [maker.wait() for maker in makers] == [0, 0, 0]
    with Catalog(path) as catalog:
        rows = catalog.connection.execute("SELECT value FROM thresholds WHERE flag = 'small'").fetchall()
        assert sorted(value for (value,) in rows) == [0, 1, 2, FLAGS["small"].threshold]
        assert len(flag_states(catalog)) == len(FLAGS)


KEPT = """
import sys
from pathlib import Path
from upimagine.data.catalog import Catalog
from upimagine.data.labelling import give_label
with Catalog(Path(sys.argv[1])) as mine:
    for number in range(100_000):
        give_label(mine, (1).to_bytes(32, "big"), "keep", str(number))
        print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 60])
def test_a_killed_writer_loses_nothing_that_it_had_called_saved(catalog: Catalog, after: int) -> None:
    picture = put(catalog, 1)
    command = [sys.executable, "-c", KEPT, str(catalog.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()  # what it still said before it died
    told = [line.strip() for line in said if line.endswith("\n")]
    saved = [label.value for label in label_history(catalog, picture)]
    assert saved[: len(told)] == told
    assert len(saved) <= len(told) + 1
    assert catalog.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
