"""What a run of real trainings was asked and answered, on disk: a killed run replays it.

One JSON text a line, after its SHA-256: a header, then requests (numbered, in order) and finished
trainings (in any order). A line counts once its newline is written and synced. A journal has one
writer, which holds its lock. From the first line that is not as it was written a journal is cut
back, and what was lost is trained again. Lines of earlier versions, without a SHA-256 or a number,
are read too.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import digest, write_atomically

FILE = "journal.jsonl"
FORMAT = 1


def run_folder(folder: Path, seed: int) -> Path:
    """Return where the run with a seed keeps its journal and checkpoints."""
    return folder / f"seed-{seed}"


_WAIT = 15.0  # seconds for the workers of a killed driver to end
_Line = dict[str, Any]


def _parsed(line: bytes) -> _Line:
    """Return the content of a line; raise ValueError where it is not as it was written."""
    if not line.startswith(b"{"):
        known, _, line = line.partition(b" ")
        if hashlib.sha256(line).hexdigest().encode() != known:
            raise ValueError("a line does not have its SHA-256")
    try:
        content = json.loads(line)
    except RecursionError:
        raise ValueError("a line is nested too deeply") from None
    if not (isinstance(content, dict) and {"identity", "request", "training"} & set(content)):
        raise ValueError("a line is no header, request or training")
    if "training" in content and not isinstance(content.get("answer"), dict):
        raise ValueError("a training has no answer")
    return content


def _written(line: Mapping[str, Any]) -> bytes:
    """Return a line as it lies in the file."""
    text = json.dumps(line, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"


class Journal:
    """The journal of one run; without a path it remembers nothing.

    `identity` (plain JSON) says what the run is. Raises DataError for a file of another run,
    InputError where it cannot be written or another process writes it.
    """

    def __init__(
        self, path: Path | None, identity: Mapping[str, Any], *, wait: float = _WAIT
    ) -> None:
        self._path = path
        self._asked = 0
        self._requests: list[str] = []
        self._trainings: dict[str, dict[str, Any]] = {}
        self._numbered = True
        if path is None:
            return
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(path, wait)
            header = {"format": FORMAT, "identity": digest(dict(identity))}
            lines = self._sound_lines(path) if path.exists() else []
        self._header = header
        if not lines:
            self._append(header)
        elif lines[0] != header:
            raise DataError(
                f"{path} is the journal of another run. Keep it and use another folder, or remove "
                "it to start over."
            )
        self._replay(lines[1:])

    def _sound_lines(self, path: Path) -> list[_Line]:
        """Return the lines up to the first unsound one; cut the file off there.

        What a kill left of the last line is dropped; of anything else a copy is kept.
        """
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines: list[_Line] = []
        # bytes that are sound so far, and requests in them
        sound, requests = 0, 0
        try:
            for line in whole.split(b"\n")[:-1]:
                parsed = _parsed(line)
                number = parsed.get("number", requests)
                if type(number) is not int or not 0 <= number <= requests:
                    raise ValueError("a request is missing")
                if "request" in parsed:
                    requests = max(requests, number + 1)
                lines.append(parsed)
                sound += len(line) + 1
        except ValueError as error:
            self._keep_copy(path, f"is damaged: {error}")
            os.truncate(path, sound)
        else:
            if len(whole) < len(content):
                os.truncate(path, len(whole))
        return lines

    def _replay(self, lines: list[_Line]) -> None:
        """Take what the lines say; of two writers of one history the first counts."""
        for line in lines:
            if "training" in line:
                self._trainings.setdefault(line["training"], line["answer"])
            elif "request" in line:
                number = line.get("number", len(self._requests))
                self._numbered = self._numbered and "number" in line
                if number == len(self._requests):
                    self._requests.append(line["request"])
                elif self._requests[number] != line["request"]:
                    raise DataError(
                        f"{self._path} holds two different searches: the search is not "
                        "deterministic, or its code was changed. Remove it to start over."
                    )

    def _keep_copy(self, path: Path, reason: str) -> None:
        """Copy a file that will be cut back, and say so."""
        copy = path.with_name(f"{path.name}.damaged")
        shutil.copyfile(path, copy)
        warnings.warn(
            f"{path} {reason}. It is cut back to what is sound before that, the rest is "
            f"trained again; {copy.name} is the file as it was.",
            stacklevel=2,
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the system raises inside into an error that says what to do."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"Cannot write {self._path}: {error.strerror or error}. Finished trainings are "
                "kept: free space, or choose a folder that can be written."
            ) from error

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        with self._writing(), self._path.open("ab") as file:
            file.write(_written(line))
            file.flush()
            os.fsync(file.fileno())

    def ask(self, request: Any) -> None:
        """Take note of the next request (plain JSON); raise DataError if it was another before."""
        found = digest(request)
        if self._asked < len(self._requests) and self._requests[self._asked] != found:
            self._doubled()
        if self._asked == len(self._requests):
            self._append({"request": found, "number": self._asked})
            self._requests.append(found)
        self._asked += 1

    def _doubled(self) -> None:
        """Cut back from a request that a second writer of an earlier version repeated.

        Raises DataError where that does not explain why another request is asked.
        """
        recorded, sound = self._requests[self._asked], self._requests[: self._asked]
        if self._path is None or self._numbered or recorded not in sound:
            raise DataError(
                f"Request {self._asked} of the resumed run is not the one in {self._path}: the "
                "search is not deterministic, or its code has changed. Remove the file to start "
                "this run over."
            )
        trained = [{"training": k, "answer": v} for k, v in self._trainings.items()]
        lines: list[_Line] = [self._header, *({"request": known} for known in sound), *trained]
        with self._writing():
            self._keep_copy(self._path, "was written by two processes")
            write_atomically(self._path, b"".join(map(_written, lines)))
        self._requests = sound

    def answer(self, training: str) -> dict[str, Any] | None:
        """Return the recorded answer of a training, or None where it is still to do."""
        return self._trainings.get(training)

    def record(self, training: str, answer: Mapping[str, Any]) -> None:
        """Write a finished training down; it survives kill -9 once this returns."""
        self._trainings[training] = dict(answer)
        self._append({"training": training, "answer": dict(answer)})


def _locked(path: Path, wait: float) -> FileLock:
    """Return the lock of a journal, held until it is forgotten or this process ends."""
    file = path.with_name(f"{path.name}.lock")
    owner = f"process {os.getpid()} on {platform.node()}"
    lock: FileLock = FileLock(file, is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        other = file.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        raise InputError(
            f"{path} is being written by {other}. Wait until it has ended, or end it."
        ) from None
    file.write_text(f"{owner}\n", encoding="utf-8")
    return lock
