"""What an evaluator is to the runner: something that opens a session per run and answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from nasbench_evo.errors import Unsupported
from nasbench_evo.requests import Evaluation, MeasurePaths, Request, TrainBilevel
from nasbench_evo.spaces.base import Genotype, Space

TEACHER = "teacher"  # the note of a run whose trainings were taught

_LEAST = 1e-3  # percent; keeps -ln(accuracy) finite


class Session(Protocol):
    """One run's view of an evaluator: its noise, its partial trainings, its weights."""

    notes: dict[str, Any]  # what the record must say, e.g. where a landmark was read

    def answer(self, request: Request) -> list[Evaluation]:
        """Answer a request in order; raise Unsupported with what to use instead."""


def loss_of(accuracy: float) -> float:
    """Return -ln of an accuracy in percent: the loss of what has none."""
    return -math.log(max(accuracy, _LEAST) / 100)


def refuse_shared(request: Request) -> None:
    """Raise Unsupported for a request that only shared weights can answer."""
    if isinstance(request, TrainBilevel):
        raise Unsupported(
            "This evaluator has no weights to descend on: algorithms that follow gradients of "
            "the architecture (darts) need the supernet evaluator."
        )
    if isinstance(request, MeasurePaths):
        raise Unsupported(
            "Random paths mean something with shared weights only. Use random_paths=0, or the "
            "supernet evaluator."
        )


class Evaluator(Protocol):
    """A source of fitness; it knows no algorithm and no budget."""

    name: str

    @property
    def dataset(self) -> str:
        """The name of the data set."""

    @property
    def space(self) -> Space:
        """The space whose genotypes it can evaluate."""

    def identity(self) -> dict[str, Any]:
        """Return what makes its answers what they are (table hash, recipe), as plain JSON."""

    def start(self, seed: int) -> Session:
        """Return a fresh session for the run with this seed."""


class Fresh(Protocol):
    """A training of what a search found, which the search knew nothing of."""

    @property
    def valid_accuracy(self) -> float:
        """In percent."""

    @property
    def test_accuracy(self) -> float | None:
        """In percent."""

    @property
    def status(self) -> str:
        """One of "ok", "diverged" and "failed"."""

    def plain(self) -> dict[str, Any]:
        """Return it as a record keeps it: plain JSON, without its curve."""


class Trainer(Evaluator, Protocol):
    """An evaluator that trains networks: it keeps files, has processes, and reports."""

    folder: Path | None  # of the journals and checkpoints of its runs; None: nothing is kept

    def report(self, genotype: Genotype, seed: int, *, taught: bool = False) -> Sequence[Fresh]:
        """Return fresh trainings of a search's final genotype, with their test accuracy.

        For reports only: this is where test data is read.
        """

    def size(self, genotype: Genotype) -> dict[str, int]:
        """Return `parameters` and `multiply_adds` of the network that a report trains."""

    def close(self) -> None:
        """End its processes."""
