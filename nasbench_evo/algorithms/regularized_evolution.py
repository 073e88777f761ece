"""Regularized evolution (Real et al. 2019): tournament selection, the oldest individual dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.operators import tournament
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Search
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
