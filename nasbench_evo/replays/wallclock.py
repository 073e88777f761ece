"""Regret against simulated wall-clock: a suite's searches on K simulated workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.files import csv_text, write_text
from nasbench_evo.replays.simulated_workers import ClusterResult, simulate
from nasbench_evo.results.on_table import regrets
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.suite import Suite, Unit, require_table, units

_POINTS = 40


class WallclockRow(NamedTuple):
    """Mean regret of a row's runs at one time of the simulated clock."""

    dataset: str
    algorithm: str
    preset: str
    workers: int
    asynchronous: bool
    seconds: float
    n: int  # runs
    mean_regret: float  # percentage points
    regret_low: float  # bootstrap 95% interval of the mean
    regret_high: float
    busy: float  # mean part of the workers' time that they trained, over whole runs


def wallclock(
    suite: Suite, workers: Sequence[int], progress: Callable[[int], None] = lambda runs: None
) -> list[WallclockRow]:
    """Return the anytime curves of every row, for each number of workers, on common times.

    The times of a data set are 40, geometric from the first finished training of all runs to the
    end of the longest; a run that has finished nothing yet has the regret of its first cell.
    `progress` takes numbers of finished runs. Raises what `require_times` raises.
    """
    require_times(suite)
    every = units(suite)
    rows: list[WallclockRow] = []
    for dataset in suite.datasets:
        runs: dict[tuple[Unit, int], list[ClusterResult]] = {}
        for unit, k in itertools.product(every, workers):
            if unit.dataset == dataset:
                runs[unit, k] = [
                    simulate(
                        unit.row.configured,
                        unit.evaluator(),
                        k,
                        seed=seed,
                        budget=unit.budget,
                        incumbent=unit.row.incumbent,
                    )
                    for seed in range(suite.first_seed, suite.first_seed + suite.seeds)
                ]
                progress(suite.seeds)
        first = min(run.history[0][0] for results in runs.values() for run in results)
        last = max(run.seconds for results in runs.values() for run in results)
        times = np.geomspace(max(first, 1e-9), last, _POINTS)
        for (unit, k), results in runs.items():
            rows += _rows(unit, k, results, times)
    return rows


def require_times(suite: Suite) -> None:
    """Raise Unsupported for a suite that trains, InputError for a table without times."""
    require_table(suite)
    for dataset in suite.datasets:
        tables.load(suite.table).require_times(dataset)


def _rows(
    unit: Unit, workers: int, results: Sequence[ClusterResult], times: NDArray[np.float64]
) -> list[WallclockRow]:
    table = tables.reported(unit.table)
    regret = regrets(table, unit.dataset)
    curves = np.empty((len(results), len(times)))
    for i, result in enumerate(results):
        seconds, genotypes = zip(*result.curve, strict=True)
        values = regret[[table.space.index(genotype) for genotype in genotypes]]
        at = np.searchsorted(seconds, times * (1 + 1e-12), side="right") - 1
        curves[i] = values[np.maximum(at, 0)]
    busy = float(np.mean([result.busy for result in results]))
    intervals = mean_intervals(list(curves.T))
    return [
        WallclockRow(
            dataset=unit.dataset,
            algorithm=unit.row.shown,
            preset=unit.row.setting,
            workers=workers,
            asynchronous=results[0].asynchronous,
            seconds=float(time),
            n=len(results),
            mean_regret=mean,
            regret_low=low,
            regret_high=high,
            busy=busy,
        )
        for time, (mean, low, high) in zip(times, intervals, strict=True)
    ]


def write(rows: Sequence[WallclockRow], path: Path) -> None:
    """Write the rows as CSV."""
    write_text(path, csv_text(WallclockRow._fields, rows))
