"""Fronts and hypervolumes by brute force; costs of a table; the view of a suite."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny

from nasbench_evo import runner, tables
from nasbench_evo import suite as suites
from nasbench_evo.errors import InputError
from nasbench_evo.figures import pareto as figures
from nasbench_evo.replays import pareto
from nasbench_evo.tables import Table

POINT = st.tuples(st.integers(0, 6), st.integers(0, 6))


@pytest.fixture
def suite() -> suites.Suite:
    return tiny("random_search", "eigen", datasets=["cifar10", "cifar100"], evaluations=30)


@settings(max_examples=80, deadline=None)
@given(st.lists(POINT, min_size=1, max_size=12))
def test_front_and_area_are_those_of_brute_force(points: list[tuple[int, int]]) -> None:
    accuracy, cost = np.array(points, dtype=float).T
    best = {
        (a, c)
        for a, c in points
        if not any(x >= a and y <= c and (x, y) != (a, c) for x, y in points)
    }
    kept = pareto.front(accuracy, cost)
    assert [(a, c) for a, c in zip(accuracy[kept], cost[kept], strict=True)] == sorted(best)
    # Unit squares whose corner (a, c) is dominated by a point, above accuracy 0 and below cost 7.
    squares = sum(any(x >= a + 1 and y <= c for x, y in points) for a in range(6) for c in range(7))
    assert pareto.hypervolume(accuracy, cost, 0, 7) == squares


def test_area_by_hand() -> None:
    accuracy, cost = np.array([70.0, 90.0, 80.0]), np.array([1.0, 3.0, 3.0])
    assert pareto.hypervolume(accuracy, cost, 50, 5) == 20 * 2 + 40 * 2


def test_objectives_of_a_text(table: Table) -> None:
    assert pareto.objectives("accuracy,params", table) == ["params"]
    assert pareto.objectives("latency, accuracy ,flops", table) == ["latency", "flops"]
    for text in ("accuracy", "params", "accuracy,params,params", "accuracy,accuracy", ""):
        with pytest.raises(InputError):
            pareto.objectives(text, table)
    with pytest.raises(InputError, match="Did you mean 'params'"):
        pareto.objectives("accuracy,parms", table)


def test_costs_of_a_table(table: tables.Table) -> None:
    cell = table.space.parse("333132")
    costs = pareto.cost_function(table, "cifar100", ["latency", "params"])(cell)
    latency, size = table.latency("cifar100", cell), table.size("cifar100", cell)
    assert latency is not None
    assert size is not None
    assert costs == pytest.approx((latency * 1e3, size / 1e6))
    assert pareto.available(table, "cifar10") == ["params", "latency"]
    with pytest.raises(InputError, match=r"no FLOPs.*It has: params, latency"):
        pareto.cost_function(table, "cifar10", ["flops"])


def test_costs_that_a_table_lacks_in_part_are_refused(table: tables.Table) -> None:
    flops = np.full(table.parameters.shape, 7.0)
    flops[0, 3] = np.nan
    some = replace(table, flops=flops, parameters=np.full_like(table.parameters, -1))
    assert pareto.available(some, "cifar10") == ["latency"]
    assert pareto.available(some, "cifar100") == ["flops", "latency"]
    with pytest.raises(InputError, match="no parameters"):
        pareto.costs(some, "cifar10", "params")
    assert pareto.costs(some, "cifar100", "flops")[5] == 7.0


def test_fronts_of_a_suite_hold_what_its_runs_visited(suite: suites.Suite) -> None:
    finished: list[int] = []
    found = pareto.pareto(suite, finished.append)
    assert sum(finished) == 2 * 2 * 3
    table = tables.load()
    space = table.space
    for unit in suites.units(suite):
        cells = set()
        for seed in range(3):
            run = runner.search(
                unit.row.configured, unit.evaluator(), seed=seed, budget=unit.budget
            )
            cells |= {answer.genotype for answer in run.history}
        mine = [
            row
            for row in found.fronts
            if (row.dataset, row.algorithm, row.objective)
            == (unit.dataset, unit.row.algorithm, "params")
        ]
        d = table.row(unit.dataset)
        accuracy = [float(table.mean_accuracy[d, space.index(cell)]) for cell in cells]
        assert {space.parse(row.arch) for row in mine} <= cells
        assert mine[-1].accuracy == max(accuracy)
        assert mine[0].cost == min(table.parameters[d, space.index(c)] for c in cells) / 1e6
    assert all(0 < row.share_low <= row.mean_share <= row.share_high < 1 for row in found.volumes)
    assert {row.n for row in found.volumes} == {3}
    assert len(found.volumes) == 2 * 2 * 2


def test_the_whole_table_has_all_of_its_own_area(table: tables.Table) -> None:
    accuracy, cost = table.mean_accuracy[0], pareto.costs(table, "cifar10", "params")
    kept = pareto.front(accuracy, cost)
    low, high = accuracy.min(), cost.max()
    whole = pareto.hypervolume(accuracy, cost, low, high)
    assert pareto.hypervolume(accuracy[kept], cost[kept], low, high) == pytest.approx(whole)
    assert accuracy[kept[-1]] == table.best[0]


def test_files_and_figure_are_the_same_twice(suite: suites.Suite, tmp_path: Path) -> None:
    fronts = pareto.pareto(suite)
    for folder in (tmp_path / "a", tmp_path / "b"):
        paths = pareto.write(fronts, folder)
        paths += figures.draw(suite, fronts, folder / "pareto")
    names = ["pareto.csv", "pareto-hypervolume.csv", "pareto.png", "pareto.svg"]
    assert [path.name for path in paths] == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with (tmp_path / "a" / "pareto.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["cost"]) for row in rows] == [row.cost for row in fronts.fronts]
    assert "latency (ms)" in (tmp_path / "a" / "pareto.svg").read_text()
