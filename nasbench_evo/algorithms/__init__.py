"""Search algorithms: each reads like its paper's pseudo-code.

An algorithm has a name here, or in another package's entry point group `nasbench_evo.algorithms`,
or is spelt `package.module:Class`, or `library:optimiser` (see `rivals`).
"""

from __future__ import annotations

from nasbench_evo.algorithms.base import Algorithm, parameter, parse_overrides
from nasbench_evo.algorithms.darts import DARTS
from nasbench_evo.algorithms.eg_nas import EGNAS
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.genetic_nas import GeneticNAS
from nasbench_evo.algorithms.hyperband import Hyperband
from nasbench_evo.algorithms.local_search import LocalSearch
from nasbench_evo.algorithms.random_search import RandomSearch
from nasbench_evo.algorithms.random_search_ws import RandomSearchWS
from nasbench_evo.algorithms.regularized_evolution import RegularizedEvolution
from nasbench_evo.algorithms.successive_halving import SuccessiveHalving
from nasbench_evo.errors import InputError, unknown

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
        SuccessiveHalving,
        Hyperband,
        RandomSearchWS,
        DARTS,
    )
}


def get(name: str) -> type[Algorithm]:
    """Return the algorithm called `name`: built in, a rival, installed, or `package.module:Class`.

    While a results folder is read the last has a stand-in, unless its module is imported already
    (see `stand_ins`), and so has a rival whose library is missing. Other packages are looked at
    only for a name that is not built in. Raises InputError with the near miss if there is none, or
    if it is not a usable subclass of Algorithm; Unsupported for a rival whose library is missing.
    """
    if not isinstance(name, str):
        raise InputError(f"The name of an algorithm is a text; got {name!r:.60}.")
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    from nasbench_evo.algorithms import external, rivals, stand_ins  # late: few runs need these

    if rivals.is_rival(name) and ":" in name:
        known = None if rivals.is_installed(name) else stand_ins.known(name)
        return known or rivals.get(name)
    if ":" in name:
        if name in external.GIVEN:
            return external.GIVEN[name]
        return stand_ins.known(name) or external.imported(name)
    installed = external.installed()
    if name not in installed:
        raise unknown("algorithm", name, [*ALGORITHMS, *installed, *rivals.NAMES])
    return external.load(installed[name])


__all__ = ["ALGORITHMS", "Algorithm", "get", "parameter", "parse_overrides"]
