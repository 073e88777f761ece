"""A live page of a suite that is still running, served on this machine only.

The results folder is read, never written: while there is no finished run not even its store is
opened, so that the process that runs the suite makes it alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.report import page
from nasbench_evo.results.folder import read
from nasbench_evo.store import progress

HOST = "127.0.0.1"
_SHORTEST = 2.0  # seconds between two questions of a page
_PATIENCE = 4.0  # a page waits so many times as long as the last one took to make
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)


@dataclass
class Live:
    """What a server shows of a results folder: a page that is made anew when runs were finished."""

    folder: Path
    runs: int = page.DRILL
    _shown: tuple[int, str] | None = None  # finished runs of the page, the page
    _took: float = 0.0  # seconds to make it
    _lock: Lock = field(default_factory=Lock)  # requests come in threads

    def state(self) -> dict[str, float]:
        """Return finished runs, those asked for, and the seconds to wait before asking again."""
        done, total = progress(self.folder)
        return {"done": done, "total": total, "wait": max(_SHORTEST, _PATIENCE * self._took)}

    def page(self) -> str:
        """Return the page of what is stored now."""
        with self._lock:
            done, _ = progress(self.folder)
            if not done:
                return page.waiting(f"{self.folder} holds no finished run yet.")
            if self._shown is None or self._shown[0] != done:
                self._shown = done, self._made()
            return self._shown[1]

    def _made(self) -> str:
        began = time.monotonic()
        try:
            text = page.render(read(self.folder), runs=self.runs, live=True)
        except (InputError, DataError) as error:
            return page.waiting(str(error))
        self._took = time.monotonic() - began
        return text


def serve(folder: Path, *, runs: int = page.DRILL, announce: Callable[[str], None]) -> None:
    """Serve the live page of a results folder until KeyboardInterrupt, which ends it quietly.

    It listens on 127.0.0.1 alone, on a port that is free; `announce` is called with the address.
    Raises InputError where the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} does not exist: expected the results folder of a suite that runs (--out of "
            "`nasbench-evo run`, by default results/SUITE)."
        )
    with server(Live(folder, runs)) as opened:
        announce(f"http://{HOST}:{opened.server_port}/")
        try:
            opened.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


def server(live: Live) -> ThreadingHTTPServer:
    """Return a server of a live page on a free port of the loopback interface, not yet serving."""

    class Handler(_Handler):
        shown = live

    made = ThreadingHTTPServer((HOST, 0), Handler)
    made.daemon_threads = True
    Handler.names = (f"{HOST}:{made.server_port}", f"localhost:{made.server_port}")
    return made


class _Handler(BaseHTTPRequestHandler):
    """Two things can be asked for: the page and its state."""

    shown: Live
    names: tuple[str, ...]  # by which this server may be called

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.names:
            # Another name that leads here is another site's, in a browser of this machine.
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send(self.shown.page(), "text/html")
        elif self.path == "/state":
            self._send(json.dumps(self.shown.state()), "application/json")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the console belongs to the user."""
