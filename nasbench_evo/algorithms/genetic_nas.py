"""GeneticNAS (Habi and Rafalovich 2019): an elitist genetic algorithm on shared weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.generations import Exchange, Generation, Generational
from nasbench_evo.algorithms.operators import (
    FairPaths,
    Genes,
    distinct,
    exchange_blocks,
    flip_genes,
    roulette,
    step_genes,
)
from nasbench_evo.algorithms.repeats import kept_share, retraining, retrainings_parameter
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import (
    BudgetSpent,
    Evaluate,
    Evaluation,
    MeasurePaths,
    Note,
    Request,
    Search,
    TrainPaths,
)
from nasbench_evo.spaces.base import Genotype, Integer, IntegerSpace

_MUTATIONS = {"uniform": flip_genes, "step": step_genes}
_VARIANTS = ("paper", "as_published_code")
_SAMPLINGS = ("uniform", "fair")
_PICKS = ("full", "fitness")
_DUPLICATES = ("random", "mutated")


@dataclass(frozen=True)
class GeneticNAS(Algorithm):
    """Defaults are the reference's CIFAR-10 search configuration."""

    name: ClassVar[str] = "genetic_nas"
    paper: ClassVar[str] = "Habi and Rafalovich 2019"
    incumbent: ClassVar[str] = "mean"
    needs: ClassVar[type] = Integer
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # Chosen on cifar10 by suites/nb201_presets.toml; the budget ends the search.
        "nb201": {
            "population_size": 5,
            "generation_size": 20,
            "p_mutation": 0.1,
        },
        # Chosen by the same study for a budget of 300: the end of it trains the best again.
        "nb201_300": {
            "population_size": 6,
            "generation_size": 8,
            "p_mutation": 0.1,
            "p_crossover": 0.5,
            "duplicates": "mutated",
            "retrainings": 64,
        },
    }

    generation_size: int = parameter(20, "individuals evaluated in a generation", low=1)
    population_size: int = parameter(20, "distinct individuals kept", low=1)
    generations_per_epoch: int = parameter(2, "generations after each training epoch", low=1)
    epochs: int = parameter(310, "epochs of shared-weight training", low=1)
    p_mutation: float = parameter(0.02, "chance of each gene to mutate", low=0, high=1)
    p_crossover: float = parameter(1.0, "chance that a pair crosses over", low=0, high=1)
    q_crossover: float = parameter(0.5, "chance of each block (node) to swap", low=0, high=1)
    mutation: str = parameter("uniform", "new value of a gene", choices=tuple(_MUTATIONS))
    warmup: int = parameter(0, "epochs of random paths before the first generation", low=0)
    warmup_sampling: str = parameter("uniform", "how random paths are drawn", choices=_SAMPLINGS)
    final_pick: str = parameter("full", "accuracy that decides at the end", choices=_PICKS)
    variant: str = parameter(
        "paper", "as_published_code has the faults of the reference", choices=_VARIANTS
    )
    random_paths: int = parameter(
        0, "random genotypes measured beside each population, for a note; shared weights only",
        low=0, later=True,
    )  # fmt: skip
    duplicates: str = parameter(
        "random", "a child twice in a generation becomes a random genotype; mutated: it mutates "
        "until it is new, so does a child of an earlier generation",
        choices=_DUPLICATES, later=True,
    )  # fmt: skip
    retrainings: int = retrainings_parameter()

    @property
    def faulty(self) -> bool:
        """Whether fitness is measured as the public code does, to show what that changes.

        By running BatchNorm, on another batch for each individual, as the mean of the individuals
        of a generation so far; and the result is the best of the epoch whose best is most accurate
        on all validation images (there: test images).
        """
        return self.variant == "as_published_code"

    def shared_only(self) -> str:
        """Return that random paths mean something with shared weights only."""
        return f"random_paths={self.random_paths}" if self.random_paths else ""

    def kept_share(self, evaluations: float | None) -> float:
        """Keep the trainings of the end."""
        return kept_share(self.retrainings, evaluations)

    @retraining
    def search(self, space: IntegerSpace, rng: Stream) -> Search:
        """Alternate an epoch of path training with generations of the genetic algorithm.

        The result is the best of the last population, measured on all validation images; by last
        measured fitness with `final_pick="fitness"`, and where the budget ends the search. With
        `random_paths` each generation says whether the population collapses (`Note`); the search
        itself is the same.
        """
        apart = rng.apart() if self.random_paths else rng
        fair = FairPaths(space.cardinalities)
        best: Evaluation | None = None  # of the published code: the best epoch's
        population: dict[Genes, float] = {}  # genotype -> last measured fitness, best first
        known: set[Genes] = set()  # all that were measured
        generation = self.distinct(space.sample(rng, self.generation_size), known, space, rng)

        def sample(training: Stream) -> Genes:
            if not population:  # warm-up and the first epoch train random paths
                if self.warmup_sampling == "fair":
                    return fair(training)
                return space.sample(training, 1)[0]
            parents = [training.choice(list(population)) for _ in range(2)]
            return self.children(parents, space, training)[0]

        try:
            for epoch in range(self.epochs):
                yield TrainPaths(sample)
                if epoch < self.warmup:
                    continue
                for _ in range(self.generations_per_epoch):
                    answers = yield Evaluate(generation, running=self.faulty)
                    population = self.merge(population, answers)
                    bred = self._breed(population, space, rng)
                    generation = self.distinct(bred, known, space, rng)
                    if self.random_paths:
                        yield from self._diagnose(epoch + 1, list(population), bred, space, apart)
                if self.faulty and self.final_pick == "full":
                    (now,) = yield Evaluate([next(iter(population))], whole=True, running=True)
                    best = now if best is None or now.valid_accuracy > best.valid_accuracy else best
            if self.final_pick == "full" and best is None:
                answers = yield Evaluate(list(population), whole=True)
                best = max(answers, key=lambda answer: answer.valid_accuracy)
        except BudgetSpent:
            if not population:  # not one whole generation
                raise
        return next(iter(population)) if best is None else best.genotype

    def merge(
        self, population: dict[Genes, float], answers: list[Evaluation]
    ) -> dict[Genes, float]:
        """Return the best distinct genotypes by last measured fitness."""
        fitness = [answer.valid_accuracy for answer in answers]
        if self.faulty:  # an average that the code does not begin anew for each individual
            fitness = [total / n for n, total in enumerate(accumulate(fitness), 1)]
        measured = population | dict(
            zip([answer.genotype for answer in answers], fitness, strict=True)
        )
        ranked = sorted(measured.items(), key=lambda item: -item[1])
        return dict(ranked[: self.population_size])

    def _diagnose(
        self, epoch: int, population: list[Genes], bred: list[Genes], space: IntegerSpace,
        rng: Stream,
    ) -> Generator[Request | Note, Any, None]:  # fmt: skip
        """Say how a population compares with random paths, and how alike its individuals are.

        Both are measured on the same images with the weights of now; fitness may be older.
        """
        random = space.sample(rng, self.random_paths)
        answers = yield MeasurePaths([*random, *population])
        accuracies = [answer.valid_accuracy for answer in answers]
        said = {
            "random_paths": fmean(accuracies[: len(random)]),
            "population": fmean(accuracies[len(random) :]),
            "agreement": agreement(population),
        }
        counts = {"distinct": len(set(population)), "distinct_children": len(set(bred))}
        yield Note({"epoch": epoch, **{k: round(v, 4) for k, v in said.items()}, **counts})

    def distinct(
        self, genotypes: list[Genes], known: set[Genes], space: IntegerSpace, rng: Stream
    ) -> list[Genes]:
        """Return a generation without duplicates; `known`, of earlier generations, grows by it."""
        if self.duplicates == "random":
            return distinct(genotypes, lambda _: space.sample(rng, 1)[0], tries=1)
        found = distinct(genotypes, lambda child: space.mutate(child, rng), known)
        known.update(found)
        return found

    def _breed(
        self, population: dict[Genes, float], space: IntegerSpace, rng: Stream
    ) -> list[Genes]:
        """Return the children of fitness-proportional parents, with duplicates."""
        n = self.generation_size
        parents = roulette(list(population), list(population.values()), n + n % 2, rng)
        children: list[Genes] = []
        for i in range(0, n, 2):
            children += self.children(parents[i : i + 2], space, rng)
        return children[:n]

    def children(self, parents: list[Genes], space: IntegerSpace, rng: Stream) -> list[Genes]:
        """Return both parents crossed over with probability p_crossover, then mutated."""
        a, b = parents
        if rng.random() < self.p_crossover:
            a, b = self.crossover(a, b, space, rng)
        mutate = _MUTATIONS[self.mutation]
        return [mutate(child, space.cardinalities, self.p_mutation, rng) for child in (a, b)]

    def crossover(
        self, a: Genes, b: Genes, space: IntegerSpace, rng: Stream
    ) -> tuple[Genes, Genes]:
        """Return both parents with each block (node) exchanged with probability q_crossover."""
        return exchange_blocks(a, b, space.blocks, self.q_crossover, rng)

    # -- for figures --

    generational: ClassVar[Generational] = Generational(
        "average over the population kept", averaged=True, sized_by=("generation_size",)
    )

    def read_generations(self, exchanges: Sequence[Exchange]) -> list[Generation[Genotype]]:
        """Repeat the merging of each generation into the population that is kept."""
        found, spent = [], 0.0
        population: dict[Genes, float] = {}
        for request, answers in exchanges:
            if isinstance(request, Evaluate):
                spent += sum(answer.cost for answer in answers)
                if request.whole:  # of those that are kept already: no generation
                    continue
                population = self.merge(population, answers)
                members, fitness = tuple(population), tuple(population.values())
                found.append(Generation(members[0], members, fitness, spent, fitness[0]))
        return found


def agreement(population: Sequence[Genes]) -> float:
    """Return the mean over genes of the share that the commonest value has; 1: all are the same."""
    shares = [
        max(Counter(gene).values()) / len(population) for gene in zip(*population, strict=True)
    ]
    return fmean(shares)
