"""Local search: first improvement over the one-gene neighbours, restart at a local optimum."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.schedules import Schedule
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation, Request, Search
from nasbench_evo.spaces.base import Genotype, Integer, IntegerSpace


@dataclass(frozen=True)
class LocalSearch(Algorithm):
    """Hill climbing with random restarts; it has no hyper-parameters."""

    name: ClassVar[str] = "local_search"
    paper: ClassVar[str] = "White et al. 2021, first-improvement variant"
    incumbent: ClassVar[str] = "mean"
    needs: ClassVar[type] = Integer

    def search(self, space: IntegerSpace, rng: Stream) -> Search:
        """Climb from uniform starts, for ever."""
        while True:
            (current,) = yield Evaluate(space.sample(rng, 1))
            climbing = True
            while climbing:
                neighbours = space.neighbours(current.genotype)
                rng.shuffle(neighbours)
                climbing = False
                for neighbour in neighbours:
                    (answer,) = yield Evaluate((neighbour,))
                    if answer.valid_accuracy > current.valid_accuracy:
                        current, climbing = answer, True
                        break

    def schedule(self, space: IntegerSpace, rng: Stream) -> Schedule:
        """Return the climb with the neighbours of the current genotype tried by all workers.

        The first that is better becomes current; trainings under way then still count if they are
        better still. When no neighbour is left to try or under way, the climb starts anew.
        """
        return _Climbing(space, rng)


class _Climbing:
    def __init__(self, space: IntegerSpace, rng: Stream) -> None:
        self._space, self._rng = space, rng
        self._current: Evaluation | None = None
        self._left: deque[Genotype] = deque()
        self._out = 0

    def propose(self) -> tuple[int, Request] | None:
        if self._left:
            genotype = self._left.popleft()
        elif self._out:
            return None
        else:
            self._current = None
            (genotype,) = self._space.sample(self._rng, 1)
        self._out += 1
        return 0, Evaluate((genotype,))

    def absorb(self, ticket: int, answer: Evaluation) -> None:
        self._out -= 1
        if self._current is None or answer.valid_accuracy > self._current.valid_accuracy:
            self._current = answer
            neighbours = self._space.neighbours(answer.genotype)
            self._rng.shuffle(neighbours)
            self._left = deque(neighbours)
