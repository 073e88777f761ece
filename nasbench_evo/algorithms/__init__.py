"""Search algorithms: each reads like its paper's pseudo-code.

An algorithm has a name here, or in another package's entry point group `nasbench_evo.algorithms`,
or is spelt `package.module:Class`.
"""

from __future__ import annotations

from nasbench_evo.algorithms.base import Algorithm, parameter, parse_overrides
from nasbench_evo.algorithms.darts import DARTS
from nasbench_evo.algorithms.eg_nas import EGNAS
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.genetic_nas import GeneticNAS
from nasbench_evo.algorithms.local_search import LocalSearch
from nasbench_evo.algorithms.random_search import RandomSearch
from nasbench_evo.algorithms.random_search_ws import RandomSearchWS
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
        RandomSearchWS,
        DARTS,
    )
}


def get(name: str) -> type[Algorithm]:
    """Return the algorithm called `name`: built in, installed, or `package.module:Class`.

    While a results folder is read the last has a stand-in, unless its module is imported already
    (see `stand_ins`). Other packages are looked at only for a name that is not built in. Raises
    InputError with the near miss if there is none, or if it is not a usable subclass of Algorithm.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    from nasbench_evo.algorithms import external, stand_ins  # imported late: few runs need it

    if ":" in name:
        return stand_ins.known(name) or external.imported(name)
    installed = external.installed()
    if name not in installed:
        raise unknown("algorithm", name, [*ALGORITHMS, *installed])
    return external.load(installed[name])


__all__ = ["ALGORITHMS", "Algorithm", "get", "parameter", "parse_overrides"]
