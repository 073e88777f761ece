"""Genetic CNN (Xie and Yuille 2017): a plain genetic algorithm with roulette selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.generations import Birth, Generational, PaperFigures
from nasbench_evo.algorithms.operators import (
    Genes,
    distinct,
    exchange_blocks,
    flip_genes,
    reverse_genes,
    roulette,
)
from nasbench_evo.algorithms.repeats import (
    MeanFitness,
    kept_share,
    remembering,
    retraining,
    retrainings_parameter,
    trainings_parameter,
)
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import BudgetSpent, Evaluate, Search
from nasbench_evo.spaces.base import Integer, IntegerSpace


@dataclass(frozen=True)
class GeneticCNN(Algorithm):
    """Algorithm 1 of the paper; the defaults are its section 4.1.1."""

    name: ClassVar[str] = "genetic_cnn"
    paper: ClassVar[str] = "Xie and Yuille 2017, Algorithm 1"
    incumbent: ClassVar[str] = "mean"
    needs: ClassVar[type] = Integer
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # Chosen on cifar10 by suites/nb201_presets.toml; the budget ends the search.
        "nb201": {
            "population_size": 5,
            "generations": 1000,
            "p_mutation": 1.0,
            "q_mutation": 0.1,
        },
        # Chosen by the same study for a budget of 300: the end of it trains the best again.
        "nb201_300": {
            "population_size": 2,
            "generations": 100_000,
            "p_mutation": 1.0,
            "q_mutation": 0.05,
            "p_crossover": 0.4,
            "trainings": 1,
            "distinct": True,
            "retrainings": 64,
        },
    }

    population_size: int = parameter(20, "N, individuals in a generation", low=1)
    generations: int = parameter(50, "T, generations after the initial one", low=0)
    p_mutation: float = parameter(0.8, "p_M, chance that an individual mutates", low=0, high=1)
    q_mutation: float = parameter(0.05, "q_M, chance of each of its genes to flip", low=0, high=1)
    p_crossover: float = parameter(0.2, "p_C, chance that a pair crosses over", low=0, high=1)
    q_crossover: float = parameter(0.2, "q_C, chance of each of its blocks", low=0, high=1)
    initial: str = parameter(
        "random", "first population", choices=("random", "zeros", "ones", "given")
    )
    given: tuple[str, ...] = parameter(
        (), "genotypes of initial=given as the space prints them, or @FILE", later=True
    )
    flips: int = parameter(
        0, "genes reversed at random in each individual of a start that is not random",
        low=0, later=True,
    )  # fmt: skip
    trainings: int = trainings_parameter()
    distinct: bool = parameter(
        False, "of twins in a generation one mutates on, gene by gene", later=True
    )
    retrainings: int = retrainings_parameter()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.initial == "given") != bool(self.given):
            raise InputError(
                f"{self.name}: initial=given and given (genotypes, or @FILE with one a line) go "
                f"together; got initial={self.initial} and {len(self.given)} genotypes."
            )
        if len(self.given) > self.population_size:
            raise InputError(
                f"{self.name}: {len(self.given)} given genotypes are more than "
                f"population_size={self.population_size}. Give fewer, or a larger population."
            )
        if self.flips and self.initial == "random":
            raise InputError(
                f"{self.name}: flips={self.flips} reverses genes of a given start; initial=random "
                "is random already. Use initial=given, zeros or ones."
            )

    def check_space(self, space: Any) -> None:
        """Raise Unsupported or InputError if `space` does not have what the search starts from."""
        super().check_space(space)
        genes = len(space.cardinalities)
        if self.initial == "ones" and set(space.cardinalities) != {2}:
            raise Unsupported(
                f"initial=ones is of spaces of bits; genes of {space.name} have "
                f"{max(space.cardinalities)} values. Use initial=given with the genotype."
            )
        if self.flips > genes:
            raise InputError(
                f"{self.name}: a genotype of {space.name} has {genes} genes; got "
                f"flips={self.flips}."
            )
        self._given(space)

    def _given(self, space: Any) -> list[Genes]:
        """Return the given genotypes; raise InputError for one of another space."""
        found: list[Genes] = []
        for text in self.given:
            try:
                found.append(space.parse(text))
            except InputError as error:
                raise InputError(
                    f"{self.name}.given must be genotypes of {space.name}: {error}"
                ) from error
        return found

    def kept_share(self, evaluations: float | None) -> float:
        """Keep the trainings of the end."""
        return kept_share(self.retrainings, evaluations)

    @retraining
    @remembering
    def search(self, space: IntegerSpace, rng: Stream) -> Search:
        """Evolve for T generations; every individual is evaluated again in each.

        The result is the best average of the last whole generation (section 3.2.4).
        """
        fitness = MeanFitness()
        genotypes = self.initial_population(space, rng)
        fitness.update((yield Evaluate(genotypes)))
        for _ in range(self.generations):
            selected = self.select(genotypes, fitness.of(genotypes), rng)
            children = self.vary(selected, space, rng)
            if self.distinct:
                children = distinct(children, lambda child: space.mutate(child, rng))
            try:
                fitness.update((yield Evaluate(children)))
            except BudgetSpent:
                break
            genotypes = children
        return fitness.ranked(genotypes)[0]

    def initial_population(self, space: IntegerSpace, rng: Stream) -> list[Genes]:
        """Return N genotypes: uniform, or a start's in turn, each with `flips` genes reversed.

        All zeros are section 4.1.2's, all ones 4.1.4's, given ones as in 4.2 (a known network).
        """
        if self.initial == "random":
            return space.sample(rng, self.population_size)
        if self.initial == "given":
            start = self._given(space)
        else:
            start = [space.poorest()]
            if self.initial == "ones":
                start = [(1,) * len(space.cardinalities)]
        chosen = [start[i % len(start)] for i in range(self.population_size)]
        return [reverse_genes(one, space.cardinalities, self.flips, rng) for one in chosen]

    def select(self, genotypes: list[Genes], r: list[float], rng: Stream) -> list[Genes]:
        """Return N genotypes drawn by fitness r [n], percent; the worst never is (3.2.2)."""
        worst = min(r)
        weights = [value - worst for value in r]
        return roulette(genotypes, weights, self.population_size, rng)

    def vary(self, selected: list[Genes], space: IntegerSpace, rng: Stream) -> list[Genes]:
        """Cross over pairs; mutate each individual that was not in a crossover (lines 5, 6)."""
        children: list[Genes] = []
        for i in range(0, len(selected), 2):
            pair = selected[i : i + 2]
            if len(pair) == 2 and rng.random() < self.p_crossover:
                a, b = pair
                children += self.crossover(a, b, space, rng)
            else:
                children += [self.mutate(parent, space, rng) for parent in pair]
        return children

    def crossover(
        self, a: Genes, b: Genes, space: IntegerSpace, rng: Stream
    ) -> tuple[Genes, Genes]:
        """Return both parents with each block exchanged with probability q_C (3.2.3)."""
        return exchange_blocks(a, b, space.blocks, self.q_crossover, rng)

    def mutate(self, parent: Genes, space: IntegerSpace, rng: Stream) -> Genes:
        """Return `parent`, with probability p_M each of its genes flipped with q_M (3.2.3)."""
        if rng.random() >= self.p_mutation:
            return parent
        return flip_genes(parent, space.cardinalities, self.q_mutation, rng)

    # -- for figures --

    generational: ClassVar[Generational] = Generational(
        "average over the population", averaged=True
    )
    paper_figures: ClassVar[Mapping[str, PaperFigures]] = {
        "initial": PaperFigures(
            population="Genetic CNN, Fig. 3",
            statistics="Genetic CNN, Table 1",
            lineage="Genetic CNN, Fig. 4",
            cells="Genetic CNN, Fig. 5",
        )
    }

    def recording(self, births: list[Birth]) -> GeneticCNN:
        """Return the same method, which also appends parents and changed children to `births`."""
        recorder = _Recording(**self.hyperparameters())
        object.__setattr__(recorder, "births", births)  # no hyper-parameter
        return recorder


class _Recording(GeneticCNN):
    births: list[Birth]

    def _born(self, kind: str, parents: tuple[Genes, ...], child: Genes) -> None:
        if child not in parents:
            self.births.append((kind, parents, child))

    def mutate(self, parent: Genes, space: IntegerSpace, rng: Stream) -> Genes:
        child = super().mutate(parent, space, rng)
        self._born("mutation", (parent,), child)
        return child

    def crossover(
        self, a: Genes, b: Genes, space: IntegerSpace, rng: Stream
    ) -> tuple[Genes, Genes]:
        children = super().crossover(a, b, space, rng)
        for child in children:
            self._born("crossover", (a, b), child)
        return children
