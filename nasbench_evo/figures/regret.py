"""Mean regret against evaluations: the figure of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.analysis.summary import BASELINE, UnitRuns, mean_intervals, regret_curves
from nasbench_evo.figures import style
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 80
_MOST_LINES = 14  # more cannot be told apart: then the best of each algorithm


def draw(suite: Suite, collected: Sequence[UnitRuns], path: Path) -> list[Path]:
    """Write regret.png and .svg: one panel a data set; return the paths.

    Lines are means over the runs of a row, bands their bootstrap 95% intervals.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    points = np.unique(np.geomspace(1, suite.evaluations, _POINTS).round())
    n = max(len(runs.records) for runs in collected)
    with style.paper():
        width = 4.4 * len(suite.datasets)
        figure = Figure(figsize=(width, 3.6), layout="constrained")
        panels = figure.subplots(1, len(suite.datasets), squeeze=False)[0]
        for axes, dataset in zip(panels, suite.datasets, strict=True):
            drawn = [r for r in collected if r.unit.dataset == dataset and r.records]
            _panel(axes, _selected(drawn, suite.evaluations), points)
            axes.set_title(dataset)
            axes.set_xlabel("evaluations (full trainings)")
        panels[0].set_ylabel("mean regret (percentage points)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        figure.suptitle(
            f"{suite.name}: regret of the incumbent's mean validation accuracy, {n} runs, "
            "bands: 95% bootstrap interval of the mean",
            fontsize=9,
        )
        return style.save(figure, path)


def _selected(drawn: list[UnitRuns], evaluations: int) -> list[UnitRuns]:
    """Return what a panel can show: all rows, or the best of each algorithm if there are many."""
    if len(drawn) <= _MOST_LINES:
        return drawn
    best: dict[str, tuple[float, UnitRuns]] = {}
    for runs in drawn:
        mean = float(regret_curves(runs, [evaluations]).mean())
        name = runs.unit.row.algorithm
        if name not in best or mean < best[name][0]:
            best[name] = (mean, runs)
    return [runs for _, runs in best.values()]


def _panel(axes: Axes, drawn: list[UnitRuns], points: np.ndarray) -> None:
    seen: dict[str, int] = {}
    for runs in drawn:
        row = runs.unit.row
        variant = seen[row.algorithm] = seen.get(row.algorithm, -1) + 1
        curves = regret_curves(runs, points.tolist())
        intervals = mean_intervals(list(curves.T))
        mean, low, high = (np.array(part) for part in zip(*intervals, strict=True))
        colour = style.COLOURS.get(row.algorithm, style.OTHER)
        baseline = row.algorithm == BASELINE
        axes.plot(
            points,
            mean,
            color=colour,
            linestyle=style.DASHES[variant % len(style.DASHES)],
            linewidth=2.2 if baseline else 1.4,
            label=row.label,
        )
        axes.fill_between(points, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
