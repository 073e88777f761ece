"""How every run of a suite ended, as one number each: what rows are compared by run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from nasbench_evo.analysis import statistics
from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.results.labels import row_labels
from nasbench_evo.results.on_table import regret_curves, searched_for
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import Suite

_LEVEL = 0.05
_FEWEST_ROWS, _FEWEST_BLOCKS = 3, 5  # that can be ranked


@dataclass(frozen=True)
class Finals:
    """The losses of runs by data set and row label, the smaller the better.

    `measure` says what a loss is, with its unit; `losses` has one value a seed.
    """

    measure: str
    algorithms: Mapping[str, str]  # by label, in the suite's order
    losses: Mapping[str, Mapping[str, Mapping[int, float]]]  # data set, label, seed

    @property
    def rows(self) -> list[str]:
        """Labels of the rows that have runs on every data set."""
        return [
            label
            for label in self.algorithms
            if all(self.losses[d].get(label) for d in self.losses)
        ]

    @property
    def runs(self) -> int:
        """The fewest runs of a row on a data set."""
        return min(len(self.losses[d][label]) for d in self.losses for label in self.rows)

    def values(self, dataset: str, label: str) -> Array:
        """Return the losses of a row on a data set, [n]."""
        return np.array(list(self.losses[dataset][label].values()))

    @cached_property
    def means(self) -> dict[str, float]:
        """The mean loss of each row over the data sets."""
        return {
            label: float(np.mean([self.values(d, label).mean() for d in self.losses]))
            for label in self.rows
        }

    def best(self, most: int) -> list[str]:
        """Return the rows, the best first; if there are more than `most`, one an algorithm."""
        ordered = sorted(self.rows, key=lambda label: self.means[label])
        if len(ordered) <= most:
            return ordered
        chosen: dict[str, str] = {}
        for label in ordered:
            chosen.setdefault(self.algorithms[label], label)
        return list(chosen.values())


def finals(suite: Suite, collected: Sequence[UnitRuns]) -> Finals | None:
    """Return how the runs ended: regret on a table, else the test error of fresh trainings.

    None where fresh trainings are asked for and there are none.
    """
    labels = row_labels(collected)
    on_table = suite.evaluator == "lookup"
    losses: dict[str, dict[str, dict[int, float]]] = {}
    for dataset in suite.reported:
        for runs in searched_for(suite, dataset, collected):
            if on_table:
                ends = regret_curves(runs, [suite.end], dataset)[:, 0].tolist()
                found = {run.seed: end for run, end in zip(runs.records, ends, strict=True)}
            else:
                found = {
                    run.seed: 100 - float(np.mean([one["test_accuracy"] for one in run.final]))
                    for run in runs.records
                    if run.final
                }
            if found:
                losses.setdefault(dataset, {})[labels[runs.unit.row]] = found
    if not losses:
        return None
    measure = "regret (percentage points)" if on_table else "test error of fresh trainings (%)"
    return Finals(measure, {label: row.shown for row, label in labels.items()}, losses)


@dataclass(frozen=True)
class RunRanks:
    """Rows ranked in every run: a block is a seed on a data set."""

    rows: Sequence[str]  # by average rank, the best first
    blocks: int
    overall: statistics.FriedmanNemenyi


def run_ranks(found: Finals, most: int) -> RunRanks | None:
    """Return the average ranks over the seeds that all rows have; None of too few to rank.

    They say what to expect of further runs on these data sets, not of other data sets.
    """
    rows = found.best(most)
    blocks = []
    for by_label in found.losses.values():
        for seed in sorted(set.intersection(*(set(by_label[label]) for label in rows))):
            blocks.append([by_label[label][seed] for label in rows])
    if len(rows) < _FEWEST_ROWS or len(blocks) < _FEWEST_BLOCKS or not np.ptp(blocks, axis=1).any():
        return None
    overall = statistics.friedman_nemenyi(blocks)
    order = np.argsort(overall.average_ranks, kind="stable")
    return RunRanks(
        rows=[rows[i] for i in order],
        blocks=len(blocks),
        overall=overall._replace(average_ranks=overall.average_ranks[order]),
    )


@dataclass(frozen=True)
class Improvements:
    """P(a run of row i is better than one of row j), means over the data sets; [rows, rows]."""

    rows: Sequence[str]
    probabilities: Array  # diagonal NaN
    clear: Array  # bool: the pair is told apart, Holm-corrected over all pairs, 5%


def improvements(found: Finals, most: int) -> Improvements:
    """Return the comparison of every pair of rows, the best row first."""
    rows = found.best(most)
    probabilities = np.full((len(rows), len(rows)), np.nan)
    clear = np.zeros((len(rows), len(rows)), dtype=bool)
    pairs = list(combinations(range(len(rows)), 2))
    tests = []
    for i, j in pairs:
        strata = [(found.values(d, rows[i]), found.values(d, rows[j])) for d in found.losses]
        p, test = statistics.stratified_improvement(strata)
        probabilities[i, j], probabilities[j, i] = p, 1 - p
        tests.append(test)
    for (i, j), p in zip(pairs, statistics.holm(tests) if tests else [], strict=True):
        clear[i, j] = clear[j, i] = p < _LEVEL
    return Improvements(rows, probabilities, clear)
