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
_SPAN = 300  # of a long budget the axis shows all but the first part of so many


def figure(suite: Suite, collected: Sequence[UnitRuns]) -> Figure:
    """Return the figure, one panel a data set; call it inside `style.using`.

    Lines are means over the runs of a row, bands their bootstrap 95% intervals.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    points = np.unique(np.geomspace(max(1, suite.end / _SPAN), suite.end, _POINTS).round()).tolist()
    width = max(4.4 * len(suite.datasets), 6.4)
    drawing = Figure(figsize=style.sized(width, 4.2), layout="constrained")
    panels = drawing.subplots(1, len(suite.datasets), squeeze=False)[0]
    for axes, dataset in zip(panels, suite.datasets, strict=True):
        drawn = [r for r in collected if r.unit.dataset == dataset and r.records]
        names = short_labels([runs.unit.row for runs in drawn])
        for k, (runs, name) in enumerate(zip(drawn, names, strict=True)):
            intervals = mean_intervals(list(curves(runs, points, as_seen).T))
            mean, low, high = (np.array(part) for part in zip(*intervals, strict=True))
            colour = style.colour(runs.unit.row.shown)
            dash = style.DASHES[k % len(style.DASHES)]
            mark = style.MARKERS[k % len(style.MARKERS)]
            axes.plot(points, mean, color=colour, linestyle=dash, label=name, marker=mark,
                      markersize=4, markevery=(k, max(len(points) // 6, 1)))  # fmt: skip
            axes.fill_between(points, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(f"{suite.space} on {dataset}")
        axes.set_xlabel(spent(suite))
    panels[0].set_ylabel("validation accuracy as seen (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=2)
    sizes = sorted({len(runs.records) for runs in collected if runs.records})
    style.describe(
        drawing,
        "Validation accuracy of the incumbent as its search saw it: the best of many noisy values, "
        f"so too high. Mean of {' or '.join(map(str, sizes))} runs a row; bands: 95% bootstrap "
        "interval of the mean.",
    )
    return drawing
