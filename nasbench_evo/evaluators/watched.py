"""An evaluator whose answers are counted: what a search that trains shows of its progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasbench_evo.evaluators.base import Evaluator, Session
from nasbench_evo.requests import Evaluate, Request, Training
from nasbench_evo.spaces import Space

FILE = "progress"  # beside a journal: how much of a run is trained


class Watched:
    """An evaluator that tells `advance` what it answered: epochs of shared weights, or trainings.

    A training to a fraction counts as that.
    """

    def __init__(self, inner: Evaluator, advance: Callable[[float], None], *, shared: bool) -> None:
        self._inner, self._advance, self._shared = inner, advance, shared
        self.name = inner.name

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self._inner.dataset

    @property
    def space(self) -> Space:
        """The space of the evaluator."""
        return self._inner.space

    def identity(self) -> dict[str, Any]:
        """Return the identity of the evaluator."""
        return self._inner.identity()

    def start(self, seed: int) -> WatchedSession:
        """Return a session of the evaluator, watched."""
        return WatchedSession(self._inner.start(seed), self._advance, shared=self._shared)


class WatchedSession:
    """A session whose answers are counted."""

    def __init__(self, inner: Session, advance: Callable[[float], None], *, shared: bool) -> None:
        self._inner, self._advance, self._shared = inner, advance, shared
        self.notes = inner.notes

    def answer(self, request: Request) -> Any:
        """Answer a request, and count its trainings or its epoch."""
        answers = self._inner.answer(request)
        if not self._shared:
            if isinstance(request, Evaluate):
                self._advance(sum(answer.cost for answer in answers))
        elif isinstance(request, Training):
            self._advance(1)
        return answers


class Counter:
    """How much of a run is trained, in a small file that another process reads."""

    def __init__(self, folder: Path) -> None:
        self._file, self._done = folder / FILE, 0.0

    def add(self, amount: float) -> None:
        """Count on; where the file cannot be written nothing is shown."""
        self._done += amount
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(f"{self._done:g}", encoding="ascii")
        except OSError:
            return

    @staticmethod
    def read(folder: Path) -> float:
        """Return what a run has counted; 0 where nothing can be read."""
        try:
            return float((folder / FILE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0
