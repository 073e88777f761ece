"""What a run of real trainings was asked and answered, on disk: a killed run replays it.

One JSON text a line, after its SHA-256: a header, then requests (in order) and finished trainings
(in any order). A line counts once its newline is written and synced; what a kill left of the last
one is dropped. Lines without a SHA-256, of earlier versions, are read too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasbench_evo.errors import DataError
from nasbench_evo.files import digest

FILE = "journal.jsonl"
FORMAT = 1


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the content of a line; raise ValueError where it is not as it was written."""
    if not line.startswith(b"{"):
        known, _, line = line.partition(b" ")
        if hashlib.sha256(line).hexdigest().encode() != known:
            raise ValueError("a line does not have its SHA-256")
    content = json.loads(line)
    if not (isinstance(content, dict) and {"identity", "request", "training"} & set(content)):
        raise ValueError("a line is no header, request or training")
    if "training" in content and not isinstance(content.get("answer"), dict):
        raise ValueError("a training has no answer")
    return content


class Journal:
    """The journal of one run; without a path it remembers nothing.

    `identity` (plain JSON) says what the run is. Raises DataError for a file of another run or a
    damaged one.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._asked = 0
        self._requests: list[str] = []
        self._trainings: dict[str, dict[str, Any]] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {"format": FORMAT, "identity": digest(dict(identity))}
        lines = self._read(path) if path.exists() else []
        if not lines:
            self._append(header)
        elif lines[0] != header:
            raise DataError(f"{path} is the journal of another run. Use --fresh, or remove it.")
        for line in lines[1:]:
            if "request" in line:
                self._requests.append(line["request"])
            else:
                self._trainings[line["training"]] = line["answer"]

    def _read(self, path: Path) -> list[dict[str, Any]]:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        try:
            return [_parsed(line) for line in whole.split(b"\n")[:-1]]
        except ValueError as error:
            raise DataError(f"{path} is damaged: {error}. Use --fresh, or remove it.") from error

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        with self._path.open("ab") as file:
            text = json.dumps(line, separators=(",", ":")).encode()
            file.write(hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def ask(self, request: Any) -> None:
        """Take note of the next request (plain JSON); raise DataError if it was another before."""
        found = digest(request)
        if self._asked < len(self._requests):
            if self._requests[self._asked] != found:
                raise DataError(
                    f"Request {self._asked} of the resumed run is not the one in {self._path}: the "
                    "search is not deterministic, or its code has changed. Use --fresh."
                )
        else:
            self._append({"request": found})
        self._asked += 1

    def answer(self, training: str) -> dict[str, Any] | None:
        """Return the recorded answer of a training, or None where it is still to do."""
        return self._trainings.get(training)

    def record(self, training: str, answer: Mapping[str, Any]) -> None:
        """Write a finished training down; it survives kill -9 once this returns."""
        self._trainings[training] = dict(answer)
        self._append({"training": training, "answer": dict(answer)})
