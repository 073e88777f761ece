"""Mean regret against evaluations: the figure of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo import tables
from nasbench_evo.figures import style
from nasbench_evo.results.kind import spent
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.on_table import regret_curves, searched_for
from nasbench_evo.results.rows import BASELINE, mean_intervals
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 40
_ACROSS = 4  # panels in a line
_MOST_LINES = 14  # more cannot be told apart: then the best of each algorithm
_SPAN = 60  # the axis shows the last 59/60 of the evaluations: before, all searches are alike
_MARKS = 7  # on a line, so that lines are told apart in grey
_CEILING = 1.5  # the highest regret drawn, as a multiple of random search's at the start
_FLOOR = 0.5  # the lowest regret drawn, as a share of the lowest that is not zero


def figure(suite: Suite, collected: Sequence[UnitRuns]) -> Figure:
    """Return one panel a data set; lines are means over the runs of a row, with their intervals.

    Call it inside `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    first = max(1, suite.end // _SPAN)
    points = np.unique(np.geomspace(first, suite.end, _POINTS).round())
    n = max((len(runs.records) for runs in collected), default=0)
    number = len(suite.reported)
    lines, across = -(-number // _ACROSS), min(number, _ACROSS)
    drawing = Figure(
        figsize=style.sized(max(4.1 * across, 6.4), 1.4 + 3.6 * lines), layout="constrained"
    )
    panels = drawing.subplots(lines, across, squeeze=False).ravel()
    for spare in panels[number:]:
        spare.set_axis_off()
    panels = panels[:number]
    looks = _looks(collected)
    rows = [runs.unit.row for runs in collected]
    names = dict(zip([row.label for row in rows], short_labels(rows), strict=True))
    reduced = False
    for axes, dataset in zip(panels, suite.reported, strict=True):
        present = searched_for(suite, dataset, collected)
        chosen = _selected(present, suite.end, dataset)
        reduced = reduced or len(chosen) < len(present)
        _panel(axes, chosen, points, looks, names, dataset)
        axes.set_title(dataset)
        axes.set_xlabel(spent(suite))
    for axes in panels[::across]:
        axes.set_ylabel("mean regret (percentage points)")
    handles = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawing.legend(
        handles.values(),
        handles,
        loc="outside upper left",
        ncols=3 if len(suite.reported) > 1 else 2,
        fontsize=style.text(8),
        handlelength=3.4,
        title=suite.name,
        title_fontproperties={"weight": "bold", "size": 10},
        alignment="left",
    )
    style.note(drawing, caption(suite, n, reduced=reduced))
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
    if suite.report_on:
        text += f" Searched on {suite.datasets[0]}."
    return text + (" Of each algorithm the best row is drawn." if reduced else "")


def _judged(suite: Suite) -> str:
    """Return the split whose accuracies are compared."""
    table = tables.reported(suite.table)
    kinds = {"test" if table.by_test(d) else "validation" for d in suite.reported}
    return " or ".join(sorted(kinds, reverse=True))


def _selected(drawn: list[UnitRuns], end: float, dataset: str) -> list[UnitRuns]:
    """Return what a panel can show: all rows, or the best of each algorithm if there are many."""
    if len(drawn) <= _MOST_LINES:
        return drawn
    best: dict[str, tuple[float, UnitRuns]] = {}
    for runs in drawn:
        mean = float(regret_curves(runs, [end], dataset).mean())
        name = runs.unit.row.shown
        if name not in best or mean < best[name][0]:
            best[name] = (mean, runs)
    return [runs for _, runs in best.values()]


def _looks(collected: Sequence[UnitRuns]) -> dict[str, tuple[str | tuple[float, ...], int]]:
    """Return the colour and the number among its algorithm's rows of each row label.

    A suite of one algorithm beside random search varies colours instead of dashes.
    """
    labels: dict[str, dict[str, None]] = {}
    for runs in collected:
        labels.setdefault(runs.unit.row.shown, {})[runs.unit.row.label] = None
    result: dict[str, tuple[str | tuple[float, ...], int]] = {}
    for algorithm, rows in labels.items():
        shades = style.levels(len(rows)) if len(rows) > len(style.DASHES) else None
        for i, label in enumerate(rows):
            result[label] = (shades[i] if shades else style.colour(algorithm), i)
    return result


def _panel(
    axes: Axes,
    drawn: list[UnitRuns],
    points: np.ndarray,
    looks: dict[str, tuple[str | tuple[float, ...], int]],
    names: Mapping[str, str],
    dataset: str,
) -> None:
    lowest, highest = np.inf, 0.0
    for k, runs in enumerate(drawn):
        row = runs.unit.row
        colour, variant = looks[row.label]
        curves = regret_curves(runs, points.tolist(), dataset)
        intervals = mean_intervals(list(curves.T))
        mean, low, high = (np.array(part) for part in zip(*intervals, strict=True))
        lowest = min(lowest, *mean[mean > 0].tolist(), np.inf)
        baseline = row.algorithm == BASELINE
        highest = float(mean[0]) if baseline else highest
        axes.plot(
            points,
            np.where(mean > 0, mean, np.nextafter(0, 1)),  # zero has no place on a log axis
            color=colour,
            linestyle=style.DASHES[variant % len(style.DASHES)],
            linewidth=2.4 if baseline else 1.5,
            marker=None if baseline else style.MARKERS[k % len(style.MARKERS)],
            markevery=(k % _MARKS, max(1, len(points) // _MARKS)),
            markersize=4,
            label=names[row.label],
            zorder=3 if baseline else 2,
        )
        if len(runs.records) > 1:
            axes.fill_between(points, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if highest > 0:
        axes.set_ylim(top=_CEILING * highest)
    if np.isfinite(lowest):
        axes.set_ylim(bottom=max(lowest * _FLOOR, 1e-6))
    style.log_ticks(axes.xaxis, *axes.get_xlim())
    style.log_ticks(axes.yaxis, *axes.get_ylim())
