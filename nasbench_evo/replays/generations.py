"""What happened inside a run, generation by generation.

A lookup run keeps no journal: its seed is the record. Here runs are repeated from their seeds with
a recorder in between, and each repetition must have the SHA-256 of the stored trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.eg_nas import EGNAS
from nasbench_evo.algorithms.eigen import Eigen
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.genetic_nas import GeneticNAS
from nasbench_evo.errors import DataError
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, Request, Search
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.runner import search
from nasbench_evo.suite import Unit

Array = NDArray[np.float64]
Exchange = tuple[Request, list[Evaluation]]


class Recorder(Algorithm):
    """An algorithm that behaves like another and remembers every completed exchange.

    The request that the budget cut short is not among them.
    """

    name = "recorder"
    paper = "none"

    def __init__(self, inner: Algorithm) -> None:
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "exchanges", [])

    def search(self, space: Any, rng: Stream) -> Search:
        """Pass requests and answers on and keep them."""
        inner: Algorithm = self.inner  # type: ignore[attr-defined]
        exchanges: list[Exchange] = self.exchanges  # type: ignore[attr-defined]
        generator = inner.search(space, rng)
        answers: Any = None
        while True:
            try:
                request = generator.send(answers)
            except StopIteration:
                return
            answers = yield request
            exchanges.append((request, answers or []))


def exchanges(unit: Unit, seed: int, expected_sha256: str | None = None) -> list[Exchange]:
    """Return the completed exchanges of a run, repeated from its seed.

    Raises DataError if the trace is not the stored one: the code or the table has changed since.
    """
    recorder = Recorder(unit.row.configured)
    result = search(recorder, unit.evaluator(), seed=seed, budget=unit.budget)
    if expected_sha256 is not None and result.trace_sha256 != expected_sha256:
        raise DataError(
            f"{unit.row.label}, {unit.dataset}, seed {seed}: the repeated trace "
            f"{result.trace_sha256[:16]} is not the stored {expected_sha256[:16]}. The code has "
            "changed since the run: repeat the suite with --fresh."
        )
    found: list[Exchange] = recorder.exchanges  # type: ignore[attr-defined]
    return found


@dataclass(frozen=True)
class Generation:
    """One generation of a run.

    `champion` is the index in the table of what stands for the generation (see `MEANING`);
    `members` the indices of all individuals evaluated in it; `fitness` what the search saw of
    them, percent; `spent` the full-training equivalents up to and including it; `best` is the
    champion's fitness as the search saw it.
    """

    champion: int
    members: tuple[int, ...]
    fitness: tuple[float, ...]
    spent: float
    best: float


def _generation(
    champion: Evaluation, members: Sequence[Evaluation], spent: float, index: Any
) -> Generation:
    return Generation(
        champion=index(champion.genotype),
        members=tuple(index(member.genotype) for member in members),
        fitness=tuple(member.valid_accuracy for member in members),
        spent=spent,
        best=champion.valid_accuracy,
    )


MEANING = {
    "eigen": "parent of the next generation",
    "genetic_cnn": "average over the population",
    "genetic_nas": "average over the population kept",
    "eg_nas": "chosen search direction",
}


def generations(unit: Unit, seed: int, expected_sha256: str | None = None) -> list[Generation]:
    """Return the completed generations of a run; for EG-NAS a generation is an epoch.

    Empty for algorithms without generations (those not in `MEANING`).
    """
    configured = unit.row.configured
    index = tables.reported(unit.table).space.index
    steps = exchanges(unit, seed, expected_sha256)
    if isinstance(configured, Eigen):
        return _eigen(configured, steps, index)
    if isinstance(configured, GeneticCNN):
        return _plain(steps, index)
    if isinstance(configured, GeneticNAS):
        return _genetic_nas(configured, steps, index)
    if isinstance(configured, EGNAS):
        return _eg_nas(configured, steps, index)
    return []


def _eigen(configured: Eigen, steps: Sequence[Exchange], index: Any) -> list[Generation]:
    """Follow the parent through the generations; the first holds the poorest individual."""
    start = configured.first_landmark if configured.extinction else 1.0
    found: list[Generation] = []
    parent: Evaluation = steps[0][1][0]
    members: list[Evaluation] = [parent]
    spent = parent.cost

    def close() -> None:
        nonlocal parent
        full = [member for member in members if member.fraction == 1.0]
        champion = max(full, key=lambda member: member.valid_accuracy, default=parent)
        if champion.valid_accuracy > parent.valid_accuracy or (full and not configured.elitist):
            parent = champion
        found.append(_generation(parent, members, spent, index))

    for request, answers in steps[1:]:
        if isinstance(request, Evaluate) and request.fraction == start:
            close()
            members = []
        members += answers
        spent += sum(answer.cost for answer in answers)
    if members:
        close()
    return found


def _plain(steps: Sequence[Exchange], index: Any) -> list[Generation]:
    """Take every request for a generation, and its best individual for the champion."""
    found, spent = [], 0.0
    for _, answers in steps:
        spent += sum(answer.cost for answer in answers)
        champion = max(answers, key=lambda answer: answer.valid_accuracy)
        found.append(_generation(champion, answers, spent, index))
    return found


def _genetic_nas(configured: GeneticNAS, steps: Sequence[Exchange], index: Any) -> list[Generation]:
    """Repeat the merging of each generation into the population that is kept."""
    found, spent = [], 0.0
    population: dict[tuple[int, ...], float] = {}
    for request, answers in steps:
        if isinstance(request, Evaluate):
            population = configured.merge(population, answers)
            spent += sum(answer.cost for answer in answers)
            members = tuple(index(genotype) for genotype in population)
            fitness = tuple(population.values())
            found.append(Generation(members[0], members, fitness, spent, fitness[0]))
    return found


def _eg_nas(configured: EGNAS, steps: Sequence[Exchange], index: Any) -> list[Generation]:
    """Find the direction each epoch took: of each strategy the fittest, then the most accurate."""
    found, spent = [], 0.0
    epoch: list[tuple[Array, list[Evaluation]]] = []
    whole = 1 + configured.samples * configured.generations
    for request, answers in steps:
        if not isinstance(request, EvaluateMixtures):
            epoch = []
            continue
        epoch.append((request.alphas, answers))
        spent += sum(answer.cost for answer in answers)
        if len(epoch) == whole:
            found.append(_epoch(configured, epoch, spent, index))
    return found


def _epoch(
    configured: EGNAS, epoch: list[tuple[Array, list[Evaluation]]], spent: float, index: Any
) -> Generation:
    alpha, (current,) = epoch[0][0][0], epoch[0][1]
    chosen: list[Evaluation] = []
    for start in range(1, len(epoch), configured.generations):
        best: list[tuple[float, Evaluation]] = []
        for z, answers in epoch[start : start + configured.generations]:
            f = configured.fitness(alpha, current.valid_accuracy, z, answers)
            best.append((float(f.min()), answers[int(f.argmin())]))
        chosen.append(min(best, key=lambda pair: pair[0])[1])
    champion = max(chosen, key=lambda answer: answer.valid_accuracy)
    members = [answer for _, answers in epoch[1:] for answer in answers]
    return _generation(champion, members, spent, index)


def of_runs(runs: UnitRuns, most: int = 100) -> list[list[Generation]]:
    """Return the generations of the first `most` stored runs, checked against their traces."""
    return [
        generations(runs.unit, record.seed, record.trace_sha256) for record in runs.records[:most]
    ]


def primary_end(found: Sequence[Generation], configured: Eigen) -> int | None:
    """Return the generation in which EIGEN's primary succession ended, None if it never did.

    `found` are the generations of `generations`: the parent's fitness decides, as in the run.
    """
    best, stale = found[0].best, 0
    for number, generation in enumerate(found[1:], start=1):
        stale += 1
        if generation.best > best + configured.tolerance:
            best, stale = generation.best, 0
        if stale >= configured.patience:
            return number
    return None


class Lineage(GeneticCNN):
    """Genetic CNN that remembers each parent and changed child: (kind, parents, child)."""

    def __init__(self, inner: GeneticCNN) -> None:
        super().__init__(**inner.hyperparameters())
        object.__setattr__(self, "births", [])

    def _born(self, kind: str, parents: tuple[Any, ...], child: Any) -> None:
        if child not in parents:
            births: list[Any] = self.births  # type: ignore[attr-defined]
            births.append((kind, parents, child))

    def mutate(self, parent: Any, space: Any, rng: Stream) -> Any:
        """Mutate as Genetic CNN does, and remember a changed child."""
        child = super().mutate(parent, space, rng)
        self._born("mutation", (parent,), child)
        return child

    def crossover(self, a: Any, b: Any, space: Any, rng: Stream) -> Any:
        """Cross over as Genetic CNN does, and remember changed children."""
        children = super().crossover(a, b, space, rng)
        for child in children:
            self._born("crossover", (a, b), child)
        return children


def births(unit: Unit, seed: int) -> list[tuple[str, float, float]]:
    """Return (kind, parents' mean accuracy, child's) of a Genetic CNN run; true means, percent."""
    configured = unit.row.configured
    if not isinstance(configured, GeneticCNN):
        return []
    recorder = Lineage(configured)
    search(recorder, unit.evaluator(), seed=seed, budget=unit.budget)
    table = tables.reported(unit.table)
    means, index = table.mean_accuracy[table.row(unit.dataset)], table.space.index
    found: list[tuple[str, float, float]] = []
    for kind, parents, child in recorder.births:  # type: ignore[attr-defined]
        mean = float(np.mean([means[index(parent)] for parent in parents]))
        found.append((kind, mean, float(means[index(child)])))
    return found
