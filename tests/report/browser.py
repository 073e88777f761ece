"""A headless Chromium, driven over the WebDriver protocol with the standard library alone."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BINARY = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
AVAILABLE = bool(BINARY and DRIVER)


class Browser:
    """One window."""

    def __init__(self, address: str, session: str) -> None:
        self._base = f"{address}/session/{session}"

    def post(self, path: str, content: dict[str, Any]) -> Any:
        return _call(f"{self._base}/{path}", content)

    def open(self, page: Path) -> None:
        self.post("url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        return self.post("execute/sync", {"script": script, "args": []})

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post("se/log", {"type": "browser"})
        return found

    def scheme(self, name: str) -> None:
        """Prefer light or dark, as the operating system would say."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def width(self, pixels: int) -> None:
        metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def screenshot(self, path: Path) -> None:
        shown = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shown["data"]))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self.post("goog/cdp/execute", {"cmd": command, "params": parameters})


def _call(url: str, content: dict[str, Any] | None, method: str = "POST") -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)["value"]


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Yield a fresh browser whose profile lies in `folder`; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    driver = subprocess.Popen(
        [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    session = ""
    try:
        session = _start(address, folder)
        yield Browser(address, session)
    finally:
        if session:
            _call(f"{address}/session/{session}", None, "DELETE")
        driver.terminate()
        driver.wait(timeout=30)


def _start(address: str, folder: Path) -> str:
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    wanted = {
        "browserName": "chrome",
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {
            "binary": BINARY,
            "args": [*arguments, f"--user-data-dir={folder}", "--window-size=1200,900"],
        },
    }
    for _ in range(100):
        try:
            started = _call(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
            return str(started["sessionId"])
        except ConnectionRefusedError:
            time.sleep(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    raise TimeoutError("chromedriver did not start")
