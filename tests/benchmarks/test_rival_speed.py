"""What an evaluation of another library's optimiser costs, behind our generator, on one core.

CPU seconds of the process, so that threads are no advantage; the answers come from a table.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest

from nasbench_evo import algorithms, tables
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import Budget, search

pytestmark = pytest.mark.slow

EVALUATIONS = 300
SEEDS = 5


@pytest.mark.parametrize(
    "name",
    [
        "optuna:TPESampler", "optuna:CmaEsSampler", "optuna:NSGAIISampler", "optuna:RandomSampler",
        "nevergrad:NGOpt", "nevergrad:DE", "nevergrad:DiscreteOnePlusOne",
        "nevergrad:CMA", "pymoo:GA",
    ],
)  # fmt: skip
def test_cost_of_an_evaluation(benchmark: Any, name: str) -> None:
    pytest.importorskip(name.partition(":")[0])
    algorithm = algorithms.get(name).configure()
    evaluator = LookupEvaluator(tables.load(), "cifar10")
    search(algorithm, evaluator, budget=Budget(20))  # late imports
    times: list[float] = []

    def run(seed: int) -> None:
        started = time.process_time()
        search(algorithm, evaluator, seed=seed, budget=Budget(EVALUATIONS))
        times.append(time.process_time() - started)

    for seed in range(1, SEEDS):
        run(seed)
    benchmark.pedantic(run, (0,))
    cost = statistics.median(times) / EVALUATIONS
    benchmark.extra_info.update(
        {"ms an evaluation": round(1000 * cost, 2), "evaluations/s/core": round(1 / cost)}
    )
    print(f"\n{name}: {benchmark.extra_info}")
