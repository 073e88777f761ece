"""Hyperband (Li et al. 2018): successive halving from every first length, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.successive_halving import bracket
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Search
from nasbench_evo.spaces.base import Space


@dataclass(frozen=True)
class Hyperband(Algorithm):
    """Many genotypes trained briefly at first, then ever fewer for longer, then all anew."""

    name: ClassVar[str] = "hyperband"
    paper: ClassVar[str] = "Li et al. 2018, Algorithm 1"

    eta: int = parameter(3, "of how many one goes on at a rung", low=2, high=16)
    rungs: int = parameter(3, "s_max + 1: first lengths eta^-s_max, .., 1/eta, 1", low=1, high=5)

    def search(self, space: Space, rng: Stream) -> Search:
        """Run the brackets s = s_max, .., 0 for ever; R = 1, the full training."""
        while True:
            for s in range(self.rungs - 1, -1, -1):
                n = -(-self.rungs * self.eta**s // (s + 1))  # (line 3), rounded up
                yield from bracket(space, rng, n, self.eta, s)
