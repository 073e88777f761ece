"""How an algorithm hands out work to workers that do not wait for each other."""

from __future__ import annotations

from typing import Protocol

from nasbench_evo.requests import Evaluation, Request


class Schedule(Protocol):
    """A search as a list of single trainings. A ticket names an individual until it is back."""

    def propose(self) -> tuple[int, Request] | None:
        """Return a ticket and a request for one individual; None to wait for others first.

        Raises StopIteration where the algorithm has ended.
        """

    def absorb(self, ticket: int, answer: Evaluation) -> None:
        """Take an answer when its worker has finished."""
