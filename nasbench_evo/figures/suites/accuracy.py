"""Accuracy of the incumbent, as its search saw it, against evaluations: suites that train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.figures import style
from nasbench_evo.results.kind import spent
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.results.runs import UnitRuns, as_seen, curves
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTS = 60
_WHAT = (
    "Validation accuracy of the incumbent as its search saw it: the best of many noisy values, so "
    "too high."
)
_WHAT_OWN = (
    "Accuracy of the incumbent as the objective's truth says it; where there is none as its search "
    "saw it, so too high."
)
_SPAN = 300  # of a long budget the axis shows all but the first part of so many


def figure(suite: Suite, collected: Sequence[UnitRuns]) -> Figure:
    """Return the figure, one panel a data set; call it inside `style.using`.

    Lines are means over the runs of a row, bands their bootstrap 95% intervals.
    """
    points = np.unique(np.geomspace(max(1, suite.end / _SPAN), suite.end, _POINTS).round()).tolist()
    drawing, panels = style.panels(len(suite.datasets), (4.4, 3.4), (0, 0.9), least=6.4)
    rows = list(dict.fromkeys(runs.unit.row for runs in collected))
    names = dict(zip(rows, short_labels(rows), strict=True))
    looks = style.looks([(row.shown, name) for row, name in names.items()])
    for axes, dataset in zip(panels, suite.datasets, strict=True):
        drawn = [r for r in collected if r.unit.dataset == dataset and r.records]
        for k, runs in enumerate(drawn):
            name = names[runs.unit.row]
            intervals = mean_intervals(list(curves(runs, points, as_seen).T))
            mean, low, high = (np.array(part) for part in zip(*intervals, strict=True))
            every = max(len(points) // 6, 1)
            axes.plot(points, mean, **looks[name].line, label=name, markersize=4,
                      markevery=(k % every, every))  # fmt: skip
            colour = looks[name].colour
            axes.fill_between(points, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.set_title(dataset if suite.own else f"{suite.space} on {dataset}")
        axes.set_xlabel(spent(suite))
    for axes in style.first_column(panels):
        axes.set_ylabel("accuracy (%)" if suite.own else "validation accuracy as seen (%)")
    style.legend(drawing, title=suite.name)
    sizes = sorted({len(runs.records) for runs in collected if runs.records})
    style.describe(
        drawing,
        f"{_WHAT_OWN if suite.own else _WHAT} Mean of {' or '.join(map(str, sizes))} runs a row; "
        "bands: 95% bootstrap interval of the mean.",
    )
    return drawing
