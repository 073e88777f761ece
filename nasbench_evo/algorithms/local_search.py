"""Local search: first improvement over the one-gene neighbours, restart at a local optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Search
from nasbench_evo.spaces.base import IntegerSpace


@dataclass(frozen=True)
class LocalSearch(Algorithm):
    """Hill climbing with random restarts; it has no hyper-parameters."""

    name: ClassVar[str] = "local_search"
    paper: ClassVar[str] = "White et al. 2021, first-improvement variant"
    incumbent: ClassVar[str] = "mean"
    needs: ClassVar[tuple[str, ...]] = ("neighbours",)

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
