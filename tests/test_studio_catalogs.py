"""Catalogs and tournaments in the studio: what may be seen, what is kept, and that links lead nowhere."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from studio_server import served

from upimagine.data.catalog import Catalog
from upimagine.data.duels import duels_among
from upimagine.data.scan import scan
from upimagine.errors import UpimagineError
from upimagine.studio.app import studio_app
from upimagine.studio.opened import Opened
from upimagine.studio.security import Door


@contextmanager
def studio(folder: Path, catalog: Path | None = None) -> Iterator[httpx.Client]:
    cache = folder.parent / "cache"
    with (
        served(lambda hosts: studio_app(folder, hosts, Door(locked=False), cache, catalog)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upimagine.studio.opened._FRESH_S", 0.0)


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def outside(pictures: Path) -> Path:
    """Four of the twelve pictures, moved out of the folder; a catalog inside it knows all twelve."""
    outside = pictures.parent / "outside"
    outside.mkdir()
    for name in ("00.png", "01.png", "02.png", "03.png"):
        (pictures / name).rename(outside / name)
    with Catalog(pictures / "catalog.db", create=True) as catalog:
        scan(catalog, [pictures, outside], threads=1)
    return outside


def test_a_catalog_that_lies_there_shows_only_what_lies_in_the_folder(pictures: Path, outside: Path) -> None:
    with Catalog(pictures / "catalog.db") as catalog:
        (outside / "04.png").write_bytes(b"moved away, a link in its place leads here")
        scan(catalog, [pictures], threads=1)
    (pictures / "05.png").rename(outside / "05.png")
    (pictures / "05.png").symlink_to(outside / "05.png")
    with studio(pictures) as client:
        (found,) = client.get("/api/catalogs").json()
        listed = client.get(f"/api/catalogs/{found['id']}/pictures").json()
        assert listed["names"] == [f"pictures/{number:02d}.png" for number in range(4, 12)]
        inside, linked, hidden = (
            content(path) for path in (pictures / "06.png", outside / "05.png", outside / "00.png")
        )
        assert client.get(f"/picture/256/{inside}").headers["content-type"] == "image/jpeg"
        assert client.get(f"/api/zoom/{inside}").json()["width"] == 72
        for content_id in (linked, hidden):
            assert client.get(f"/picture/256/{content_id}").status_code == 404
            assert client.get(f"/api/zoom/{content_id}").status_code == 404
            assert client.get(f"/api/catalogs/{found['id']}/pictures/{content_id}").status_code == 404


def test_a_given_catalog_shows_all_it_knows_until_a_file_changes(pictures: Path, outside: Path) -> None:
    empty = pictures.parent / "empty"
    empty.mkdir()
    with studio(empty, pictures / "catalog.db") as client:
        (found,) = client.get("/api/catalogs").json()
        assert len(client.get(f"/api/catalogs/{found['id']}/pictures").json()["ids"]) == 12
        known = content(outside / "00.png")
        assert client.get(f"/picture/256/{known}").status_code == 200
        told = client.get(f"/api/catalogs/{found['id']}/pictures/{known}").json()
        assert (told["path"], told["width"]) == ("outside/00.png", 72)
        (outside / "00.png").write_bytes((outside / "01.png").read_bytes() + b"\0")
        assert client.get(f"/picture/1080/{known}").status_code == 404
    with pytest.raises(UpimagineError, match="no such catalog"):
        studio_app(empty, frozenset(), Door(locked=False), None, empty / "none.db")


def test_thresholds_move_and_the_worst_come_first(pictures: Path, outside: Path) -> None:
    with studio(pictures) as client:
        base = f"/api/catalogs/{client.get('/api/catalogs').json()[0]['id']}"
        values = client.get(f"{base}/pictures?flag=grey").json()["values"]
        assert values == sorted(values) and values[2] < values[3]
        middle = (values[2] + values[3]) / 2
        told = client.put(f"{base}/flags/grey", json={"value": middle}).json()
        grey = next(flag for flag in told["flags"] if flag["name"] == "grey")
        assert grey["threshold"] == middle and grey["raised"] == 3
        flagged = client.get(f"{base}/pictures?flag=grey&which=flagged").json()["values"]
        assert flagged[:3] == values[:3]
        assert client.put(f"{base}/flags/ugly", json={"value": 1}).status_code == 409
        assert client.put(f"{base}/flags/grey", content=b'{"value": NaN}').status_code == 422
    (pictures / "other.db").write_bytes(b"SQLite format 3\0, but not really")
    with studio(pictures) as client:
        others = {found["name"]: found["id"] for found in client.get("/api/catalogs").json()}
        assert client.get(f"/api/catalogs/{others['other.db']}").status_code == 409


def test_a_tournament_finds_the_best_goes_on_after_a_restart_and_takes_back(pictures: Path, outside: Path) -> None:
    def ids(client: httpx.Client) -> dict[str, str]:
        told = client.get("/api/pictures").json()
        return dict(zip(told["ids"], told["names"], strict=True))

    def say(client: httpx.Client, state: dict[str, object], said: str) -> dict[str, object]:
        left, right = state["pair"]  # type: ignore[misc]  # JSON
        answer = client.post("/api/tournament/said", json=entrants | {"left": left, "right": right, "said": said})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    with studio(pictures) as client:
        names = ids(client)
        entrants = {"pictures": list(names), "keep": 2}
        state = client.post("/api/tournament", json=entrants).json()
        assert not (pictures / "tournament.db").exists()  # nothing was said yet
        pair = state["pair"]
        state = say(client, state, "left")
        assert state["order"][0] == pair[0]
        took_back = {"left": pair[0], "right": pair[1], "said": "back"}
        assert client.post("/api/tournament/said", json=entrants | took_back).json()["played"] == 0
        for _ in range(4):
            state = say(client, state, "left" if names[state["pair"][0]] > names[state["pair"][1]] else "right")
    with studio(pictures) as client:  # another server, and files by other names: contents count
        (pictures / "11.png").rename(pictures / "99.png")
        names = ids(client)
        entrants = {"pictures": sorted(names, key=lambda thing: names[thing]), "keep": 2}
        state = client.post("/api/tournament", json=entrants).json()
        assert state["played"] >= 4
        while state["pair"]:
            state = say(client, state, "left" if names[state["pair"][0]] > names[state["pair"][1]] else "right")
        assert {names[thing] for thing in state["order"][:2]} == {"99.png", "10.png"}
        last = state["played"]
    with Catalog(pictures / "tournament.db") as catalog:
        hashes = [bytes.fromhex(content(path)) for path in pictures.glob("*.png")]
        assert len(duels_among(catalog, hashes)) == last


def test_links_in_the_folder_are_not_written_through(pictures: Path, outside: Path) -> None:
    (pictures / "tournament.db").symlink_to(outside / "elsewhere.db")
    (pictures / "made").symlink_to(outside)
    before = sorted(path.name for path in outside.iterdir())
    with studio(pictures) as client:
        told = client.get("/api/pictures").json()["ids"]
        entrants = {"pictures": told, "keep": 2}
        said = entrants | {"left": told[0], "right": told[1], "said": "left"}
        assert "link" in client.post("/api/tournament/said", json=said).json()["detail"]
        generator = client.get("/api/generators").json()[0]["id"]
        assert client.post(f"/api/generators/{generator}/keep", json={"seed": 1}).status_code == 409
        client.post("/api/jobs", json={"kind": "larger", "picture": told[0], "to_px": 128})
        while (job := client.get("/api/jobs").json()[0])["state"] in ("waiting", "running"):
            pass
        assert (job["state"], "link" in job["trouble"]) == ("failed", True)
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_tournament_refuses_what_is_none(pictures: Path) -> None:
    shutil.copyfile(pictures / "00.png", pictures / "twin.png")
    with studio(pictures) as client:
        told = client.get("/api/pictures").json()
        named = dict(zip(told["names"], told["ids"], strict=True))
        one, twin, other = named["00.png"], named["twin.png"], named["01.png"]
        for same in ([one, one], [one, twin]):
            assert "same picture" in client.post("/api/tournament", json={"pictures": same}).json()["detail"]
        state = client.post("/api/tournament", json={"pictures": [one, twin, other], "keep": 1}).json()
        assert sorted(state["pair"]) == sorted([one, other])  # the twin does not compete
        wrong = {"pictures": [one, other], "keep": 1, "left": one, "right": "0" * 64, "said": "left"}
        assert client.post("/api/tournament/said", json=wrong).status_code == 404


def test_what_was_listed_is_found_without_another_walk_as_long_as_it_is_the_same(
    pictures: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(pictures)
    numbers = {thing.path.name: thing.id for thing in opened.things("picture")}
    monkeypatch.setattr(opened, "_walk", lambda folder: pytest.fail("walked"))
    assert opened.find(numbers["07.png"]) == [pictures / "07.png"] == opened.recall(numbers["07.png"])
    shutil.copyfile(pictures / "08.png", pictures / "07.png")
    (pictures / "09.png").unlink()
    (pictures / "09.png").symlink_to(outside / "00.png")
    assert opened.recall(numbers["07.png"]) == opened.recall(numbers["09.png"]) == opened.recall("0" * 64) == []
