"""NSGA-II (Deb et al. 2002) around the variation of an evolutionary algorithm.

Accuracy is one objective; the others are properties of a genotype that cost no training, such as
its number of parameters. An algorithm keeps its own initial population, crossover and mutation;
selection and survival are by rank and crowding. Sorting is the package moocore's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.genetic_nas import GeneticNAS
from nasbench_evo.algorithms.regularized_evolution import RegularizedEvolution
from nasbench_evo.algorithms.repeats import MeanFitness
from nasbench_evo.errors import Unsupported
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation, Search
from nasbench_evo.spaces.base import Genotype

Array: TypeAlias = NDArray[np.float64]
# What a genotype costs, each number to be minimised; known without training it.
Costs: TypeAlias = Callable[[Genotype], tuple[float, ...]]


class Breeding(NamedTuple):
    """What an algorithm brings into NSGA-II: all but selection and survival."""

    survivors: int  # distinct genotypes kept
    rivals: int  # individuals in the tournament for a parent
    parents: int  # drawn for the children of one request
    requests: int | None  # of children; None: until the budget is spent
    initial: Callable[[Any, Stream], list[Genotype]]
    children: Callable[[list[Genotype], Any, Stream], list[Genotype]]


def _genetic_cnn(algorithm: GeneticCNN) -> Breeding:
    """Roulette becomes the binary tournament of Deb et al."""
    return Breeding(
        survivors=algorithm.population_size,
        rivals=2,
        parents=algorithm.population_size,
        requests=algorithm.generations,
        initial=algorithm.initial_population,
        children=algorithm.vary,
    )


def _genetic_nas(algorithm: GeneticNAS) -> Breeding:
    """The generations of all epochs; nothing is trained between them."""
    n = algorithm.generation_size

    def initial(space: Any, rng: Stream) -> list[Genotype]:
        return list(algorithm.distinct(space.sample(rng, n), set(), space, rng))

    def children(parents: list[Genotype], space: Any, rng: Stream) -> list[Genotype]:
        born: list[Genotype] = []
        for i in range(0, n, 2):
            born += algorithm.children(parents[i : i + 2], space, rng)
        return list(algorithm.distinct(born[:n], set(), space, rng))

    return Breeding(
        survivors=algorithm.population_size,
        rivals=2,
        parents=n + n % 2,
        requests=algorithm.epochs * algorithm.generations_per_epoch,
        initial=initial,
        children=children,
    )


def _regularized_evolution(algorithm: RegularizedEvolution) -> Breeding:
    """One child at a time. The worst dies, not the oldest: ageing would lose the front's ends."""
    return Breeding(
        survivors=algorithm.population_size,
        rivals=algorithm.sample_size,
        parents=1,
        requests=None,
        initial=lambda space, rng: space.sample(rng, algorithm.population_size),
        children=lambda parents, space, rng: [space.mutate(parents[0], rng)],
    )


_BREEDING: dict[type[Algorithm], Callable[[Any], Breeding]] = {
    GeneticCNN: _genetic_cnn,
    GeneticNAS: _genetic_nas,
    RegularizedEvolution: _regularized_evolution,
}

# Hyper-parameters of a base that say nothing to NSGA-II: they are of shared weights, of a result
# of its own, or of what one accuracy decides, where NSGA-II decides. Changing them is an error.
_UNUSED: dict[type[Algorithm], tuple[str, ...]] = {
    GeneticCNN: ("trainings", "distinct", "retrainings"),
    GeneticNAS: (
        *("warmup", "warmup_sampling", "final_pick", "variant", "random_paths"),
        *("duplicates", "retrainings"),
    ),
    RegularizedEvolution: ("replacement",),
}


@dataclass(frozen=True)
class NSGA2(Algorithm):
    """The multi-objective search of a `base` algorithm; `costs` are minimised beside accuracy.

    The accuracy of a genotype is the mean over its evaluations. Raises Unsupported for an
    algorithm that has no crossover or mutation to lend, for a hyper-parameter of it that NSGA-II
    would ignore, or if moocore is not installed.
    """

    name: ClassVar[str] = "nsga2"
    paper: ClassVar[str] = "Deb et al. 2002, section III"
    incumbent: ClassVar[str] = "mean"

    base: Algorithm
    costs: Costs

    def __post_init__(self) -> None:
        if type(self.base) not in _BREEDING:
            known = ", ".join(cls.name for cls in _BREEDING)
            raise Unsupported(
                f"{self.base.name} has no multi-objective search. Those that have: {known}."
            )
        for field in fields(self.base):
            value = getattr(self.base, field.name)
            if field.name in _UNUSED.get(type(self.base), ()) and value != field.default:
                raise Unsupported(
                    f"{self.base.name}.{field.name}={value} has no meaning in a search for several "
                    f"objectives, where NSGA-II selects. Leave it at {field.default}, or search "
                    "for accuracy alone."
                )
        _moocore()

    def hyperparameters(self) -> dict[str, Any]:
        """Return those of the base."""
        return self.base.hyperparameters()

    def check_space(self, space: Any) -> None:
        """Raise Unsupported if the base cannot vary the genotypes of `space`."""
        self.base.check_space(space)

    def search(self, space: Any, rng: Stream) -> Search:
        """Keep the best of parents and children by rank, then crowding (section III-C)."""
        breeding = _BREEDING[type(self.base)](self.base)
        fitness = MeanFitness()
        born = breeding.initial(space, rng)
        population: list[Genotype] = []
        requests = 0
        while True:
            fitness.update((yield Evaluate(born)))
            merged = list(dict.fromkeys([*population, *born]))
            order = ranked(self._objectives(merged, fitness))
            population = [merged[i] for i in order[: breeding.survivors]]
            if requests == breeding.requests:
                return
            requests += 1
            parents = [
                population[best_of(len(population), breeding.rivals, rng)]
                for _ in range(breeding.parents)
            ]
            born = breeding.children(parents, space, rng)

    def _objectives(self, genotypes: list[Genotype], fitness: MeanFitness) -> Array:
        means = fitness.of(genotypes)
        return np.array([(-m, *self.costs(g)) for g, m in zip(genotypes, means, strict=True)])


def best_of(n: int, rivals: int, rng: Stream) -> int:
    """Return the lowest of `rivals` (at most n) numbers drawn from 0..n-1 without replacement."""
    left = list(range(n))
    return min(left.pop(rng.below(alive)) for alive in range(n, max(n - rivals, 0), -1))


def ranked(objectives: Array) -> list[int]:
    """Return the positions of individuals [n, m] (all minimised) from best to worst.

    Lower non-domination rank first, then larger crowding distance (the operator of section
    III-B), then the earlier position.
    """
    ranks = _moocore().pareto_rank(objectives)
    distances = np.empty(len(objectives))
    for rank in np.unique(ranks):
        distances[ranks == rank] = crowding(objectives[ranks == rank])
    return [int(i) for i in np.lexsort((-distances, ranks))]


def crowding(objectives: Array) -> Array:
    """Return the crowding distances [n] within a front [n, m] (section III-B).

    The extremes of each objective have infinity; an objective that is constant says nothing.
    """
    distances = np.zeros(len(objectives))
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        rising = column[order]
        span = rising[-1] - rising[0]
        if span > 0:
            distances[order[1:-1]] += (rising[2:] - rising[:-2]) / span
            distances[order[[0, -1]]] = np.inf
    return distances


class Member(NamedTuple):
    """A genotype of a non-dominated set; `seen` is its mean accuracy in the search, percent."""

    genotype: Genotype
    seen: float
    costs: tuple[float, ...]


def non_dominated(history: Sequence[Evaluation], costs: Costs) -> list[Member]:
    """Return the genotypes of a search that no other dominates, highest accuracy first.

    All that was evaluated counts, survivors or not, by its mean accuracy. Equal genotypes are one;
    genotypes with equal objectives all stay. Raises Unsupported if moocore is not installed.
    """
    fitness = MeanFitness()
    fitness.update(history)
    genotypes = list(dict.fromkeys(answer.genotype for answer in history))
    members = [
        Member(genotype, seen, costs(genotype))
        for genotype, seen in zip(genotypes, fitness.of(genotypes), strict=True)
    ]
    if not members:
        return []
    objectives = np.array([(-member.seen, *member.costs) for member in members])
    kept = _moocore().is_nondominated(objectives, keep_weakly=True)
    chosen = [member for member, stays in zip(members, kept, strict=True) if stays]
    return sorted(chosen, key=lambda member: (-member.seen, member.costs, member.genotype))


def _moocore() -> ModuleType:
    try:
        import moocore
    except ImportError as error:
        raise Unsupported(
            f"Searches for several objectives need moocore ({error}): "
            "pip install 'nasbench-evo[multi]'."
        ) from error
    return moocore  # type: ignore[no-any-return]  # it ships no types
