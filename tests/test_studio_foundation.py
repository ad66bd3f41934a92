"""What every page of the web app stands on: who gets in, what is refused, pictures by content, an orderly end."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from fastapi import APIRouter, Request

from upimagine.data.catalog import Catalog
from upimagine.data.scan import scan
from upimagine.errors import UpimagineError
from upimagine.studio.catalog_thread import CatalogThread
from upimagine.studio.pictures import Thumbnails, find_in, picture_routes
from upimagine.studio.security import MOST_BODY_BYTES, Door
from upimagine.studio.server import create_app, listen

HOST = "127.0.0.1:8765"
FACE = Path(__file__).parent / "data" / "face.jpg"
FACE_ID = hashlib.sha256(FACE.read_bytes()).hexdigest()


def ask(door: Door, method: str, path: str, *, host: str = HOST, **request: object) -> httpx.Response:
    """One request to an app with pictures and a route that counts what it is sent."""
    counting = APIRouter()

    @counting.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    thumbnails = picture_routes(lambda content_id: [FACE] if content_id == FACE_ID else [], Thumbnails())
    app = create_app("test", [counting, thumbnails], frozenset({HOST}), door)

    async def asking() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
            return await client.request(method, path, **request)  # type: ignore[arg-type]  # whatever httpx takes

    return asyncio.run(asking())


@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1:9", "127.0.0.1", "127.0.0.1:8765.evil.example"])
def test_a_name_that_is_not_the_servers_own_is_refused(host: str) -> None:
    assert ask(Door(locked=False), "GET", "/openapi.json", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:80"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_only_the_servers_own_pages_may_change_anything(headers: dict[str, str], code: int) -> None:
    assert ask(Door(locked=False), "POST", "/count", headers=headers, content=b"1").status_code == code


def test_too_large_a_body_is_refused_whether_its_length_is_said_or_not() -> None:
    async def unsaid() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(MOST_BODY_BYTES // 2)

    door = Door(locked=False)
    assert ask(door, "POST", "/count", content=bytes(MOST_BODY_BYTES)).text == str(MOST_BODY_BYTES)
    assert ask(door, "POST", "/count", content=bytes(MOST_BODY_BYTES + 1)).status_code == 413
    assert ask(door, "POST", "/count", content=unsaid()).status_code == 413


def test_a_token_lets_one_in_and_only_one() -> None:
    used: list[bool] = []
    door = Door(locked=True, on_entered=lambda: used.append(True))
    token = door.token
    assert ask(door, "GET", "/openapi.json").status_code == 401
    assert ask(door, "GET", "/enter/wrong").status_code == 401
    assert ask(door, "GET", "/enter/ümlaut").status_code == 401
    entered = ask(door, "GET", f"/enter/{token}")
    cookie = entered.headers["set-cookie"].lower()
    assert entered.status_code == 200 and "httponly" in cookie and "samesite=strict" in cookie and used == [True]
    session = entered.headers["set-cookie"].split(";")[0]
    assert ask(door, "GET", "/openapi.json", headers={"Cookie": session}).status_code == 200
    assert ask(door, "GET", "/openapi.json", headers={"Cookie": session[:-1]}).status_code == 401
    assert ask(door, "GET", f"/enter/{token}").status_code == 401 and door.token != token


@pytest.mark.parametrize("path", ["/openapi.json", "/missing", "/static/..%2fserver.py"])
def test_every_answer_carries_the_headers(path: str) -> None:
    answer = ask(Door(locked=False), "GET", path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    assert b"def create_app" not in answer.content


def test_a_picture_is_served_by_its_content_and_kept_for_ever() -> None:
    door = Door(locked=False)
    answer = ask(door, "GET", f"/picture/256/{FACE_ID}")
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert answer.headers["content-type"] == "image/jpeg" and "immutable" in answer.headers["cache-control"]
    original = cv2.imread(str(FACE)).astype(int)
    assert max(shown.shape) <= 256
    original = cv2.resize(original.astype(np.float32), shown.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shown - original).mean() < 3
    assert ask(door, "GET", f"/picture/256/{'0' * 64}").status_code == 404
    assert ask(door, "GET", f"/picture/99/{FACE_ID}").status_code == 404
    assert ask(door, "GET", "/picture/256/..%2f..%2fetc%2fpasswd").status_code in (404, 422)


def test_a_picture_that_has_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    app = create_app(
        "t", [picture_routes(lambda _: [tmp_path / "no.jpg"], Thumbnails())], frozenset({HOST}), Door(False)
    )

    async def asking() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{HOST}") as client:
            return await client.get(f"/picture/256/{FACE_ID}")

    answer = asyncio.run(asking())
    assert answer.status_code == 410 and str(tmp_path) not in answer.text


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UpimagineError, match=f"port {port} is taken.*--port"):
            listen(port)
    with pytest.raises(UpimagineError, match="0 to 65535"):
        listen(70000)


def test_an_interrupt_ends_the_server_in_order() -> None:
    program = """
from upimagine.studio.security import Door
from upimagine.studio.server import create_app, listen, serve
address = listen(0)
print(address.url, flush=True)
serve(create_app("t", [], address.hosts, Door(locked=False)), address)
print("ended", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()  # connections wait in the listener's queue until it answers
        assert httpx.get(f"{url}/openapi.json", timeout=60).json()["info"]["title"] == "t"
        server.send_signal(signal.SIGINT)
        assert server.stdout.read() == "ended\n" and server.wait() == 0


def test_a_catalog_answers_from_its_own_thread_and_finds_files_by_content(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(FACE.read_bytes())
    with Catalog(tmp_path / "c.db", create=True) as catalog:
        scan(catalog, [tmp_path], threads=1)
    asked = CatalogThread(tmp_path / "c.db", "test")
    try:
        assert asked.now(lambda catalog: find_in(catalog, FACE_ID)) == [picture]
        assert asyncio.run(asked.ask(lambda catalog: find_in(catalog, "0" * 64))) == []
        with pytest.raises(ZeroDivisionError):
            asked.now(lambda catalog: 1 // 0)
        assert asked.now(lambda catalog: find_in(catalog, FACE_ID)) == [picture]
    finally:
        asked.close()
    with pytest.raises(UpimagineError, match="no such catalog"):
        CatalogThread(tmp_path / "missing.db", "test")
