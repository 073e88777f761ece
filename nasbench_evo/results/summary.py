"""What the runs of a suite say: one row an algorithm, preset, data set and checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.analysis import statistics
from nasbench_evo.randomness import stream
from nasbench_evo.store import Record, Store
from nasbench_evo.suite import Suite, Unit, units
from nasbench_evo.tables import Table

Array = NDArray[np.float64]
BASELINE = "random_search"


@dataclass(frozen=True)
class UnitRuns:
    """The finished runs of a unit, in seed order."""

    unit: Unit
    records: list[Record]


@dataclass(frozen=True)
class SummaryRow:
    """Accuracies in percent, regrets in percentage points, both of the mean over trials.

    `regret_low`, `regret_high` (and the same for accuracy): bootstrap 95% interval of the mean.
    The comparisons with random search are at the last checkpoint only: `improvement` is the
    probability that a run is better than one of random search, `p_value` the Holm-corrected
    two-sided Mann-Whitney p over all rows.
    """

    algorithm: str
    preset: str
    dataset: str
    evaluations: int
    n: int
    mean_accuracy: float
    std_accuracy: float
    accuracy_low: float
    accuracy_high: float
    mean_regret: float
    median_regret: float
    iqm_regret: float
    regret_low: float
    regret_high: float
    rank: int  # of the mean regret among the rows of this data set and checkpoint
    improvement: float | None = None
    p_value: float | None = None


def collect(suite: Suite, store: Store) -> list[UnitRuns]:
    """Return the stored runs of every unit of a suite, of its seeds only."""
    wanted = range(suite.first_seed, suite.first_seed + suite.seeds)
    return [
        UnitRuns(unit, [run for run in store.runs(unit.key()) if run.seed in wanted])
        for unit in units(suite)
    ]


def counted(finished: int, asked: int) -> str:
    """Return a number of runs for a table; as 27/30 where fewer finished than were asked for."""
    return str(finished) if finished >= asked else f"{finished}/{asked}"


def shortfalls(suite: Suite, collected: Sequence[UnitRuns]) -> list[str]:
    """Return a sentence for each unit with fewer finished runs than the suite asks for."""
    return [
        f"{runs.unit.row.label} on {runs.unit.dataset}: {len(runs.records)} of {suite.seeds} runs "
        + ("finished, and every figure is of those." if runs.records else "finished: no row.")
        for runs in collected
        if len(runs.records) < suite.seeds
    ]


def regret_curves(runs: UnitRuns, points: Sequence[float]) -> Array:
    """Return the regret of each run's incumbent after each number of evaluations; [n, points].

    A point before the first evaluation takes the first incumbent.
    """
    table = tables.reported(runs.unit.table)
    regret = regrets(table, runs.unit.dataset)
    space = table.space
    ends = np.asarray(points) + 1e-9
    curves = np.empty((len(runs.records), len(points)))
    for i, record in enumerate(runs.records):
        spent, genotypes = zip(*json.loads(record.curve), strict=True)
        values = regret[[space.index(genotype) for genotype in genotypes]]
        at = np.array(spent).searchsorted(ends, side="right") - 1
        curves[i] = values[np.maximum(at, 0)]
    return curves


def regrets(table: Table, dataset: str) -> Array:
    """Return the regret of every genotype of a data set, percentage points; [G]."""
    d = table.row(dataset)
    return np.asarray(table.best[d] - table.mean_accuracy[d])


def summarise(suite: Suite, collected: Sequence[UnitRuns]) -> list[SummaryRow]:
    """Return the rows of a suite's result table; units without a finished run have none."""
    rows: list[SummaryRow] = []
    final: list[Array] = []
    for dataset in suite.datasets:
        present = [runs for runs in collected if runs.unit.dataset == dataset and runs.records]
        curves = [regret_curves(runs, suite.checkpoints) for runs in present]
        for c, checkpoint in enumerate(suite.checkpoints):
            column = [curve[:, c] for curve in curves]
            parts = zip(present, column, mean_intervals(column), strict=True)
            rows += _ranked([_row(runs, checkpoint, x, interval) for runs, x, interval in parts])
        final += [curve[:, -1] for curve in curves]
    return _compared(rows, final, suite.checkpoints[-1])


def mean_intervals(samples: Sequence[Array]) -> list[statistics.Interval]:
    """Return the mean and its bootstrap 95% interval for samples [n], NaN limits where n is 1.

    Samples of the same size are resampled together. The draws have a fixed stream of their own:
    the same runs give the same figures.
    """
    intervals: dict[int, statistics.Interval] = {}
    for n in {len(sample) for sample in samples}:
        chosen = [i for i, sample in enumerate(samples) if len(sample) == n]
        values = np.stack([samples[i] for i in chosen])
        if n == 1:
            some = [statistics.Interval(float(v), math.nan, math.nan) for v in values[:, 0]]
        else:
            rng = stream(0, "bootstrap of the summary").generator
            with warnings.catch_warnings():  # all runs equal: an interval of no width is right
                warnings.simplefilter("ignore", statistics.StatisticsWarning)
                some = statistics.bootstrap_intervals(values, "mean", rng=rng)
        intervals.update(zip(chosen, some, strict=True))
    return [intervals[i] for i in range(len(samples))]


def _row(
    runs: UnitRuns, checkpoint: int, regret: Array, interval: statistics.Interval
) -> SummaryRow:
    table = tables.reported(runs.unit.table)
    best = float(table.best[table.row(runs.unit.dataset)])
    n = len(regret)
    _, low, high = interval
    return SummaryRow(
        algorithm=runs.unit.row.algorithm,
        preset=runs.unit.row.preset,
        dataset=runs.unit.dataset,
        evaluations=checkpoint,
        n=n,
        mean_accuracy=best - float(regret.mean()),
        std_accuracy=float(regret.std(ddof=1)) if n > 1 else math.nan,
        accuracy_low=best - high,
        accuracy_high=best - low,
        mean_regret=float(regret.mean()),
        median_regret=float(np.median(regret)),
        iqm_regret=statistics.iqm(regret),
        regret_low=low,
        regret_high=high,
        rank=0,
    )


def _ranked(rows: list[SummaryRow]) -> list[SummaryRow]:
    """Return the rows with their rank by mean regret, 1 the best; equals share the rank."""
    means = [row.mean_regret for row in rows]
    return [
        dataclasses.replace(row, rank=1 + sum(m < row.mean_regret for m in means)) for row in rows
    ]


def _compared(rows: list[SummaryRow], final: list[Array], checkpoint: int) -> list[SummaryRow]:
    """Return the rows with the comparisons to random search filled in at `checkpoint`."""
    last = [row for row in rows if row.evaluations == checkpoint]
    baselines = {
        row.dataset: regret
        for row, regret in zip(last, final, strict=True)
        if row.algorithm == BASELINE
    }
    compared = {
        row: (regret, baselines[row.dataset])
        for row, regret in zip(last, final, strict=True)
        if row.algorithm != BASELINE and row.dataset in baselines
    }
    p_values = [statistics.mann_whitney(a, b) for a, b in compared.values()]
    adjusted = statistics.holm(p_values).tolist() if p_values else []
    changed = {
        row: dataclasses.replace(
            row, improvement=statistics.probability_of_improvement(a, b), p_value=p
        )
        for (row, (a, b)), p in zip(compared.items(), adjusted, strict=True)
    }
    return [changed.get(row, row) for row in rows]
