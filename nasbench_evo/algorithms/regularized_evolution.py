"""Regularized evolution (Real et al. 2019): tournament selection, the oldest individual dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.operators import tournament
from nasbench_evo.algorithms.schedules import Schedule
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation, Request, Search
from nasbench_evo.spaces.base import Space


@dataclass(frozen=True)
class RegularizedEvolution(Algorithm):
    """Ageing evolution; the defaults are the NAS-Bench-201 paper's (10/3)."""

    name: ClassVar[str] = "regularized_evolution"
    paper: ClassVar[str] = "Real et al. 2019, Algorithm 1"
    incumbent: ClassVar[str] = "mean"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "real2019": {"population_size": 100, "sample_size": 25},
    }

    population_size: int = parameter(10, "individuals alive", low=1)
    sample_size: int = parameter(3, "individuals in a tournament", low=1)

    def search(self, space: Space, rng: Stream) -> Search:
        """Replace the oldest by a mutated tournament winner, for ever."""
        mutate, size = space.mutate, self.sample_size
        initial = space.sample(rng, self.population_size)
        population = deque((yield Evaluate(initial)))
        while True:
            parent = tournament(population, size, rng)
            population += yield Evaluate((mutate(parent.genotype, rng),))
            population.popleft()

    def schedule(self, space: Space, rng: Stream) -> Schedule:
        """Return the search as single trainings: parents are chosen among those that are back."""
        return _Ageing(self, space, rng)


class _Ageing:
    def __init__(self, algorithm: RegularizedEvolution, space: Space, rng: Stream) -> None:
        self._algorithm, self._space, self._rng = algorithm, space, rng
        self._initial = deque(space.sample(rng, algorithm.population_size))
        self._population: deque[Evaluation] = deque()

    def propose(self) -> tuple[int, Request] | None:
        if self._initial:
            return 0, Evaluate((self._initial.popleft(),))
        if not self._population:
            return None
        parent = tournament(self._population, self._algorithm.sample_size, self._rng)
        return 0, Evaluate((self._space.mutate(parent.genotype, self._rng),))

    def absorb(self, ticket: int, answer: Evaluation) -> None:
        self._population.append(answer)
        if len(self._population) > self._algorithm.population_size:
            self._population.popleft()
