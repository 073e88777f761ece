"""Search algorithms: each reads like its paper's pseudo-code."""

from __future__ import annotations

from nasbench_evo.algorithms.base import Algorithm, parse_overrides
from nasbench_evo.algorithms.eg_nas import EGNAS
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.genetic_nas import GeneticNAS
from nasbench_evo.algorithms.local_search import LocalSearch
from nasbench_evo.algorithms.random_search import RandomSearch
from nasbench_evo.algorithms.regularized_evolution import RegularizedEvolution
from nasbench_evo.errors import unknown

ALGORITHMS: dict[str, type[Algorithm]] = {
    cls.name: cls
    for cls in (
        GeneticCNN,
        Eigen,
        GeneticNAS,
        EGNAS,
        RandomSearch,
        RegularizedEvolution,
        LocalSearch,
    )
}


def get(name: str) -> type[Algorithm]:
    """Return the algorithm called `name`; raise InputError with the near miss if none is."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


__all__ = ["ALGORITHMS", "Algorithm", "get", "parse_overrides"]
