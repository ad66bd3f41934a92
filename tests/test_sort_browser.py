"""Sorting in real browsers with a phone's screen and touch: swipes, undo, no network, two phones, a killed server."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
from phones import Phone, Server, needs_browser, phone, served
from selenium.webdriver.common.keys import Keys

from upimagine.data.catalog import Catalog
from upimagine.data.verdicts import VERDICT, verdicts_by_person

pytestmark = needs_browser


@pytest.fixture(scope="module")
def one_phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    with phone(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def make_catalog(folder: Path, count: int) -> Path:
    """A catalog of so many small pictures, no two alike, in the order of their numbers."""
    (folder / "in").mkdir()
    with Catalog(folder / "faces.db", create=True) as catalog, catalog.writing() as connection:
        writer = catalog.writer()
        for number in range(count):
            colours = np.random.default_rng(number).integers(0, 255, (6, 6, 3)).astype(np.uint8)
            picture = cv2.resize(colours, (48, 64), interpolation=cv2.INTER_CUBIC)
            content = cv2.imencode(".png", picture)[1].tobytes()
            path = folder / "in" / f"{number:05d}.png"
            path.write_bytes(content)
            connection.execute(
                "INSERT INTO pictures (id, sha256, bytes, height, width, measured, writer, added) "
                "VALUES (?, ?, ?, 64, 48, 1, ?, '')",
                (number + 1, hashlib.sha256(content).digest(), len(content), writer),
            )
            connection.execute(
                "INSERT INTO places (path, picture, bytes, mtime_ns, writer) VALUES (?, ?, ?, 0, ?)",
                (str(path), number + 1, len(content), writer),
            )
    return folder / "faces.db"


def said(path: Path) -> dict[int, str]:
    """Picture to verdict, of the only person."""
    with Catalog(path) as catalog:
        (words,) = verdicts_by_person(catalog.connection).values()
    return dict(words)


def labels(path: Path) -> int:
    with Catalog(path) as catalog:
        count: int = catalog.connection.execute("SELECT count(*) FROM labels WHERE name = ?", (VERDICT,)).fetchone()[0]
    return count


def swipe_and_see(phone: Phone, x: int, y: int) -> str:
    """Swipe the picture on top away; gives back which it was, once another is on top."""
    picture = phone.wait_top()
    phone.swipe(x, y)
    phone.until(lambda: phone.top() not in (picture, None) or phone.text("message"), "the next picture")
    return picture


def test_swipes_buttons_and_keys_say_what_they_should_and_undo_goes_back_to_the_first(
    one_phone: Phone, tmp_path: Path
) -> None:
    catalog = make_catalog(tmp_path, 12)
    with served(catalog) as (url, _):
        one_phone.driver.get(url)
        assert "12 left" in one_phone.until(lambda: one_phone.text("left"), "a count")
        for x, y in ((120, 10), (-120, 10), (0, -120)):
            swipe_and_see(one_phone, x, y)
        one_phone.swipe(30, 0, steps=30)  # too short, and slow
        one_phone.swipe(0, 150)  # downwards means nothing
        for name in ("keep", "reject", "unsure"):
            one_phone.wait_top()
            one_phone.tap(name)
        one_phone.press_each(Keys.ARROW_RIGHT + Keys.ARROW_LEFT + Keys.ARROW_UP)
        one_phone.wait_saved(9)
        words = ["keep", "reject", "unsure"]
        assert said(catalog) == {number + 1: words[number % 3] for number in range(9)}
        assert one_phone.text("left") == "3 left"
        one_phone.tap("undo")
        one_phone.tap("undo")
        one_phone.press("z")
        one_phone.wait_saved(12)
        assert said(catalog) == {number + 1: words[number % 3] for number in range(6)}
        one_phone.driver.refresh()  # what can be undone outlives the page
        one_phone.wait_top()
        one_phone.press("z" * 9)
        one_phone.wait_saved(18)
        assert said(catalog) == {} and one_phone.text("left") == "12 left"
        assert not one_phone.driver.find_element("id", "undo").is_enabled()
        one_phone.press_each((Keys.ARROW_RIGHT + Keys.ARROW_LEFT) * 6)
        one_phone.until(lambda: "All sorted" in one_phone.text("message"), "the end")
        assert Counter(said(catalog).values()) == {"keep": 6, "reject": 6}
        assert [entry for entry in one_phone.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_swipes_without_a_network_are_kept_through_a_reload_and_caught_up(one_phone: Phone, tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path, 40)
    with served(catalog) as (url, _):
        one_phone.driver.get(url)
        first = swipe_and_see(one_phone, 120, 0)
        one_phone.wait_saved(1)
        one_phone.driver.execute_async_script("navigator.serviceWorker.ready.then(() => arguments[0]())")
        one_phone.driver.refresh()  # from here on the worker keeps pictures, too
        one_phone.wait_top()
        one_phone.until(lambda: one_phone.driver.execute_async_script(KEPT) >= 39, "pictures kept")
    port = int(url.rpartition(":")[2])
    swiped = [swipe_and_see(one_phone, -120, 0) for _ in range(5)]
    one_phone.until(lambda: "offline, 5 kept here" in one_phone.text("state"), "the page to notice")
    one_phone.driver.refresh()
    swiped += [swipe_and_see(one_phone, -120, 0) for _ in range(5)]
    one_phone.tap("undo")
    one_phone.until(lambda: "offline, 11 kept here" in one_phone.text("state"), "all kept")
    assert first not in swiped and len(set(swiped)) == 10
    assert list(said(catalog).values()) == ["keep"], "nothing got through"
    with served(catalog, port=port):
        one_phone.wait_saved(12)
        assert Counter(said(catalog).values()) == {"keep": 1, "reject": 9}
        assert labels(catalog) == 12
        assert one_phone.wait_top() == swiped[-1]


KEPT = "caches.open('upimagine-sort-pictures').then((c) => c.keys()).then((kept) => arguments[0](kept.length))"


def test_two_phones_in_the_network_sort_a_stack_once_and_need_a_code_each(one_phone: Phone, tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path, 30)
    with served(catalog, lan=True) as (url, door), phone(tmp_path / "second") as other:
        one_phone.driver.get(url)
        assert "scan the QR code" in one_phone.driver.page_source
        used = f"{url}/enter/{door.token}"
        one_phone.driver.get(used)
        one_phone.wait_top()
        other.driver.get(used)
        assert "used already" in other.driver.page_source
        other.driver.get(f"{url}/enter/{door.token}")
        while not all("All sorted" in each.text("message") for each in (one_phone, other)):
            for each, x in ((one_phone, 120), (other, -120)):
                if each.top():
                    each.swipe(x, 0)
        for each in (one_phone, other):
            each.until(lambda: each.state()["pending"] == "0" or None, "saved")  # noqa: B023 (asked at once)
        assert one_phone.driver.execute_script("return isSecureContext") is False, "a plain address, as phones have it"
    with Catalog(catalog) as opened:
        people = verdicts_by_person(opened.connection)
    assert set(people) == {"guest 1", "guest 2"} and all(len(words) >= 5 for words in people.values())
    assert people["guest 1"].keys() | people["guest 2"].keys() == set(range(1, 31))
    assert not people["guest 1"].keys() & people["guest 2"].keys()
    assert labels(catalog) == 30


def test_a_shared_stack_goes_to_both_and_shows_whether_they_agree(one_phone: Phone, tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path, 6)
    with served(catalog, shared=True) as (url, _), phone(tmp_path / "second") as other:
        for each, name in ((one_phone, "Ann"), (other, "Ben")):
            each.driver.get(url)
            each.wait_top()
            each.tap("menu")
            each.driver.find_element("id", "who").clear()
            each.driver.find_element("id", "who").send_keys(name + Keys.ENTER)
        one_phone.press_each(Keys.ARROW_RIGHT * 6)
        one_phone.wait_saved(6)
        other.swipe(-120, 0)
        other.until(lambda: other.text("toast") == "Ann: keep", "what Ann said")
        other.wait_saved(1)
        other.press_each(Keys.ARROW_RIGHT * 5)
        other.wait_saved(6)
        other.tap("menu")
        rows = other.until(
            lambda: [row.text for row in other.driver.find_elements("css selector", "#table tr")], "people"
        )
        assert [row.split()[0] for row in rows] == ["Ann", "Ben"] and all("83 % of 6" in row for row in rows)
        assert findings(other) == []
    with Catalog(catalog) as opened:
        assert {who: len(words) for who, words in verdicts_by_person(opened.connection).items()} == {"Ann": 6, "Ben": 6}


def findings(phone: Phone) -> list[str]:
    """What axe-core thinks is serious, once no card fades out any more: half-faded words have too little contrast."""
    gone = "return document.querySelectorAll('.leaving').length === 0"
    phone.until(lambda: phone.driver.execute_script(gone), "the last card gone")
    phone.driver.execute_script((files("axe_core_python") / "axe.min.js").read_text("utf-8"))
    found = phone.driver.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    return [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_accessible_and_fits_any_phone(tmp_path: Path, dark: bool) -> None:
    catalog = make_catalog(tmp_path, 3)
    with served(catalog) as (url, _), phone(tmp_path / "profile", dark=dark) as small:
        small.driver.get(url)
        small.wait_top()
        assert findings(small) == []
        for width, height in ((390, 844), (320, 568), (844, 390), (1280, 800)):
            small.tell(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True
            )
            small.until(lambda: small.driver.execute_script("return innerWidth") == width, "its size")  # noqa: B023
            outside = small.driver.execute_script(OUTSIDE)
            assert outside == [], (width, height)
        problems = small.tell("Page.getAppManifest")["errors"]
        problems += small.tell("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [each for each in problems if each.get("errorId") != "in-incognito"] == [], "it can be installed"
        small.press_each(Keys.ARROW_RIGHT * 3)
        small.until(lambda: "All sorted" in small.text("message"), "the end")
        assert findings(small) == []


# Parts that stick out of the window, and buttons that are too small for a thumb.
OUTSIDE = """const parts = document.querySelectorAll("header, #stage, .card:not(.next) img, footer button, #menu");
return [...parts].filter((part) => {
  const r = part.getBoundingClientRect();
  return r.left < 0 || r.top < 0 || r.right > innerWidth + 0.5 || r.bottom > innerHeight + 0.5 ||
    (part.tagName === "BUTTON" && Math.min(r.width, r.height) < 44) ||
    (part.id === "stage" && r.height < innerHeight / 3);
}).map((part) => part.id || part.tagName)"""


def test_a_killed_server_loses_no_swipe_that_was_shown_as_saved(one_phone: Phone, tmp_path: Path) -> None:
    catalog, chance = make_catalog(tmp_path, 1000), random.Random(6)
    running = Server(catalog)
    try:
        one_phone.driver.get(running.url)
        one_phone.wait_top()
        kill_after = [chance.randrange(100, 450), chance.randrange(500, 900)]
        while (left := one_phone.text("left")) != "0 left":
            swiped = 1000 - int(left.split()[0].replace(",", ""))
            killer = threading.Thread(target=running.kill)
            if kill_after and swiped >= kill_after[0]:
                kill_after.pop(0)
                killer.start()  # in the midst of the swipes that follow
                one_phone.press(Keys.ARROW_RIGHT * 40)
                killer.join()
                shown = int(one_phone.state()["saved"])
                assert labels(catalog) >= shown > 0
                running = Server(catalog, port=running.port)
            one_phone.press(Keys.ARROW_RIGHT * 40)
        one_phone.wait_saved(1000)
        assert not kill_after and labels(catalog) == 1000
        assert said(catalog) == dict.fromkeys(range(1, 1001), "keep")
    finally:
        running.kill()
