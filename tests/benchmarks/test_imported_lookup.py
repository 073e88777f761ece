"""Querying an imported table against the embedded one: the same numbers, interleaved."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import pytest

from nasbench_evo import tables
from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import search
from nasbench_evo.tables import imported
from nasbench_evo.tables.importing.collector import Collector, Trial

pytestmark = pytest.mark.slow

ROUNDS = 21
SEEDS = 40


def copy_of_embedded(name: str) -> tables.Table:
    """The embedded cifar10 as an imported table with curves of 200 epochs."""
    table = tables.load()
    gathered = Collector("the embedded table")
    rise = np.linspace(0.2, 1, 200)
    for index in range(table.correct.shape[1]):
        values = table.valid_accuracy[0, index][table.present[0, index]]
        trials = [
            Trial(
                seed=t,
                series=(("x-valid", "accuracy"),),
                curves=(value * rise)[None].astype(np.float32),
                last=np.array([value]),
                train_seconds=float(table.train_seconds[0, index]),
                seconds={},
                parameters=float(table.parameters[0, index]) / 1e6,
                flops=float("nan"),
                latency=float(table.latency_seconds[0, index]),
            )
            for t, value in enumerate(values)
        ]
        gathered.add(index, 200, "cifar10-valid", trials)
    imported.save(gathered, name, {"label": "a copy"})
    return tables.load(name)


@pytest.fixture
def evaluators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[LookupEvaluator]:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path))
    copy = copy_of_embedded("copy")
    return [LookupEvaluator(table, "cifar10") for table in (tables.load(), copy)]


def traces(evaluator: LookupEvaluator, seeds: int) -> list[str]:
    algorithm = ALGORITHMS["regularized_evolution"].configure()
    runs = [search(algorithm, evaluator, seed=seed) for seed in range(seeds)]
    return [run.trace_sha256 for run in runs]


def test_an_imported_table_gives_the_same_runs(evaluators: list[LookupEvaluator]) -> None:
    embedded, own = evaluators
    assert traces(embedded, 5) == traces(own, 5)


def test_an_imported_table_is_as_fast(
    evaluators: list[LookupEvaluator], request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("benchmark_skip"):
        pytest.skip("a ratio of times is measured by: tox -e bench")
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for evaluator, seconds in zip(evaluators, times, strict=True):
            started = time.perf_counter()
            traces(evaluator, SEEDS)
            seconds.append(time.perf_counter() - started)
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    embedded, own = (1e6 * statistics.median(t) / SEEDS / 300 for t in times)
    print(f"embedded {embedded:.2f} us, imported {own:.2f} us an evaluation: ratio {ratio:.3f}")
    started = time.perf_counter()
    imported._load.cache_clear()
    tables.load("copy")
    print(f"loading the imported table: {1e3 * (time.perf_counter() - started):.1f} ms")
    assert ratio <= 1.1
