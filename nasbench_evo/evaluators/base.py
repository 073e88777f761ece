"""What an evaluator is to the runner: something that opens a session per run and answers."""

from __future__ import annotations

from typing import Any, Protocol

from nasbench_evo.requests import Evaluation, Request
from nasbench_evo.spaces.base import Space

TEACHER = "teacher"  # the note of a run whose trainings were taught


class Session(Protocol):
    """One run's view of an evaluator: its noise, its partial trainings, its weights."""

    notes: dict[str, Any]  # what the record must say, e.g. where a landmark was read

    def answer(self, request: Request) -> list[Evaluation]:
        """Answer a request in order; raise Unsupported with what to use instead."""


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
