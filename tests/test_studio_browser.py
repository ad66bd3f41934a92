"""The studio in a real browser, on a desk and on a phone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from conftest import draw_pictures
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from studio_server import browser, faults, served

from upimagine import pixels
from upimagine.data.catalog import Catalog
from upimagine.data.examine import Examined, stamp_of
from upimagine.data.filing import file_away
from upimagine.data.look import look_at
from upimagine.data.measures import Measured, measure
from upimagine.data.scan import scan
from upimagine.data.thresholds import flag_states
from upimagine.make.machine import settle
from upimagine.make.samples import save_samples
from upimagine.studio.app import studio_app
from upimagine.studio.security import Door


@pytest.fixture(scope="module")
def folder(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Candidates of a toy generator that lies in the folder, too, a large picture and a run."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "toy.safetensors").write_bytes(models["generator"].read_bytes())
    save_samples(str(folder / "toy.safetensors"), 12, folder / "candidates", machine=settle("cpu", "float32"))
    y, x = torch.meshgrid(torch.linspace(-1, 1, 900), torch.linspace(-1, 1, 1200), indexing="ij")
    pixels.write(folder / "large.png", torch.stack([y, x, x * y]))
    draw_pictures(folder / "run", 2, 72)
    for index in range(2):
        (folder / "run" / f"0{index}.png").rename(folder / "run" / f"preview-00000{index}.png")
    lines = [{"kimg": kimg, "loss": 1 / (1 + kimg)} for kimg in range(5)]
    (folder / "run" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Catalog(folder / "catalog.db", create=True) as catalog:
        scan(catalog, [folder / "candidates" / "pictures"], threads=1)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cache = tmp_path_factory.mktemp("cache")
    with served(lambda hosts: studio_app(folder, hosts, Door(locked=False), cache)) as url:
        yield url


def until(chrome: Any, condition: Callable[[], object]) -> Any:
    moving = [StaleElementReferenceException]  # the page was drawn anew between two looks
    return WebDriverWait(chrome, 20, 0.05, moving).until(lambda _: condition())


def one(chrome: Any, selector: str) -> Any:
    return until(chrome, lambda: chrome.find_elements(By.CSS_SELECTOR, selector))[0]


def button(chrome: Any, text: str) -> Any:
    return until(chrome, lambda: [b for b in chrome.find_elements(By.TAG_NAME, "button") if b.text == text])[0]


def complaints(chrome: Any) -> list[str]:
    """What the console says; deep zoom's library sets one style that the policy refuses, and works without it."""
    return [entry["message"] for entry in chrome.get_log("browser") if "/vendor/" not in entry["message"]]


def slide(chrome: Any, selector: str, value: float) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    chrome.execute_script(script, one(chrome, selector), value)


def tap(chrome: Any, element: Any) -> None:
    """A finger, not a mouse."""
    box = chrome.execute_script("return arguments[0].getBoundingClientRect().toJSON()", element)
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def order(chrome: Any) -> list[str]:
    script = """return [...document.querySelectorAll('.tile')]
        .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((tile) => tile.dataset.id)"""
    return list(chrome.execute_script(script))


def test_four_are_kept_by_touch_on_a_phone(folder: Path, url: str) -> None:
    with browser(390, 844, touch=True) as chrome:
        chrome.get(f"{url}/#candidates")
        one(chrome, ".tile")
        first = order(chrome)
        one(chrome, "summary").click()
        slide(chrome, "#weight-sharpness", -2)
        slide(chrome, "#weight-realism", 0)
        blurred_first = order(chrome)
        assert blurred_first != first
        assert sorted(blurred_first) == sorted(first)
        one(chrome, "summary").click()
        chosen = order(chrome)[:4]
        for thing in chosen:
            tap(chrome, one(chrome, f'[data-id="{thing}"]'))
        tap(chrome, button(chrome, "Copy 4 kept"))
        until(chrome, lambda: (folder / "kept-1").is_dir() and "kept-1" in one(chrome, "#status").text)
        assert complaints(chrome) == []
        width = chrome.execute_script("return document.documentElement.scrollWidth")
        assert width <= 390
    kept = sorted(path.name for path in (folder / "kept-1").iterdir())
    assert [name[:2] for name in kept] == ["1-", "2-", "3-", "4-"]
    # Sharpness turned round alone: the kept are the softest by the table of scores.
    rows = [line.split(",") for line in (folder / "candidates" / "scores.csv").read_text().splitlines()]
    sharpness = {int(row[0]): float(row[rows[0].index("sharpness")]) for row in rows[1:]}
    softest = sorted(sharpness, key=lambda number: sharpness[number])[:4]
    assert {int(name[2:7]) for name in kept} == set(softest)


def test_made_again_to_the_same_pixels_then_zoomed(folder: Path, url: str) -> None:
    with browser() as chrome:
        chrome.get(url)
        one(chrome, "#filter").send_keys("pictures/00003")
        until(chrome, lambda: len(order(chrome)) == 1)
        one(chrome, ".tile").click()
        button(chrome, "Make again").click()
        again = folder / "made" / "00003-again-1.png"
        until(chrome, again.is_file)
        first = pixels.read(folder / "candidates" / "pictures" / "00003.png").pixels
        assert torch.equal(pixels.read(again).pixels, first)
        one(chrome, '[aria-label="Close"]').click()

        one(chrome, "#filter").clear()
        one(chrome, "#filter").send_keys("large")
        until(chrome, lambda: len(order(chrome)) == 1)
        one(chrome, ".tile").click()
        button(chrome, "Zoom in").click()
        stage = one(chrome, '.stage[data-zoom="open"][data-drawn="yes"]')
        before = stage.get_attribute("data-scale")
        chrome.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": "mouseWheel", "x": 400, "y": 400, "deltaX": 0, "deltaY": -400}
        )
        until(chrome, lambda: float(stage.get_attribute("data-scale") or 0) > 1.1)
        assert stage.get_attribute("data-scale") != before
        asked = chrome.execute_script("return performance.getEntriesByType('resource').map((r) => r.name)")
        assert any("/11/" in name for name in asked if "/zoom/" in name)  # tiles of the full 1200 px
        assert complaints(chrome) == []


def test_sliders_change_the_picture_and_runs_are_drawn(url: str) -> None:
    with browser() as chrome:
        chrome.get(f"{url}/#sliders")
        pick = one(chrome, "#generator")
        chrome.execute_script(
            "arguments[0].selectedIndex = [...arguments[0].options].findIndex((o) => o.text == 'toy.safetensors');"
            "arguments[0].dispatchEvent(new Event('change'))",
            pick,
        )
        drawn = """const image = document.querySelector('.made');
            if (!image.complete || !image.naturalWidth) return null;
            const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 64});
            canvas.getContext('2d').drawImage(image, 0, 0);
            return image.src + canvas.toDataURL()"""
        before = until(chrome, lambda: (chrome.execute_script(drawn) or "").partition("data:")[2])
        slide(chrome, "#along-0", 3)
        until(chrome, lambda: "along=3," in (chrome.execute_script(drawn) or ""))
        assert chrome.execute_script(drawn).partition("data:")[2] != before
        chrome.get(f"{url}/#runs")
        assert len(until(chrome, lambda: one(chrome, "polyline").get_attribute("points")).split()) == 5
        assert complaints(chrome) == []


def swipe(chrome: Any, element: Any, x: float, y: float) -> None:
    """A finger that begins on the element and moves by so many pixels."""
    box = chrome.execute_script("return arguments[0].getBoundingClientRect().toJSON()", element)
    begin = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [begin]})
    for share in (0.5, 1):
        point = {"x": begin["x"] + share * x, "y": begin["y"] + share * y}
        chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def shown(chrome: Any) -> list[str]:
    return list(chrome.execute_script("return [...document.querySelectorAll('.contender')].map((e) => e.dataset.id)"))


def played(chrome: Any) -> str:
    found: str = chrome.execute_script("return document.querySelector('.strip p')?.textContent ?? ''")
    return found


def test_a_tournament_is_won_by_swipes_and_keys(folder: Path, url: str) -> None:
    names = dict(zip(*(httpx.get(f"{url}/api/pictures").json()[key] for key in ("ids", "names")), strict=True))
    with browser(390, 844, touch=True) as chrome:
        chrome.get(f"{url}/#tournament")
        chrome.execute_script("arguments[0].value = '8'", one(chrome, "#many"))
        chrome.execute_script("arguments[0].value = '2'", one(chrome, "#keep"))
        button(chrome, "Begin").click()
        first = until(chrome, lambda: shown(chrome))
        entered = json.loads(chrome.execute_script("return sessionStorage.getItem('tournament')"))["pictures"]
        entrants = sorted(names[thing] for thing in entered)
        swipe(chrome, one(chrome, ".contender"), 0, -120)  # towards the upper one
        until(chrome, lambda: played(chrome).startswith("1 pairs"))
        assert one(chrome, ".strip img").get_attribute("src").endswith(first[0])
        button(chrome, "Undo").click()
        until(chrome, lambda: played(chrome).startswith("0 pairs"))
        assert shown(chrome) == first
        swipe(chrome, one(chrome, ".contender"), 0, -30)  # a finger that only trembled
        swipe(chrome, one(chrome, ".contender"), -120, 0)  # and one that went aside
        assert played(chrome).startswith("0 pairs")
        for number in range(1, 28):
            left, right = shown(chrome)
            upper = names[left] > names[right]
            if number % 2:
                swipe(chrome, one(chrome, ".arena"), 0, -120 if upper else 120)
            else:
                chrome.switch_to.active_element.send_keys(Keys.ARROW_LEFT if upper else Keys.ARROW_RIGHT)
            until(chrome, lambda: f"{number} pairs" in played(chrome))  # noqa: B023 (asked at once)
            if chrome.find_elements(By.CSS_SELECTOR, ".ended"):
                break
        button(chrome, "Copy the best 2").click()
        until(chrome, lambda: "Copied into" in one(chrome, "#status").text)
        kept = folder / one(chrome, "#status").text.removeprefix("Copied into ")
        assert complaints(chrome) == []
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= 390
    assert {path.name[2:] for path in kept.iterdir()} == {Path(name).name for name in entrants[-2:]}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of 5,000 pictures, most of whose files have changed since."""
    folder = tmp_path_factory.mktemp("many")
    draw_pictures(folder, 1, 40)
    stamp = stamp_of(folder / "00.png")
    with Catalog(folder / "catalog.db", create=True) as catalog:
        measured = measure(look_at(folder / "00.png"), None)
        scores = (dict.fromkeys(measured.scores, index / 5000) for index in range(5000))
        file_away(
            catalog,
            [
                Examined(
                    folder / ("00.png" if index == 0 else f"{index:05d}.png"),
                    stamp,
                    hashlib.sha256((folder / "00.png").read_bytes() if index == 0 else str(index).encode()).digest(),
                    Measured(measured.size_px, measured.phash, score),
                )
                for index, score in enumerate(scores)
            ],
        )
    return folder


def test_thousands_in_a_catalog_are_walked_by_keys_and_a_threshold_moves(many: Path, tmp_path: Path) -> None:
    with (
        served(lambda hosts: studio_app(many, hosts, Door(locked=False), tmp_path)) as url,
        browser(1000, 700) as chrome,
    ):
        chrome.get(f"{url}/#catalog")
        one(chrome, ".tile").send_keys(Keys.END)
        until(chrome, lambda: chrome.switch_to.active_element.get_attribute("aria-posinset") == "5000")
        assert len(chrome.find_elements(By.CSS_SELECTOR, ".tile")) < 100
        chrome.switch_to.active_element.send_keys(Keys.HOME)
        until(chrome, lambda: chrome.switch_to.active_element.get_attribute("aria-posinset") == "1")
        chrome.switch_to.active_element.send_keys(Keys.ENTER)
        until(chrome, lambda: "40 × 40" in one(chrome, "#viewer dl").text)
        one(chrome, '[aria-label="Close"]').click()
        set_value = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
        chrome.execute_script(set_value, one(chrome, "#by"), "blurred")
        until(chrome, lambda: chrome.find_elements(By.CSS_SELECTOR, ".tile[data-note='1.00']"))
        slide(chrome, "#limit", 200)  # half way
        one(chrome, ".tile[aria-selected=true]")
        chrome.execute_script("arguments[0].dispatchEvent(new Event('change'))", one(chrome, "#limit"))
        until(
            chrome,
            lambda: "blurred (2500)" in chrome.execute_script("return document.getElementById('by').textContent"),
        )
    with Catalog(many / "catalog.db") as catalog:
        assert next(state for state in flag_states(catalog) if state.name == "blurred").raised == 2500


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 800, "light"), (390, 844, "dark")])
def test_every_page_is_accessible_and_fits(url: str, width: int, height: int, scheme: str) -> None:
    ready = {
        "pictures": ".tile",
        "candidates": ".tile",
        "tournament": "form",
        "sliders": ".made",
        "runs": "polyline",
        "catalog": ".tile",
    }
    with browser(width, height, touch=width < 500) as chrome:
        seen = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", seen)
        for view, selector in ready.items():
            chrome.get(f"{url}/?{view}#{view}")  # ? so that it is loaded anew
            one(chrome, selector)
            assert faults(chrome) == [], view
            assert chrome.execute_script("return document.documentElement.scrollWidth") <= width, view
        chrome.get(f"{url}/?viewer#pictures")
        one(chrome, ".tile").click()
        one(chrome, "#viewer dd")
        assert faults(chrome) == []
        chrome.get(f"{url}/?begun#tournament")
        button(chrome, "Begin").click()
        one(chrome, ".contender")
        assert faults(chrome) == []
