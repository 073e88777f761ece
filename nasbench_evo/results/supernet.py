"""What the runs of a suite on supernets say: what was found, judged standalone, and the ranking.

What a search saw are accuracies with shared weights. They are not those of the cells trained alone,
which the truth table or fresh trainings give; how far one stands for the other is measured.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.engines import REPORT
from nasbench_evo.evaluators import probing
from nasbench_evo.randomness import stream
from nasbench_evo.results import manifest, trained, weight_sharing
from nasbench_evo.results.ranking import Ranking, final_genotypes, standalone_accuracy
from nasbench_evo.results.runs import notes_of
from nasbench_evo.results.summary import UnitRuns, mean_intervals, shortfalls
from nasbench_evo.results.weight_sharing import PairedSearches
from nasbench_evo.suite import Suite
from nasbench_evo.tables import Table

Array = NDArray[np.float64]
_ON_TABLE = "table"
_HIDDEN = (*probing.DATA, REPORT)  # notes that hold data, not remarks


@dataclass(frozen=True)
class SharedRow:
    """One row on one data set of the truth; accuracies in percent, means over runs.

    `seen`: the highest accuracy that the search saw, with shared weights. `truth`: the standalone
    validation accuracy of the final cells in the truth table, with the bootstrap 95% interval;
    `regret` to the table's best. `final_*`: fresh trainings. `kendall_tau`, `spearman`: after the
    last epoch, against the truth's data set; the interval is that of the mean over runs.
    """

    algorithm: str
    preset: str
    dataset: str
    searched: str  # "shared weights" or "table"
    n: int
    seen: float | None
    truth_dataset: str | None = None
    truth: float | None = None
    truth_std: float | None = None
    truth_low: float | None = None
    truth_high: float | None = None
    regret: float | None = None
    truth_test: float | None = None
    final_valid: float | None = None
    final_test: float | None = None
    final_test_std: float | None = None
    final_trainings: int = 0
    kendall_tau: float | None = None
    tau_low: float | None = None
    tau_high: float | None = None
    spearman: float | None = None
    search_seconds: float | None = None  # a run's training and measuring of shared weights


def summarise(
    suite: Suite, collected: Sequence[UnitRuns], rankings: Sequence[Ranking]
) -> list[SharedRow]:
    """Return the rows of a suite's table: one a unit, or one for each data set of the truth."""
    by_unit = {ranking.unit: ranking for ranking in rankings}
    rows: list[SharedRow] = []
    for runs in collected:
        if not runs.records:
            continue
        plain = _plain_row(runs)
        if runs.unit in by_unit:
            plain = _correlated(plain, by_unit[runs.unit])
        if suite.truth is None:
            rows.append(plain)
        else:
            table = tables.reported(suite.truth.table)
            rows += [_judged(plain, runs, table, name) for name in table.datasets]
    return rows


def _plain_row(runs: UnitRuns) -> SharedRow:
    """Return what the runs say of themselves, without the truth."""
    unit, records = runs.unit, runs.records
    row = SharedRow(
        unit.row.algorithm, unit.row.preset, unit.dataset, _ON_TABLE, len(records), None
    )
    if unit.training is None:
        return row
    found = trained.finals(runs)
    test = np.array([one["test_accuracy"] for one in found])
    return dataclasses.replace(
        row,
        searched="shared weights",
        seen=float(np.mean([json.loads(record.curve)[-1][2] for record in records])),
        final_valid=float(np.mean([one["valid_accuracy"] for one in found])) if found else None,
        final_test=float(test.mean()) if found else None,
        final_test_std=float(test.std(ddof=1)) if len(found) > 1 else None,
        final_trainings=len(found),
        search_seconds=float(np.mean([record.simulated_seconds for record in records])),
    )


def _judged(row: SharedRow, runs: UnitRuns, table: Table, dataset: str) -> SharedRow:
    """Return a row with the truth's view of the final cells on one of its data sets."""
    genotypes = final_genotypes(runs, table.space)
    accuracies = standalone_accuracy(table, dataset, genotypes)
    ((mean, low, high),) = mean_intervals([accuracies])
    tests = [table.mean_test(dataset, genotype) for genotype in genotypes]
    known = [test for test in tests if test is not None]
    return dataclasses.replace(
        row,
        truth_dataset=dataset,
        truth=mean,
        truth_std=float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        truth_low=low,
        truth_high=high,
        regret=float(table.best[table.row(dataset)]) - mean,
        truth_test=float(np.mean(known)) if known else None,
    )


def _correlated(row: SharedRow, ranking: Ranking) -> SharedRow:
    last = [curve[-1][1] for curve in ranking.curves]
    taus = np.array([figures["kendall_tau"].estimate for figures in last])
    ((mean, low, high),) = mean_intervals([taus])
    spearman = float(np.mean([figures["spearman"].estimate for figures in last]))
    return dataclasses.replace(row, kendall_tau=mean, tau_low=low, tau_high=high, spearman=spearman)


def fitness(runs: UnitRuns) -> tuple[NDArray[np.int64], Array]:
    """Return the epochs [e] in which runs measured individuals, and their accuracies [n, e, 3].

    The three are the highest, mean and lowest of the epoch, percent. Runs that a budget ended
    before the others are left out.
    """
    rows = [notes_of(record)[probing.FITNESS] for record in runs.records]
    longest = max(map(len, rows))
    values = np.array([row for row in rows if len(row) == longest])
    return values[0, :, 0].astype(np.int64), values[:, :, 1:]


def pairs(suite: Suite, collected: Sequence[UnitRuns]) -> dict[str, PairedSearches]:
    """Return, by label, each search beside the same one on the truth table, seed by seed."""
    if suite.truth is None:
        return {}
    table = tables.reported(suite.truth.table)
    on_table = {_twin(runs): runs for runs in collected if runs.unit.row.on_table}
    found: dict[str, PairedSearches] = {}
    for runs in collected:
        twin = None if runs.unit.row.on_table else on_table.get(_twin(runs))
        if twin is None:
            continue
        dataset = suite.truth.dataset or runs.unit.dataset
        common = {r.seed for r in runs.records} & {r.seed for r in twin.records}
        if not common:
            continue
        both = [
            UnitRuns(one.unit, [r for r in one.records if r.seed in common]) for one in (runs, twin)
        ]
        shared, other = (final_genotypes(one, table.space) for one in both)
        several = len(suite.datasets) > 1
        label = f"{runs.unit.row.label}{f', {runs.unit.dataset}' if several else ''}"
        found[label] = weight_sharing.paired(
            table.space,
            shared,
            other,
            standalone_accuracy(table, dataset, shared),
            standalone_accuracy(table, dataset, other),
            rng=stream(0, "bootstrap of paired searches"),
        )
    return found


def _twin(runs: UnitRuns) -> tuple[Any, str]:
    """Return what a search on shared weights and the same on the table have in common."""
    return runs.unit.row.configured, runs.unit.dataset


def summary_json(
    suite: Suite,
    rows: Sequence[SharedRow],
    collected: Sequence[UnitRuns],
    found: Sequence[Ranking],
    paired: dict[str, PairedSearches],
) -> dict[str, Any]:
    """Return the content of summary.json: plain JSON types, null for what is undefined."""
    return {
        **trained.about(suite),
        "truth": None if suite.truth is None else suite.truth.model_dump(),
        "rows": [_rounded(dataclasses.asdict(row)) for row in rows],
        "rank_correlation": [
            {"algorithm": r.unit.row.label, "dataset": r.unit.dataset, "seed": seed, "epoch": epoch}
            | _rounded(figures.to_json())
            for r in found
            for seed, curve in zip(r.seeds, r.curves, strict=True)
            for epoch, figures in curve
        ],
        "paired": {label: _rounded(result.to_json()) for label, result in paired.items()},
        "sentences": [weight_sharing.sentence(result, label) for label, result in paired.items()],
        "notes": [
            *shortfalls(suite, collected),
            *manifest.explain(trained.without_notes(runs, _HIDDEN) for runs in collected),
        ],
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Return floats rounded to what is exact everywhere, and None for NaN."""
    return {
        key: (None if math.isnan(value) else float(f"{value:.9g}"))
        if isinstance(value, float)
        else value
        for key, value in values.items()
    }
