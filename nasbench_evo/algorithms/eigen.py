"""EIGEN (Ren et al. 2019): succession by mutation alone, with early extinction."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.generations import (
    Exchange,
    Generation,
    Generational,
    PaperFigures,
    generation,
)
from nasbench_evo.algorithms.operators import distinct
from nasbench_evo.algorithms.repeats import kept_share, retraining, retrainings_parameter
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import BudgetSpent, Ended, Evaluate, Evaluation, Request, Search
from nasbench_evo.spaces.base import Duplicable, Genotype, Space

_DROPPED = ("dropped_first", "dropped_second")  # at the first landmark, and at the second
_MOST_KEPT = 0.2  # of a budget, for the duplication
TEACHER = "default"  # the evaluator's own teacher, e.g. an ensemble of trained networks


@dataclass(frozen=True)
class Eigen(Algorithm):
    """Primary then secondary succession from the poorest individual (sections 3.1 and 4.1)."""

    name: ClassVar[str] = "eigen"
    paper: ClassVar[str] = "Ren et al. 2019, section 3 and Algorithm 1"
    incumbent: ClassVar[str] = "mean"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # Chosen on cifar10 by suites/nb201_presets.toml; the budget ends the search.
        "nb201": {
            "primary_step": 10,
            "secondary_step": 1,
            "patience": 30,
        },
        # Chosen by the same study for a budget of 300: the end of it trains the best again.
        "nb201_300": {
            "population_size": 2,
            "primary_step": 10,
            "secondary_step": 1,
            "patience": 10,
            "extinction": False,  # landmarks need learning curves
            "distinct": True,
            "repeated": True,
            "retrainings": 64,
        },
    }

    population_size: int = parameter(10, "n, children in a generation", low=1)
    primary_step: int = parameter(100, "m of the primary succession", low=0)
    secondary_step: int = parameter(10, "m of the secondary succession", low=0)
    extinction: bool = parameter(True, "drop weak individuals at the landmarks")
    first_landmark: float = parameter(0.2, "T1 as a fraction of training", low=0.001, high=1)
    second_landmark: float = parameter(0.8, "T1 + T2 as a fraction", low=0.001, high=1)
    p: int = parameter(5, "rank whose fitness is the first threshold (Eq. 1)", low=1)
    q: int = parameter(2, "rank whose fitness is the second threshold (Eq. 2)", low=1)
    patience: int = parameter(10, "generations without progress that end a succession", low=1)
    tolerance: float = parameter(0.0, "progress that does not count, percentage points", low=0)
    elitist: bool = parameter(True, "the parent stays if no survivor is better")
    mimicry: bool = parameter(False, "distil from the evaluator's teacher (Eq. 3); needs training")
    duplication: bool = parameter(False, "duplicate blocks at the end (3.3); needs a graph space")
    distinct: bool = parameter(
        False, "a child that was trained before is drawn again, up to 30 times", later=True
    )
    repeated: bool = parameter(
        False, "both successions begin anew from the poorest, until the budget ends", later=True
    )
    retrainings: int = retrainings_parameter()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_landmark >= self.second_landmark:
            raise InputError(
                f"eigen.first_landmark must be below second_landmark; got "
                f"{self.first_landmark} and {self.second_landmark}."
            )
        if self.duplication and (self.retrainings or self.repeated):
            raise InputError(
                "eigen.duplication comes at the end of the successions, with what is kept of the "
                "budget: use it without retrainings and repeated."
            )

    @retraining
    def search(self, space: Any, rng: Stream) -> Search:
        """Run both successions, then the duplication if asked for, then end.

        The result is the last parent, or the best of the duplicated children.
        """
        if self.duplication and not isinstance(space, Duplicable):
            raise Unsupported(
                f"eigen.duplication needs a space whose genotypes have blocks of layers; "
                f"{space.name} has none. Use duplication=false there."
            )
        parents = yield self._evaluate((space.poorest(),))
        poorest, known = parents[0], {parents[0].genotype}
        thresholds = self.thresholds()
        ended: list[Evaluation] = []  # what earlier successions came to
        try:
            going_on = True
            while going_on:
                for step in (self.primary_step, self.secondary_step):
                    yield from self._succession(parents, step, thresholds, known, space, rng)
                if going_on := self.repeated:
                    ended.append(parents[-1])
                    parents, thresholds = [poorest], self.thresholds()
        except BudgetSpent as end:
            if not end.more:
                return max([parents[-1], *ended], key=lambda one: one.valid_accuracy).genotype
            self._crown(parents, [one for one in end.answers if one.fraction == 1])
        if not self.duplication:
            return parents[-1].genotype
        return (yield from self._duplicate(parents[-1], space, rng))

    def kept_share(self, evaluations: float | None) -> float:
        """Keep a training for each duplicated child, at most a fifth; or those of the end."""
        if not self.duplication:
            return kept_share(self.retrainings, evaluations)
        share = _MOST_KEPT if evaluations is None else self.population_size / evaluations
        return min(_MOST_KEPT, share)

    def _duplicate(self, parent: Evaluation, space: Any, rng: Stream) -> Search:
        """Train children with whole blocks of the best parent repeated (section 3.3)."""
        children = space.duplications(parent.genotype, rng, self.population_size)
        trained: list[Evaluation] = []
        more = True
        while more and len(trained) < len(children):
            try:
                trained += yield self._evaluate(children[len(trained) :])
            except BudgetSpent as end:  # of the successions' part, or of all
                trained += end.answers
                more = end.more
        better = sum(child.valid_accuracy > parent.valid_accuracy for child in trained)
        made = (
            f"{len(children)} children of the last parent made, {len(trained)} trained, "
            f"{better} better than it"
        )
        best = max([parent, *trained], key=lambda one: one.valid_accuracy)
        return Ended(best.genotype, {"duplication": made})

    def thresholds(self) -> Thresholds:
        """Return the extinction thresholds of a run that starts."""
        return Thresholds()

    def _evaluate(
        self,
        genotypes: Sequence[Genotype],
        fraction: float = 1.0,
        continues: Sequence[int | None] | None = None,
    ) -> Evaluate:
        return Evaluate(genotypes, fraction, TEACHER if self.mimicry else None, continues)

    def _go_on(self, alive: Sequence[Evaluation], fraction: float = 1.0) -> Evaluate:
        """Return the request that trains each of `alive` on: its own network, no twin's."""
        return self._evaluate(
            [answer.genotype for answer in alive], fraction, [answer.training for answer in alive]
        )

    def _succession(
        self,
        parents: list[Evaluation],
        step: int,
        thresholds: Thresholds,
        known: set[Genotype],
        space: Space,
        rng: Stream,
    ) -> Generator[Request, list[Evaluation], None]:
        """Evolve with mutation step-size `step` until the best fitness saturates.

        The parent is the last of `parents`; a better one is added. `known` has all genotypes whose
        training began; their children join it.
        """
        # What counts is progress since the last that counted, so that small steps add up.
        watch = _Watch(self, parents[-1].valid_accuracy)
        saturated = False
        while not saturated:
            children = self._children(parents[-1].genotype, step, known, space, rng)
            survivors = yield from self._train(children, thresholds)
            self._crown(parents, survivors)
            saturated = watch.ended(parents[-1].valid_accuracy) == 1

    def _children(
        self, parent: Genotype, step: int, known: set[Genotype], space: Space, rng: Stream
    ) -> list[Genotype]:
        """Return a generation, which joins what is `known`."""
        children = [mutate_steps(parent, step, space, rng) for _ in range(self.population_size)]
        if self.distinct:
            children = distinct(children, lambda _: mutate_steps(parent, step, space, rng), known)
            known.update(children)
        return children

    def _crown(self, parents: list[Evaluation], survivors: Sequence[Evaluation]) -> None:
        """Make the best survivor the next parent, if it is better or the parent does not stay."""
        if not survivors:
            return
        champion = max(survivors, key=lambda survivor: survivor.valid_accuracy)
        if not self.elitist or champion.valid_accuracy > parents[-1].valid_accuracy:
            parents.append(champion)

    def _train(
        self, genotypes: list[Genotype], thresholds: Thresholds
    ) -> Generator[Request, list[Evaluation], list[Evaluation]]:
        """Return those that survive both landmarks, fully trained (Algorithm 1)."""
        if not self.extinction:
            return (yield self._evaluate(genotypes))
        alive = yield self._evaluate(genotypes, self.first_landmark)
        alive = thresholds.survivors(0, self.p, alive)  # (Eq. 1)
        if alive:
            alive = yield self._go_on(alive, self.second_landmark)
            alive = thresholds.survivors(1, self.q, alive)  # (Eq. 2)
        return (yield self._go_on(alive)) if alive else []

    # -- for figures --

    generational: ClassVar[Generational] = Generational("parent of the next generation")
    paper_figures: ClassVar[Mapping[str, PaperFigures]] = {
        "secondary_step": PaperFigures(succession="EIGEN, Fig. 4"),
        "extinction": PaperFigures(saved_cost="EIGEN, Algorithm 1"),
    }

    def read_generations(self, exchanges: Sequence[Exchange]) -> list[Generation[Genotype]]:
        """Follow the parent through the generations; the first holds the poorest individual."""
        start = self._start
        found: list[Generation[Genotype]] = []
        poorest = parent = exchanges[0][1][0]
        members: list[Evaluation] = [parent]
        spent = parent.cost
        watch = _Watch(self, parent.valid_accuracy)

        def close() -> None:
            nonlocal parent, watch
            full = [member for member in members if member.fraction == 1.0]
            champion = max(full, key=lambda member: member.valid_accuracy, default=parent)
            if champion.valid_accuracy > parent.valid_accuracy or (full and not self.elitist):
                parent = champion
            found.append(generation(parent, members, spent))
            if len(found) > 1 and self.repeated and watch.ended(parent.valid_accuracy) == 2:
                parent, watch = poorest, _Watch(self, poorest.valid_accuracy)

        for request, answers in exchanges[1:]:
            if isinstance(request, Evaluate) and request.whole:  # the retrainings of the end
                break
            if isinstance(request, Evaluate) and request.fraction == start:
                close()
                members = []
            members += answers
            spent += sum(answer.cost for answer in answers)
        if members:
            close()
        return found

    def measures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Return drop-outs a generation, at either landmark, and how far children are from parents.

        The distance is the number of genes that differ, of genotypes with a fixed number of genes.
        """
        requests = [  # but for the retrainings of the end
            request
            for request, _ in exchanges[1:]
            if isinstance(request, Evaluate) and not request.whole
        ]
        begun = [one for one in requests if one.fraction == self._start]
        found: dict[str, float] = {}
        if self.extinction and begun:
            on = [one for one in requests if one.fraction == self.second_landmark]
            ended = [one for one in requests if one.fraction == 1.0]
            counts = [sum(len(one.genotypes) for one in some) for some in (begun, on, ended)]
            for name, (before, after) in zip(_DROPPED, pairwise(counts), strict=True):
                found[name] = (before - after) / len(begun)
            found["dropped"] = (counts[0] - counts[2]) / len(begun)
        parents = [one.champion for one in self.read_generations(exchanges)]
        distances = [
            sum(a != b for a, b in zip(parent, child, strict=True))
            for parent, request in zip(parents, begun, strict=False)
            for child in request.genotypes
            if len(parent) == len(child)
        ]
        if distances:
            found["distance"] = sum(distances) / len(distances)
        return found

    @property
    def _start(self) -> float:
        """The fraction of training that a generation begins with."""
        return self.first_landmark if self.extinction else 1.0

    def phase_ends(self, best: Sequence[float]) -> dict[int, str]:
        """Return when the primary succession ended: the parent's fitness decides, as in the run."""
        watch = _Watch(self, best[0])
        for number, value in enumerate(best[1:], start=1):
            if watch.ended(value):
                return {number: "primary succession"}
        return {}


class _Watch:
    """Counts the successions that saturated; a run is read with it, generation by generation."""

    def __init__(self, algorithm: Eigen, fitness: float) -> None:
        self._algorithm, self._best = algorithm, fitness
        self._stale = self._ended = 0

    def ended(self, fitness: float) -> int:
        """Return how many successions have ended, given the parent's fitness after a generation."""
        self._stale += 1
        if fitness > self._best + self._algorithm.tolerance:
            self._best, self._stale = fitness, 0
        if self._stale >= self._algorithm.patience:
            self._best, self._stale = fitness, 0
            self._ended += 1
        return self._ended


@dataclass
class Thresholds:
    """v_T1 and v_T2: the fitness below which individuals go extinct; they never fall."""

    values: list[float] = field(default_factory=lambda: [-float("inf"), -float("inf")])

    def survivors(self, landmark: int, rank: int, answers: list[Evaluation]) -> list[Evaluation]:
        """Raise the landmark's threshold to the rank-th best; return who is not below it.

        A rank beyond the number alive means the last one.
        """
        fitness = sorted([answer.valid_accuracy for answer in answers], reverse=True)
        v = max(fitness[min(rank, len(fitness)) - 1], self.values[landmark])
        self.values[landmark] = v
        return [answer for answer in answers if answer.valid_accuracy >= v]


def mutate_steps(genotype: Genotype, step: int, space: Space, rng: Stream) -> Genotype:
    """Return the child after k ~ U{1..step} elementary mutations (section 3.1); step 0: none."""
    return space.mutate_steps(genotype, 1 + rng.below(step) if step else 0, rng)
