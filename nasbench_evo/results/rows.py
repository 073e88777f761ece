"""From finished runs to rows: what a group of runs has, and how groups compare."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasbench_evo.analysis import statistics
from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.randomness import stream
from nasbench_evo.results.columns import Column, ResultRow
from nasbench_evo.results.runs import UnitRuns, as_seen, curves
from nasbench_evo.suite import Suite

BASELINE = "random_search"
_LEVEL = 0.05  # above it, a row is tied with the best
BEST, TIED = "best", "tied"


@dataclass
class Group:
    """The runs of a row on a data set at a checkpoint, and what is known of them.

    `losses` [n] is what rows are judged by, the smaller the better (regret in percentage points,
    or a negative accuracy); `interval` is that of its mean. What compares groups is filled by
    `compare`. `facts` holds what only one kind of suite has.
    """

    runs: UnitRuns
    dataset: str
    checkpoint: float
    losses: Array
    interval: statistics.Interval
    facts: Mapping[str, Any] = field(default_factory=dict)
    asked: int = 0  # runs that the suite asks for
    label: str = ""
    rank: int = 0  # by mean loss within the table, 1 the best
    best: str = ""  # BEST, TIED or nothing
    p_better: float | None = None
    p_value: float | None = None

    @property
    def n(self) -> int:
        """Number of finished runs."""
        return len(self.runs.records)

    @property
    def std(self) -> float:
        """Standard deviation of the losses over runs; NaN for one run."""
        return float(self.losses.std(ddof=1)) if len(self.losses) > 1 else math.nan


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
            if not np.isfinite(values).any():  # nothing is known: no resampling
                intervals |= dict.fromkeys(chosen, statistics.Interval(*[math.nan] * 3))
                continue
            with warnings.catch_warnings():  # all runs equal: an interval of no width is right
                warnings.simplefilter("ignore", statistics.StatisticsWarning)
                some = statistics.bootstrap_intervals(values, "mean", rng=rng)
        intervals.update(zip(chosen, some, strict=True))
    return [intervals[i] for i in range(len(samples))]


def ranked(groups: list[Group]) -> list[Group]:
    """Return the groups of one table by mean loss, the best first, with rank and ties filled.

    Equal means share a rank. A row is tied with the best where a two-sided Mann-Whitney test,
    Holm-corrected over the table, does not tell them apart at 5%.
    """
    ordered = sorted(groups, key=lambda g: (math.isnan(g.interval.estimate), g.interval.estimate))
    means = [group.interval.estimate for group in ordered]
    for group in ordered:
        group.rank = 1 + sum(mean < group.interval.estimate for mean in means)
    if not any(np.isfinite(group.losses).all() for group in ordered):
        return ordered
    first, *others = (group for group in ordered if np.isfinite(group.losses).all())
    first.best = BEST
    tests = [statistics.mann_whitney(other.losses, first.losses) for other in others]
    for other, p in zip(others, statistics.holm(tests) if tests else [], strict=True):
        if p >= _LEVEL and min(other.n, first.n) > 1:
            other.best = TIED
    return ordered


def by_accuracy(suite: Suite, dataset: str, present: Sequence[UnitRuns]) -> list[Group]:
    """Return the groups of a data set at each checkpoint, by the accuracy of their incumbents."""
    groups: list[Group] = []
    paths = [curves(runs, suite.marks, as_seen) for runs in present]
    for c, checkpoint in enumerate(suite.marks):
        losses = [-path[:, c] for path in paths]
        facts = {"last": checkpoint == suite.marks[-1]}
        groups += ranked(
            [
                Group(runs, dataset, checkpoint, x, band, facts, asked=suite.seeds)
                for runs, x, band in zip(present, losses, mean_intervals(losses), strict=True)
            ]
        )
    return groups


def seen_at_marks(suite: Suite, runs: UnitRuns) -> dict[str, Array]:
    """Return by measure what each run's search saw of its incumbent at checkpoints before the end.

    The names are those of `results.measures`, the values [n] percent.
    """
    *marks, _ = suite.marks
    path = curves(runs, marks, as_seen)
    return {f"seen@{mark:.10g}": path[:, i] for i, mark in enumerate(marks)}


def compare(groups: Sequence[Group]) -> None:
    """Fill the comparisons with random search on the same data set, Holm-corrected over all."""
    baselines = {
        group.dataset: group for group in groups if group.runs.unit.row.algorithm == BASELINE
    }
    compared = [
        (group, baselines[group.dataset])
        for group in groups
        if group.dataset in baselines and group.runs.unit.row.algorithm != BASELINE
    ]
    tests = [statistics.mann_whitney(ours.losses, base.losses) for ours, base in compared]
    adjusted = statistics.holm(tests).tolist() if tests else []
    for (ours, base), p in zip(compared, adjusted, strict=True):
        ours.p_better = statistics.probability_of_improvement(ours.losses, base.losses)
        ours.p_value = p


def made(columns: Sequence[Column], groups: Sequence[Group]) -> list[ResultRow]:
    """Return the row of each group."""
    return [ResultRow({column.key: column.of(group) for column in columns}) for group in groups]
