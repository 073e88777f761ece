"""Mean regret against evaluations: the figure of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo import tables
from nasbench_evo.figures import style
from nasbench_evo.results.kind import spent
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.on_table import maximised, regret_curves, searched_for
from nasbench_evo.results.rows import BASELINE, mean_intervals
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 40
_MOST_LINES = 14  # more cannot be told apart: then the best of each algorithm
_SPAN = 60  # the axis shows the last 59/60 of the evaluations: before, all searches are alike
_MARKS = 7  # on a line, so that lines are told apart in grey
_CEILING = 1.5  # the highest regret drawn, as a multiple of random search's at the start
_FLOOR = 0.5  # the lowest regret drawn, as a share of the lowest that is not zero
REDUCED = "Of each algorithm the row with the lowest final regret over the data sets is drawn."


def figure(suite: Suite, collected: Sequence[UnitRuns]) -> Figure:
    """Return one panel a data set; lines are means over the runs of a row, with their intervals.

    Call it inside `style.using`.
    """
    first = max(1, suite.end // _SPAN)
    points = np.unique(np.geomspace(first, suite.end, _POINTS).round())
    n = max((len(runs.records) for runs in collected), default=0)
    drawing, panels = style.panels(len(suite.reported), (4.1, 3.6), (0, 1.4), least=6.4)
    chosen = selected(suite, collected)
    rows = [runs.unit.row for runs in collected]
    names = dict(zip([row.label for row in rows], short_labels(rows), strict=True))
    drawn = [row for row in rows if row.label in chosen]
    looks = style.looks([(row.shown, names[row.label]) for row in drawn])
    for axes, dataset in zip(panels, suite.reported, strict=True):
        present = searched_for(suite, dataset, collected)
        present = [runs for runs in present if runs.unit.row.label in chosen]
        _panel(axes, present, points, looks, names, dataset)
        axes.set_title(dataset)
        axes.set_xlabel(spent(suite))
    for axes in style.first_column(panels):
        axes.set_ylabel("mean regret (percentage points)")
    style.legend(drawing, title=suite.name)
    style.note(drawing, caption(suite, n, reduced=len(chosen) < len({row.label for row in rows})))
    return drawing


def caption(suite: Suite, n: int, *, reduced: bool = False) -> str:
    """Return what the figure shows: units, number of runs, meaning of the bands."""
    text = (
        f"Regret of the incumbent: best mean {_judged(suite)} accuracy in the table minus that of "
        f"the cell a search would return, percentage points; mean of {n} runs. Bands: 95% "
        "bootstrap interval of the mean. Both axes logarithmic: a line that leaves the frame "
        "below has reached zero regret in every run, one that comes from above it started from "
        "poor cells."
    )
    if maximised(suite):
        text += f" {' '.join(maximised(suite))}"
    if suite.report_on:
        text += f" Searched on {suite.datasets[0]}."
    return text + (f" {REDUCED}" if reduced else "")


def _judged(suite: Suite) -> str:
    """Return the split whose accuracies are compared."""
    table = tables.reported(suite.table)
    kinds = {"test" if table.by_test(d) else "validation" for d in suite.reported}
    return " or ".join(sorted(kinds, reverse=True))


def selected(suite: Suite, collected: Sequence[UnitRuns]) -> set[str]:
    """Return the labels of the rows that a figure can show: all, or of many those of `REDUCED`."""
    rows = {runs.unit.row.label: runs.unit.row for runs in collected}
    if len(rows) <= _MOST_LINES:
        return set(rows)
    means: dict[str, list[float]] = {}
    for dataset in suite.reported:
        for runs in searched_for(suite, dataset, collected):
            mean = float(regret_curves(runs, [suite.end], dataset).mean())
            means.setdefault(runs.unit.row.label, []).append(mean)
    best: dict[str, str] = {}
    for label in sorted(means, key=lambda label: (-len(means[label]), sum(means[label]))):
        best.setdefault(rows[label].shown, label)
    return set(best.values())


def _panel(
    axes: Axes,
    drawn: list[UnitRuns],
    points: np.ndarray,
    looks: Mapping[str, style.Look],
    names: Mapping[str, str],
    dataset: str,
) -> None:
    lowest, highest = np.inf, 0.0
    for k, runs in enumerate(drawn):
        row = runs.unit.row
        look = looks[names[row.label]]
        curves = regret_curves(runs, points.tolist(), dataset)
        intervals = mean_intervals(list(curves.T))
        mean, low, high = (np.array(part) for part in zip(*intervals, strict=True))
        lowest = min(lowest, *mean[mean > 0].tolist(), np.inf)
        baseline = row.algorithm == BASELINE
        highest = float(mean[0]) if baseline else highest
        axes.plot(
            points,
            np.where(mean > 0, mean, np.nextafter(0, 1)),  # zero has no place on a log axis
            **look.line,
            linewidth=2.4 if baseline else 1.5,
            markevery=(k % _MARKS, max(1, len(points) // _MARKS)),
            markersize=4,
            label=names[row.label],
            zorder=3 if baseline else 2,
        )
        if len(runs.records) > 1:
            axes.fill_between(points, low, high, color=look.colour, alpha=0.13, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if highest > 0:
        axes.set_ylim(top=_CEILING * highest)
    if np.isfinite(lowest):
        axes.set_ylim(bottom=max(lowest * _FLOOR, 1e-6))
    style.log_ticks(axes.xaxis, *axes.get_xlim())
    style.log_ticks(axes.yaxis, *axes.get_ylim())
