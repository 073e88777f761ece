"""Suites on a table: candidates are looked up, and what is found has a known regret."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from nasbench_evo import tables
from nasbench_evo.analysis import statistics
from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.results import comparison, kind
from nasbench_evo.results.answer import Judgement, by_table
from nasbench_evo.results.columns import Column, ResultRow
from nasbench_evo.results.kind import Findings, Kind, Track
from nasbench_evo.results.rows import Group, compare, made, mean_intervals, ranked
from nasbench_evo.results.runs import Point, Run, UnitRuns, curves
from nasbench_evo.spaces import Space
from nasbench_evo.suite import Suite, Unit
from nasbench_evo.tables import Table

MEASURED = "mean_measured"
DEFAULT_TABLE = "nasbench201"  # of `nasbench-evo search`


def _best(g: Group) -> float:
    return float(g.facts["best"])


def _regret_by(rule: str, g: Group) -> float | None:
    """Return the mean regret of what a rule of recommendation takes at the end of the runs."""
    cells = [run.recommended(rule) for run in g.runs.records] if g.facts["last"] else [None]
    if None in cells:
        return None
    table = tables.reported(g.runs.unit.table)
    return float(np.mean([table.regret(g.dataset, cell) for cell in cells]))


class OnTable(Kind):
    """Rows are judged by regret: the distance to the best cell's mean over trials."""

    name = "lookup"
    trains = False
    judged = ("mean_regret",)
    figures = ("regret", "final", "pareto")
    meaning = (
        "Accuracy: validation, percent, of the mean over the found cell's trials, which the search "
        "did not see; mean ± standard deviation over runs. Regret: distance to the best cell of "
        f"the table, percentage points, with its 95% bootstrap interval. {kind.AGAINST}"
    )
    columns = (
        *kind.ROW,
        kind.LABEL,
        dataclasses.replace(kind.DATASET, meaning="Data set of the table."),
        kind.EVALUATIONS,
        kind.COUNT,
        Column(
            "mean_accuracy",
            lambda g: _best(g) - float(g.losses.mean()),
            "accuracy",
            "%",
            "Mean and standard deviation over runs of the found cell's mean.",
            std="std_accuracy",
            form=".3f",
            width=3,
        ),
        Column("std_accuracy", lambda g: g.std),
        Column("accuracy_low", lambda g: _best(g) - g.interval.high),
        Column("accuracy_high", lambda g: _best(g) - g.interval.low),
        Column(
            "mean_regret",
            lambda g: float(g.losses.mean()),
            "regret",
            "points",
            "Mean regret with its 95% bootstrap interval.",
            low="regret_low",
            high="regret_high",
            form=".3f",
            band=".2f",
            width=0,
        ),
        Column("median_regret", lambda g: float(np.median(g.losses)), "median", form=".3f",
               meaning="Median regret, points."),
        Column("iqm_regret", lambda g: statistics.iqm(g.losses), "IQM", form=".3f",
               meaning="Interquartile mean of the regret, points."),
        Column("regret_low", lambda g: g.interval.low),
        Column("regret_high", lambda g: g.interval.high),
        kind.RANK,
        *kind.COMPARED,
        Column(
            "returned_regret",
            lambda g: g.facts["returned"],
            "ended with",
            "points",
            "Mean regret of what the algorithm itself ended with (its last population, its final "
            "alpha), where it says so; beside it the best that it saw.",
            form=".3f",
            width=4,
        ),
        *(
            Column(
                f"regret_{rule}",
                partial(_regret_by, rule),
                f"by {rule}",
                "points",
                f"Mean regret where the run recommends the best {told} (the rule {rule}), whatever "
                "rule the row has.",
                form=".3f",
                width=5,
            )
            for rule, told in (
                ("seen", "single answer"), ("mean", "average over a cell's answers")
            )
        ),
        Column(
            "mean_test",
            lambda g: g.facts["test"],
            "test",
            "%",
            "Mean test accuracy of the found cells, where the table has it.",
            form=".3f",
            width=3,
        ),
        Column(  # of tables whose accuracy is a score of something else
            MEASURED,
            lambda g: g.facts[MEASURED],
            "measured",
            "",
            "Mean of what the table measures, in its own unit, over the found settings.",
            form=".5g",
            width=1,
        ),
        kind.BEST_OF,
        kind.ASKED,
    )  # fmt: skip

    def find(self, suite: Suite, collected: Sequence[UnitRuns]) -> Findings:
        """Return the rows, with comparisons at the last checkpoint, and published figures."""
        groups: list[Group] = []
        for dataset in suite.datasets:
            present = [runs for runs in collected if runs.unit.dataset == dataset and runs.records]
            paths = [regret_curves(runs, suite.checkpoints) for runs in present]
            for c, checkpoint in enumerate(suite.checkpoints):
                losses = [path[:, c] for path in paths]
                last = checkpoint == suite.checkpoints[-1]
                some = zip(present, losses, mean_intervals(losses), strict=True)
                groups += ranked(
                    [_group(suite, runs, checkpoint, x, band, last) for runs, x, band in some]
                )
        compare([group for group in groups if group.checkpoint == suite.checkpoints[-1]])
        kind.labelled(groups)
        rows = made(self.columns, groups)
        return Findings(suite, collected, rows, sentences=comparison.of_summary(suite, rows))

    def space(self, suite: Suite) -> Space:
        """Return the table's space."""
        return tables.reported(suite.table).space

    def track(self, suite: Suite, unit: Unit) -> Track:
        """Return the regret of the incumbent."""
        table = tables.reported(unit.table)
        value, best = regret_of(table, unit.dataset), float(table.best[table.row(unit.dataset)])
        return Track(
            "Regret of the incumbent",
            "regret (percentage points)",
            "regret",
            value,
            logarithmic=True,
            also={"valid_accuracy": lambda point: best - value(point)},
        )

    def judged_by(self, suite: Suite, unit: Unit, run: Run) -> Judgement:
        """Return what the table says of the cell."""
        return by_table(tables.reported(unit.table), unit.dataset, run.genotype)

    def told(self, suite: Suite, unit: Unit, run: Run) -> dict[str, str]:
        """Return regret, when it was found, size and length of the simulated training."""
        table = tables.reported(unit.table)
        last = run.curve[-1]
        size = table.size(unit.dataset, last.genotype)
        said = {
            "regret": f"{regret_of(table, unit.dataset)(last):.3f} percentage points",
            "found after": f"{last.spent:g} of {run.evaluations:g} evaluations",
        }
        if size is not None:
            said["parameters"] = f"{size / 1e6:.3f} million"
        if run.simulated_seconds:
            said["simulated training"] = f"{run.simulated_seconds / 3600:,.1f} hours"
        return said

    def about(self, suite: Suite) -> dict[str, Any]:
        """Return what names the table and its best cells."""
        table = tables.reported(suite.table)
        return {
            "suite": suite.name,
            "description": suite.description,
            "table": table.name,
            "table_label": table.label,
            "best_mean_accuracy": {d: float(table.best[table.row(d)]) for d in suite.datasets},
        }

    def more(self, found: Findings) -> dict[str, Any]:
        """Return the published rows."""
        rows = comparison.published(found.suite)
        return {"published": [dataclasses.asdict(row) for row in rows]}

    def options(self, suite: Suite, unit: Unit) -> list[str]:
        """Return table and budget."""
        words = ["--table", unit.table] if unit.table != DEFAULT_TABLE else []
        return words + budget_options(unit)

    def scope(self, suite: Suite) -> str:
        """Return the budget and the table."""
        table = tables.reported(suite.table)
        return (
            f"up to {suite.evaluations} evaluations (full trainings) a run. "
            f"Table: {table.name}, {table.label}."
        )

    def title(self, suite: Suite, row: ResultRow) -> str:
        """Return data set, budget and the best that there is."""
        table = tables.reported(suite.table)
        d = table.row(row.dataset)
        head, metric = super().title(suite, row), table.metric
        if table.measured is None:
            return f"{head}, best mean accuracy {float(table.best[d]):.3f} %"
        best = float(table.mean_measured[d, np.nanargmax(table.mean_accuracy[d])])
        return (
            f"{head}, best mean {metric.name} {best:.3g} (accuracy: its score, 100 % at "
            f"{metric.best:g}, 0 % at {metric.worst:g})"
        )


def _group(
    suite: Suite,
    runs: UnitRuns,
    checkpoint: int,
    losses: Array,
    interval: statistics.Interval,
    last: bool,
) -> Group:
    table = tables.reported(runs.unit.table)
    dataset = runs.unit.dataset
    facts: dict[str, float | bool | None] = {
        "best": float(table.best[table.row(dataset)]), "returned": None, "test": None,
        MEASURED: None, "last": last,
    }  # fmt: skip
    if table.measured is not None:
        means, index = table.mean_measured[table.row(dataset)], table.space.index
        ends = curves(runs, [checkpoint], lambda point: float(means[index(point.genotype)]))
        facts[MEASURED] = float(ends.mean())
    if last:
        found = [run.curve[-1].genotype for run in runs.records]
        known = [table.mean_test(dataset, genotype) for genotype in found]
        tests = [test for test in known if test is not None]
        ended = [run.returned for run in runs.records if run.returned is not None]
        facts["test"] = float(np.mean(tests)) if tests else None
        if ended:
            facts["returned"] = float(np.mean([table.regret(dataset, cell) for cell in ended]))
    return Group(runs, dataset, checkpoint, losses, interval, facts, asked=suite.seeds)


def regrets(table: Table, dataset: str) -> Array:
    """Return the regret of every genotype of a data set, percentage points; [G]."""
    d = table.row(dataset)
    return np.asarray(table.best[d] - table.mean_accuracy[d])


def regret_of(table: Table, dataset: str) -> Callable[[Point], float]:
    """Return what gives the regret of an incumbent, percentage points."""
    known, index = regrets(table, dataset), table.space.index
    return lambda point: float(known[index(point.genotype)])


def regret_curves(runs: UnitRuns, points: Sequence[float]) -> Array:
    """Return the regret of each run's incumbent after each number of evaluations; [n, points].

    A point before the first evaluation takes the first incumbent.
    """
    return curves(runs, points, regret_of(tables.reported(runs.unit.table), runs.unit.dataset))


def budget_options(unit: Unit) -> list[str]:
    """Return the options of `nasbench-evo search` that give a unit's budget."""
    budget = unit.budget
    words = ["--evaluations", f"{budget.evaluations:g}"] if budget.evaluations else []
    if budget.seconds and math.isfinite(budget.seconds):
        words += ["--simulated-seconds", f"{budget.seconds:g}"]
    return words
