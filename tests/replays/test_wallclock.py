"""Anytime curves on simulated workers."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support import tiny

from nasbench_evo import suite as suites
from nasbench_evo import tables
from nasbench_evo.replays import wallclock
from nasbench_evo.replays.simulated_workers import simulate


@pytest.fixture
def suite() -> suites.Suite:
    return tiny("random_search", "genetic_cnn", seeds=4, evaluations=40)


def test_the_curves_fall_and_end_at_the_runs_regret(suite: suites.Suite) -> None:
    rows = wallclock.wallclock(suite, [1, 4])
    assert len(rows) == 2 * 2 * 40
    table = tables.load()
    for unit in suites.units(suite):
        for workers in (1, 4):
            mine = [
                row for row in rows if (row.algorithm, row.workers) == (unit.row.algorithm, workers)
            ]
            assert all(a.seconds < b.seconds for a, b in pairwise(mine))
            results = [
                simulate(unit.row.configured, unit.evaluator(), workers, seed=s, budget=unit.budget)
                for s in range(4)
            ]
            final = np.mean([table.regret("cifar10", run.genotype) for run in results])
            assert mine[-1].mean_regret == pytest.approx(final)
            assert mine[-1].regret_low <= final <= mine[-1].regret_high
            assert mine[0].busy == pytest.approx(np.mean([run.busy for run in results]))


def test_one_worker_is_always_busy_and_waiting_costs(suite: suites.Suite) -> None:
    rows = wallclock.wallclock(suite, [1, 8])
    busy = {(row.algorithm, row.workers): row.busy for row in rows}
    assert busy["random_search", 1] == pytest.approx(1)
    assert busy["genetic_cnn", 1] == pytest.approx(1)
    assert busy["genetic_cnn", 8] < busy["random_search", 8]


def test_csv(suite: suites.Suite, tmp_path: Path) -> None:
    rows = wallclock.wallclock(suite, [2])
    wallclock.write(rows, tmp_path / "w.csv")
    with (tmp_path / "w.csv").open() as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert float(found[7]["mean_regret"]) == rows[7].mean_regret
    assert found[0]["asynchronous"] == "True"
