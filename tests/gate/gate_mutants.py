"""Real bugs, one at a time, put in from outside: subclasses of the algorithms and of the space.

Each class has one bug and nothing else; `NONE` rewrites the loop that some of them need, without
a bug, so that a test can show that the rewriting itself changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import ClassVar, NamedTuple

import numpy as np

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.eg_nas import EGNAS
from nasbench_evo.algorithms.eigen import Eigen, Thresholds
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.genetic_nas import GeneticNAS
from nasbench_evo.algorithms.operators import exchange_blocks, tournament
from nasbench_evo.algorithms.regularized_evolution import RegularizedEvolution
from nasbench_evo.requests import Evaluate
from nasbench_evo.spaces.nasbench201 import NASBench201
from nasbench_evo.suite import Row, Unit


class MayRedraw(NASBench201):
    """Mutation draws among all operations: one time in five nothing changes."""

    def vary(self, genes, rng):
        gene = rng.below(len(genes))
        genes[gene] = rng.below(self.cardinalities[gene])


class FirstEdges(NASBench201):
    """Mutation reaches the first `edges` edges only."""

    edges: ClassVar[int]

    def vary(self, genes, rng):
        gene = rng.below(self.edges)
        genes[gene] = rng.other(genes[gene], self.cardinalities[gene])


class LastEdgeFixed(FirstEdges):
    edges = 5


class HalfTheEdges(FirstEdges):
    edges = 3


class TwoMutations(NASBench201):
    """An elementary mutation makes two."""

    def vary(self, genes, rng):
        super().vary(genes, rng)
        super().vary(genes, rng)


class EvolutionMayRedraw(RegularizedEvolution):
    def search(self, space, rng):
        return super().search(MayRedraw(), rng)


class EigenMayRedraw(Eigen):
    def search(self, space, rng):
        return super().search(MayRedraw(), rng)


class EvolutionLastEdgeFixed(RegularizedEvolution):
    def search(self, space, rng):
        return super().search(LastEdgeFixed(), rng)


class EigenLastEdgeFixed(Eigen):
    def search(self, space, rng):
        return super().search(LastEdgeFixed(), rng)


class EvolutionHalfTheEdges(RegularizedEvolution):
    def search(self, space, rng):
        return super().search(HalfTheEdges(), rng)


class EigenHalfTheEdges(Eigen):
    def search(self, space, rng):
        return super().search(HalfTheEdges(), rng)


class EvolutionTwoMutations(RegularizedEvolution):
    def search(self, space, rng):
        return super().search(TwoMutations(), rng)


class EigenTwoMutations(Eigen):
    def search(self, space, rng):
        return super().search(TwoMutations(), rng)


class InvertedTournament(RegularizedEvolution):
    """The least fit of the sample becomes the parent."""

    def search(self, space, rng):
        generator, answers = super().search(space, rng), None
        while True:
            answers = yield generator.send(answers)
            answers = [a._replace(valid_accuracy=-a.valid_accuracy) for a in answers]


class TournamentOfOne(RegularizedEvolution):
    def search(self, space, rng):
        return RegularizedEvolution.search(dataclasses.replace(self, sample_size=1), space, rng)


class EvolutionRewritten(RegularizedEvolution):
    """The loop of regularized evolution with its last step as a method."""

    def search(self, space, rng):
        population = deque((yield Evaluate(space.sample(rng, self.population_size))))
        while True:
            parent = tournament(population, self.sample_size, rng, replacement=self.replacement)
            population += yield Evaluate((space.mutate(parent.genotype, rng),))
            self.bury(population)

    def bury(self, population):
        population.popleft()


class AgeingLost(EvolutionRewritten):
    """The least fit dies instead of the oldest."""

    def bury(self, population):
        population.remove(min(population, key=lambda individual: individual.valid_accuracy))


class CNNBlockNotExchanged(GeneticCNN):
    """Crossover leaves the last block out."""

    def crossover(self, a, b, space, rng):
        return _without_last_block(a, b, space, self.q_crossover, rng)


class NASBlockNotExchanged(GeneticNAS):
    def crossover(self, a, b, space, rng):
        return _without_last_block(a, b, space, self.q_crossover, rng)


def _without_last_block(a, b, space, rate, rng):
    *blocks, last = space.blocks
    first, second = exchange_blocks(a, b, blocks, rate, rng)
    return first + a[last], second + b[last]


class CNNBlockLost(GeneticCNN):
    """Crossover leaves the genes of the last block behind: they become zero."""

    def crossover(self, a, b, space, rng):
        return _last_block_lost(super().crossover(a, b, space, rng), space)


class NASBlockLost(GeneticNAS):
    def crossover(self, a, b, space, rng):
        return _last_block_lost(super().crossover(a, b, space, rng), space)


def _last_block_lost(children, space):
    last = space.blocks[-1]
    first, second = (child[: last.start] + (0,) * (last.stop - last.start) for child in children)
    return first, second


class CNNRankReversed(GeneticCNN):
    """The best never is selected, the worst most often."""

    def select(self, genotypes, r, rng):
        return super().select(genotypes, [-value for value in r], rng)


class NASRankReversed(GeneticNAS):
    """The worst individuals stay in the population."""

    def merge(self, population, answers):
        measured = population | {answer.genotype: answer.valid_accuracy for answer in answers}
        ranked = sorted(measured.items(), key=lambda item: item[1])
        return dict(ranked[: self.population_size])


class InvertedThresholds(Thresholds):
    def survivors(self, landmark, rank, answers):
        super().survivors(landmark, rank, answers)
        limit = self.values[landmark]
        return [a for a in answers if a.valid_accuracy <= limit]


class ExtinctionInverted(Eigen):
    """Those above the threshold go extinct."""

    def thresholds(self):
        return InvertedThresholds()


class EtaFlipped(EGNAS):
    """A worse individual is pushed away, a better one pulled back."""

    def fitness(self, alpha, accuracy, z, answers):
        l1 = self.zeta * np.array([answer.valid_loss for answer in answers])
        return 2 * l1 - super().fitness(alpha, accuracy, z, answers)


class OneSeed(EGNAS):
    """All strategies of a run draw the same numbers."""

    def strategy(self, alpha, accuracy, mean, sigma, draws):
        draws.seed(0)
        return super().strategy(alpha, accuracy, mean, sigma, draws)


class Mutant(NamedTuple):
    """A bug, and the class that stands in for each algorithm that it can be in."""

    bug: str
    classes: tuple[type[Algorithm], ...]

    def units(self, units: list[Unit]) -> list[Unit]:
        """Return those of a suite's units that the bug affects, with the bug."""
        instead = {cls.name: cls for cls in self.classes}
        return [
            dataclasses.replace(unit, row=_with(unit.row, instead[unit.row.algorithm]))
            for unit in units
            if unit.row.algorithm in instead
        ]


def _with(row: Row, cls: type[Algorithm]) -> Row:
    configured = cls(**row.configured.hyperparameters())
    return dataclasses.replace(row, configured=configured)


NONE = Mutant("none", (EvolutionRewritten,))
MUTANTS = {
    "tournament_inverted": Mutant("tournament inverted", (InvertedTournament,)),
    "tournament_of_one": Mutant("tournament size 1", (TournamentOfOne,)),
    "may_redraw": Mutant(
        "mutation may redraw the same operation", (EvolutionMayRedraw, EigenMayRedraw)
    ),
    "last_edge_fixed": Mutant(
        "last edge never mutated", (EvolutionLastEdgeFixed, EigenLastEdgeFixed)
    ),
    "two_mutations": Mutant(
        "two mutations instead of one", (EvolutionTwoMutations, EigenTwoMutations)
    ),
    "half_the_edges": Mutant(
        "only 3 of 6 edges mutated", (EvolutionHalfTheEdges, EigenHalfTheEdges)
    ),
    "ageing_lost": Mutant("ageing lost: the worst dies", (AgeingLost,)),
    "block_not_exchanged": Mutant(
        "crossover drops a block: never exchanged", (CNNBlockNotExchanged, NASBlockNotExchanged)
    ),
    "block_lost": Mutant("crossover drops a block: genes lost", (CNNBlockLost, NASBlockLost)),
    "rank_reversed": Mutant("selection by rank reversed", (CNNRankReversed, NASRankReversed)),
    "extinction_inverted": Mutant("EIGEN's extinction inverted", (ExtinctionInverted,)),
    "eta_flipped": Mutant("EG-NAS's sign of eta flipped", (EtaFlipped,)),
    "one_cma_seed": Mutant("one CMA seed for all samples", (OneSeed,)),
}
