"""What the runs of a suite say where every candidate was trained: there is no table to ask.

A curve shows the validation accuracy of the incumbent as its search saw it, which is the highest
of many noisy values and so too high. The report adds fresh trainings of what each run found: their
validation and test accuracies are those of new networks, and no search has seen them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.analysis import statistics
from nasbench_evo.engines import REPORT
from nasbench_evo.results import manifest as report
from nasbench_evo.results.runs import notes_of
from nasbench_evo.results.summary import BASELINE, UnitRuns, mean_intervals, shortfalls
from nasbench_evo.suite import Suite

Array = NDArray[np.float64]
_TABLE_KEYS = ("table", "table_sha256")


@dataclass(frozen=True)
class TrainedRow:
    """One row at a checkpoint; accuracies in percent.

    `seen_*`: the incumbent's validation accuracy in its search, with the bootstrap 95% interval of
    the mean. The rest is at the last checkpoint only: `final_*` are of fresh trainings of the found
    genotypes, `improvement` and `p_value` compare `seen` with random search (Holm-corrected
    two-sided Mann-Whitney).
    """

    algorithm: str
    preset: str
    dataset: str
    evaluations: int
    n: int
    seen_mean: float
    seen_std: float
    seen_low: float
    seen_high: float
    rank: int  # by seen_mean among the rows of this data set and checkpoint
    final_valid: float | None = None
    final_test: float | None = None
    final_test_std: float | None = None
    final_trainings: int | None = None
    training_seconds: float | None = None  # of a whole run, mean
    improvement: float | None = None
    p_value: float | None = None


def accuracy_curves(runs: UnitRuns, points: Sequence[float]) -> Array:
    """Return the accuracy of each run's incumbent, as seen, after each point; [n, points].

    A point before the first evaluation takes the first incumbent.
    """
    curves = np.empty((len(runs.records), len(points)))
    for i, record in enumerate(runs.records):
        spent, _, accuracies = zip(*json.loads(record.curve), strict=True)
        at = np.searchsorted(spent, np.asarray(points) + 1e-9, side="right") - 1
        curves[i] = np.array(accuracies)[np.maximum(at, 0)]
    return curves


def summarise(suite: Suite, collected: Sequence[UnitRuns]) -> list[TrainedRow]:
    """Return the rows of a suite's result table; units without a finished run have none."""
    rows: list[TrainedRow] = []
    for dataset in suite.datasets:
        present = [runs for runs in collected if runs.unit.dataset == dataset and runs.records]
        curves = [accuracy_curves(runs, suite.checkpoints) for runs in present]
        for c, checkpoint in enumerate(suite.checkpoints):
            columns = [curve[:, c] for curve in curves]
            means = [float(column.mean()) for column in columns]
            intervals = mean_intervals(columns)
            for runs, column, interval in zip(present, columns, intervals, strict=True):
                row = _row(runs, checkpoint, column, interval, means)
                rows.append(_finished(row, runs) if checkpoint == suite.checkpoints[-1] else row)
        rows = _compared(rows, present, curves)
    return rows


def _row(
    runs: UnitRuns,
    checkpoint: int,
    seen: Array,
    interval: statistics.Interval,
    means: Sequence[float],
) -> TrainedRow:
    mean = float(seen.mean())
    return TrainedRow(
        algorithm=runs.unit.row.algorithm,
        preset=runs.unit.row.preset,
        dataset=runs.unit.dataset,
        evaluations=checkpoint,
        n=len(seen),
        seen_mean=mean,
        seen_std=float(seen.std(ddof=1)) if len(seen) > 1 else math.nan,
        seen_low=interval.low,
        seen_high=interval.high,
        rank=1 + sum(other > mean for other in means),
    )


def finals(runs: UnitRuns) -> list[dict[str, Any]]:
    """Return the fresh trainings of what the runs found, in run order."""
    return [one for record in runs.records for one in notes_of(record)[REPORT]]


def _finished(row: TrainedRow, runs: UnitRuns) -> TrainedRow:
    """Return a row with its final trainings; the mean is over runs and their trainings."""
    found = finals(runs)
    seconds = float(np.mean([record.simulated_seconds for record in runs.records]))
    if not found:
        return dataclasses.replace(row, training_seconds=seconds)
    test = np.array([one["test_accuracy"] for one in found])
    return dataclasses.replace(
        row,
        final_valid=float(np.mean([one["valid_accuracy"] for one in found])),
        final_test=float(test.mean()),
        final_test_std=float(test.std(ddof=1)) if len(test) > 1 else None,
        final_trainings=len(test),
        training_seconds=seconds,
    )


def _compared(
    rows: list[TrainedRow], present: Sequence[UnitRuns], curves: Sequence[Array]
) -> list[TrainedRow]:
    """Return the rows with comparisons to random search in the last, those of `present`."""
    last = len(rows) - len(present)
    baseline = [
        curve[:, -1]
        for runs, curve in zip(present, curves, strict=True)
        if runs.unit.row.algorithm == BASELINE
    ]
    if not baseline:
        return rows
    others = [i for i, runs in enumerate(present) if runs.unit.row.algorithm != BASELINE]
    # The statistics compare regrets, of which the smaller is the better.
    pairs = [(-curves[i][:, -1], -baseline[0]) for i in others]
    p_values = [statistics.mann_whitney(a, b) for a, b in pairs]
    adjusted: list[float] = statistics.holm(p_values).tolist() if pairs else []
    changed = list(rows)
    for i, (a, b), p in zip(others, pairs, adjusted, strict=True):
        better = statistics.probability_of_improvement(a, b)
        changed[last + i] = dataclasses.replace(rows[last + i], improvement=better, p_value=p)
    return changed


def summary_json(
    suite: Suite, rows: Sequence[TrainedRow], collected: Sequence[UnitRuns]
) -> dict[str, Any]:
    """Return the content of summary.json: plain JSON types, null for what is undefined."""
    plain = [{key: _plain(value) for key, value in dataclasses.asdict(row).items()} for row in rows]
    return {
        **about(suite),
        "rows": plain,
        "notes": [
            *shortfalls(suite, collected),
            *report.explain(map(without_notes, collected)),
        ],
    }


def about(suite: Suite) -> dict[str, Any]:
    """Return what summary.json says of a suite that trains."""
    return {
        "suite": suite.name,
        "description": suite.description,
        "evaluator": suite.evaluator,
        "space": suite.space,
        "evaluator_set": suite.evaluator_set,
    }


def without_notes(runs: UnitRuns, hidden: Sequence[str] = (REPORT,)) -> UnitRuns:
    """Return the runs without notes that hold data rather than remarks."""
    records = []
    for record in runs.records:
        notes = {k: v for k, v in json.loads(record.notes).items() if k not in hidden}
        records.append(record._replace(notes=json.dumps(notes)))
    return UnitRuns(runs.unit, records)


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else float(f"{value:.9g}")


def manifest(suite: Suite, *, runs: int, failed: int, seconds: float) -> dict[str, Any]:
    """Return what made the results; as `report.manifest`, with torch and devices.

    A table is named only where it is the truth.
    """
    content = report.manifest(suite, runs=runs, failed=failed, seconds=seconds)
    for key in _TABLE_KEYS if suite.truth is None else ():
        content.pop(key, None)
    content["packages"]["torch"] = metadata.version("torch")
    return {**content, "devices": list(suite.devices)}
