"""A server of an app for the length of a test, and a browser to look at it with."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from selenium import webdriver

from upimagine.studio.server import listen


@contextmanager
def served(make: Callable[[frozenset[str]], FastAPI]) -> Iterator[str]:
    """Where the app that `make` gives for these hosts can be reached."""
    address = listen(0)
    server = uvicorn.Server(uvicorn.Config(make(address.hosts), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [address.listener]})
    thread.start()
    try:
        yield address.url
    finally:
        server.should_exit = True
        thread.join()
        address.listener.close()


@contextmanager
def browser(width: int = 1280, height: int = 800, *, touch: bool = False) -> Iterator[Any]:
    """Headless Chromium; skips the test where there is none."""
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        yield chrome
    finally:
        chrome.quit()


def faults(chrome: Any) -> list[str]:
    """What axe-core finds serious or critical."""
    chrome.execute_script((files("axe_core_python") / "axe.min.js").read_text("utf-8"))
    found = chrome.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html']} ({node['failureSummary']})" for each in grave for node in each["nodes"]]
