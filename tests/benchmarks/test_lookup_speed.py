"""Speed on the table: evaluations per second of each algorithm, beside a plain loop.

Run with `tox -e bench`. Figures land in `extra_info`; nothing here asserts seconds. The one ratio
that is asserted is far below what is measured, so that a noisy machine does not fail it.
"""

from __future__ import annotations

import copy
import random
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from support import ON_TABLES

from nasbench_evo import tables
from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import Budget, search
from nasbench_evo.spaces.nasbench201 import OPERATIONS, SIZE

EVALUATIONS = 300
SEEDS = 50
ROWS = [(name, preset) for name in ON_TABLES for preset in ALGORITHMS[name].presets]


@pytest.fixture(scope="module")
def warm() -> LookupEvaluator:
    evaluator = LookupEvaluator(tables.load(), "cifar10")
    search(ALGORITHMS["eg_nas"].configure(), evaluator)  # imports the CMA-ES library once
    return evaluator


def run_seeds(name: str, preset: str, evaluator: LookupEvaluator) -> int:
    algorithm = ALGORITHMS[name].configure(preset)
    budget = Budget(EVALUATIONS)
    return sum(
        len(search(algorithm, evaluator, seed=seed, budget=budget).history) for seed in range(SEEDS)
    )


@pytest.mark.parametrize(("name", "preset"), ROWS)
def test_evaluations_per_second(
    benchmark: Any, warm: LookupEvaluator, name: str, preset: str
) -> None:
    answered = benchmark.pedantic(run_seeds, (name, preset, warm), rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["evaluations_per_second"] = round(answered / benchmark.stats["min"])


class Structure:
    """A cell of the plain loop: for each node the (operation, source) pairs."""

    def __init__(self, nodes: list[tuple[tuple[str, int], ...]]) -> None:
        self.nodes = nodes

    def key(self) -> str:
        return "+".join(
            "|" + "|".join(f"{operation}~{source}" for operation, source in node) + "|"
            for node in self.nodes
        )


class Model:
    """An individual of the plain loop."""

    def __init__(self, structure: Structure, accuracy: float) -> None:
        self.structure = structure
        self.accuracy = accuracy


def plain_regularized_evolution(
    rows: dict[str, list[float]], rng: random.Random, population_size: int, sample_size: int
) -> Model:
    """The loop as it is usually written: an object each, deep copies, strings, random.choice."""

    def born(structure: Structure) -> Model:
        return Model(structure, rng.choice(rows[structure.key()]))

    def random_structure() -> Structure:
        return Structure(
            [
                tuple((rng.choice(OPERATIONS), source) for source in range(node))
                for node in range(1, 4)
            ]
        )

    def mutated(parent: Structure) -> Structure:
        child = copy.deepcopy(parent)
        node = rng.randint(0, 2)
        pairs = list(child.nodes[node])
        edge = rng.randint(0, len(pairs) - 1)
        operation = rng.choice(OPERATIONS)
        while operation == pairs[edge][0]:
            operation = rng.choice(OPERATIONS)
        pairs[edge] = (operation, pairs[edge][1])
        child.nodes[node] = tuple(pairs)
        return child

    population = deque(born(random_structure()) for _ in range(population_size))
    history = list(population)
    while len(history) < EVALUATIONS:
        sample = [rng.choice(list(population)) for _ in range(sample_size)]
        parent = max(sample, key=lambda individual: individual.accuracy)
        child = born(mutated(parent.structure))
        population.append(child)
        history.append(child)
        population.popleft()
    return max(history, key=lambda individual: individual.accuracy)


def test_ratio_to_a_plain_loop(benchmark: Any, warm: LookupEvaluator) -> None:
    """Interleaved rounds, medians: ours against the plain transcription, one core each."""
    space = warm.space
    cells = map(space.from_index, range(SIZE))
    rows = {space.format(cell): [a.valid_accuracy for a in warm.cells[cell]] for cell in cells}

    def plain() -> None:
        for seed in range(SEEDS):
            plain_regularized_evolution(rows, random.Random(seed), 10, 3)  # noqa: S311

    def ours() -> None:
        run_seeds("regularized_evolution", "paper", warm)

    ratio = benchmark.pedantic(median_ratio, (plain, ours), rounds=1)
    benchmark.extra_info["plain_over_ours"] = round(ratio, 2)
    assert ratio > 2


def median_ratio(slow: Callable[[], None], fast: Callable[[], None]) -> float:
    """Return how many times longer `slow` takes, the median of interleaved rounds."""
    ratios = []
    for _ in range(5):
        times = []
        for function in (slow, fast):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def test_import_and_load(benchmark: Any) -> None:
    code = "from nasbench_evo import tables; tables.load()"
    benchmark.pedantic(
        subprocess.run, ([sys.executable, "-c", code],), {"check": True}, rounds=5, warmup_rounds=1
    )


def test_help(benchmark: Any) -> None:
    command = [sys.executable, "-m", "nasbench_evo", "--help"]
    benchmark.pedantic(
        subprocess.run,
        (command,),
        {"check": True, "stdout": subprocess.DEVNULL},
        rounds=5,
        warmup_rounds=1,
    )
