"""Successive halving (Jamieson and Talwalkar 2016): short trainings of many, long ones of few."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation, Search
from nasbench_evo.spaces.base import Space


@dataclass(frozen=True)
class SuccessiveHalving(Algorithm):
    """Brackets of uniform genotypes, one after the other; a training goes on where it stopped."""

    name: ClassVar[str] = "successive_halving"
    paper: ClassVar[str] = "Jamieson and Talwalkar 2016, Figure 3"

    candidates: int = parameter(9, "n, new genotypes of a bracket", low=1)
    eta: int = parameter(3, "of how many one goes on at a rung", low=2)
    rungs: int = parameter(
        3, "lengths of training: eta^-(rungs-1), .., 1/eta, 1 of the full", low=1, high=8
    )

    def search(self, space: Space, rng: Stream) -> Search:
        """Halve brackets for ever."""
        while True:
            yield from bracket(space, rng, self.candidates, self.eta, self.rungs - 1)


def bracket(
    space: Space, rng: Stream, n: int, eta: int, s: int
) -> Generator[Evaluate, Any, list[Evaluation]]:
    """Train `n` uniform genotypes to eta^-s of the full length, then the best eta-th ever longer.

    At least one goes on; equals go on in the order in which they were drawn. Returns the answers
    of the full trainings.
    """
    alive: list[Evaluation] = yield Evaluate(space.sample(rng, n), eta**-s)
    for rung in range(s - 1, -1, -1):
        alive = sorted(alive, key=lambda answer: -answer.valid_accuracy)[
            : max(1, len(alive) // eta)
        ]
        alive = yield Evaluate(
            [answer.genotype for answer in alive],
            1.0 if rung == 0 else eta**-rung,
            continues=[answer.training for answer in alive],
        )
    return alive
