"""pymoo's genetic algorithm (Blank and Deb 2020), as its manual sets it for integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasbench_evo.algorithms.base import parameter
from nasbench_evo.algorithms.rivals.bridge import Rival


@dataclass(frozen=True)
class Pymoo(Rival):
    """Simulated binary crossover and polynomial mutation, both rounded; no genotype twice."""

    library: ClassVar[str] = "pymoo"
    listed: ClassVar[tuple[str, ...]] = ("GA",)

    population_size: int = parameter(20, "individuals, and children of a generation", low=2)

    def open(self, cardinalities: Sequence[int], seed: int) -> _Run:
        """Return the algorithm; it asks for whole generations."""
        return _Run(cardinalities, seed, self.population_size)


class _Run:
    def __init__(self, cardinalities: Sequence[int], seed: int, population_size: int) -> None:
        from pymoo.algorithms.soo.nonconvex.ga import GA
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        self._problem = Problem(
            n_var=len(cardinalities), n_obj=1, xl=0, xu=np.array(cardinalities) - 1, vtype=int
        )
        operators = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}
        self._algorithm = GA(
            pop_size=population_size,
            sampling=IntegerRandomSampling(),
            crossover=SBX(**operators),
            mutation=PM(**operators),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)

    def ask(self) -> list[list[int]]:
        self._asked = self._algorithm.ask()
        if self._asked is None:  # every child was there before
            return []
        genes: list[list[int]] = self._asked.get("X").tolist()
        return genes

    def tell(self, accuracies: Sequence[float]) -> None:
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        losses = -np.array(accuracies)[:, None]  # it minimises
        Evaluator().eval(StaticProblem(self._problem, F=losses), self._asked)
        self._algorithm.tell(infills=self._asked)
