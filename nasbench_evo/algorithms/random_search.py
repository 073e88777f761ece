"""Random search: the baseline that every figure and table draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.schedules import Schedule
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation, Request, Search
from nasbench_evo.spaces.base import Space

_BATCH = 50  # individuals asked for at once; the sequence of genotypes does not depend on it


@dataclass(frozen=True)
class RandomSearch(Algorithm):
    """Independent uniform genotypes; it has no hyper-parameters."""

    name: ClassVar[str] = "random_search"
    paper: ClassVar[str] = "baseline of all four papers (e.g. Genetic CNN, section 4.1.3)"

    def search(self, space: Space, rng: Stream) -> Search:
        """Evaluate uniform genotypes for ever."""
        while True:
            yield Evaluate(space.sample(rng, _BATCH))

    def schedule(self, space: Space, rng: Stream) -> Schedule:
        """Return the search as single trainings: nothing depends on anything."""
        return _Uniform(space, rng)


class _Uniform:
    def __init__(self, space: Space, rng: Stream) -> None:
        self._space, self._rng = space, rng

    def propose(self) -> tuple[int, Request]:
        return 0, Evaluate(self._space.sample(self._rng, 1))

    def absorb(self, ticket: int, answer: Evaluation) -> None:
        pass
