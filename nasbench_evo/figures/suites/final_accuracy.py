"""What each search found, trained anew: test accuracy of fresh trainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.figures import style
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.results.runs import UnitRuns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def has(collected: Sequence[UnitRuns]) -> bool:
    """Whether there is a fresh training to draw."""
    return any(len(_by_run(runs)) for runs in collected)


def figure(collected: Sequence[UnitRuns]) -> Figure:
    """Return the test accuracy of fresh trainings of what each row found.

    Dots are runs (means over their fresh trainings), diamonds the means over runs with their 95%
    bootstrap interval. Call it inside `style.using`.
    """
    rows = [(runs, accuracies) for runs in collected if len(accuracies := _by_run(runs))]
    drawing, (axes,) = style.panels(1, (4.2, 0.42 * len(rows) + 1.2), (2.4, 0.4), lists=True)
    intervals = mean_intervals([accuracies for _, accuracies in rows])
    for i, ((runs, accuracies), (mean, low, high)) in enumerate(zip(rows, intervals, strict=True)):
        look = style.colour(runs.unit.row.shown)
        axes.plot(accuracies, np.full(len(accuracies), i - 0.18), "o", color=look, markersize=4)
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        axes.errorbar(mean, i + 0.12, xerr=error, fmt="D", color=look, markersize=6, capsize=3)
    labels = short_labels([runs.unit.row for runs, _ in rows])
    axes.set_yticks(range(len(rows)), list(map(style.broken, labels)), fontsize=style.text(8))
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy of fresh trainings (%)")
    style.note(
        drawing,
        "What each search found, trained anew. Dots: runs; diamonds: their mean with its 95% "
        "bootstrap interval. Changes that all rows of an algorithm share are not named.",
    )
    return drawing


def _by_run(runs: UnitRuns) -> Array:
    """Return the mean test accuracy of the fresh trainings of each run; empty without any."""
    if runs.unit.training is None:
        return np.empty(0)
    return np.array(
        [np.mean([one["test_accuracy"] for one in run.final]) for run in runs.records if run.final]
    )
