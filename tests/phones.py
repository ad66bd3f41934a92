"""Real phones for tests, as far as Chromium goes: headless, with a phone's viewport and touch."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from upimagine.studio.catalog_thread import CatalogThread
from upimagine.studio.security import Door
from upimagine.studio.server import listen
from upimagine.studio.sort_app import make_stack, sort_app
from upimagine.studio.sorting import Sorting

T = TypeVar("T")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


class Phone:
    """One browser with a profile of its own."""

    def __init__(self, profile: Path, width: int = 390, height: int = 844, dark: bool = False) -> None:
        options = Options()
        options.binary_location = CHROMIUM or ""
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(argument)
        options.add_experimental_option(
            "mobileEmulation", {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2, "touch": True}}
        )
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, Service(DRIVER))
        self.driver.set_script_timeout(30)
        if dark:
            self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.tell("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)

    def tell(self, command: str, **arguments: Any) -> Any:
        """Speak to the browser by the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def swipe(self, x: int, y: int, steps: int = 4) -> None:
        """A thumb from the middle of the picture by so many CSS px."""
        start = self.driver.execute_script(
            "const r = stage.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
        )
        self.tell("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": start[0], "y": start[1]}])
        for step in range(1, steps + 1):
            at = {"x": start[0] + x * step / steps, "y": start[1] + y * step / steps}
            self.tell("Input.dispatchTouchEvent", type="touchMove", touchPoints=[at])
        self.tell("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def tap(self, name: str) -> None:
        """A finger on the element with this id."""
        at = self.driver.execute_script(
            "const r = document.getElementById(arguments[0]).getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]",
            name,
        )
        self.tell("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": at[0], "y": at[1]}])
        self.tell("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, keys: str) -> None:
        """Keys of a keyboard."""
        self.driver.find_element(By.TAG_NAME, "body").send_keys(keys)

    def press_each(self, keys: str) -> None:
        """Keys that each wait for a picture."""
        for key in keys:
            self.wait_top()
            self.press(key)

    def until(self, happens: Callable[[], T | None], what: str) -> T:
        """Wait for something to be true."""
        return WebDriverWait(self.driver, 40, 0.05).until(lambda _: happens(), what)

    def top(self) -> str | None:
        """The content id of the picture on top, once it can be seen."""
        seen: str | None = self.driver.execute_script(
            "const c = document.querySelector('.card:not(.next):not(.leaving)'), i = c?.querySelector('img');"
            "return i && !i.hidden && i.complete && i.naturalWidth ? c.dataset.picture : null"
        )
        return seen

    def wait_top(self) -> str:
        """The picture on top, waited for."""
        return self.until(self.top, "a picture on top")

    def state(self) -> dict[str, str]:
        """What the page says is saved and pending, and how the line is."""
        said: dict[str, str] = self.driver.execute_script("return {...document.getElementById('state').dataset}")
        return said

    def wait_saved(self, count: int) -> None:
        """Until the page says that so many swipes are saved, and none is left."""
        self.until(lambda: (int(self.state()["saved"]) >= count and self.state()["pending"] == "0") or None, "saved")

    def text(self, name: str) -> str:
        """What an element shows."""
        return self.driver.find_element(By.ID, name).text


@contextmanager
def phone(profile: Path, **how: Any) -> Iterator[Phone]:
    """A phone that is switched off at the end."""
    opened = Phone(profile, **how)
    try:
        yield opened
    finally:
        opened.driver.quit()


@contextmanager
def served(catalog: Path, *, port: int = 0, lan: bool = False, shared: bool = False) -> Iterator[tuple[str, Door]]:
    """The sorting page in a thread of this process: its address and its door."""
    address, door = listen(port, lan), Door(locked=lan)
    asked = CatalogThread(catalog, "test")
    stack = asked.now(lambda catalog: make_stack(catalog, "clean", shared=shared))
    app = sort_app(asked, Sorting(asked, stack, None), address.hosts, door)
    uvicorn_server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [address.listener]})
    thread.start()
    try:
        yield address.url, door
    finally:
        uvicorn_server.should_exit = True
        thread.join()
        address.listener.close()
        asked.close()


class Server:
    """`upimagine sort` as its user starts it."""

    def __init__(self, catalog: Path, *arguments: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "upimagine", "sort", str(catalog), "--port", str(port), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.next_url()

    def next_url(self) -> str:
        """The address that it prints next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        return line

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.split("//")[1].split("/")[0].rpartition(":")[2])

    def kill(self) -> None:
        """As the machine's memory killer would."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> str:
        """As its user would; gives back what it prints at last."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


@contextmanager
def server(catalog: Path, *arguments: str, port: int = 0) -> Iterator[Server]:
    """A server that does not outlive the test."""
    started = Server(catalog, *arguments, port=port)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.kill()
