"""Figures of suites that train, drawn anew from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.figures import style
from nasbench_evo.figures.labels import short_labels
from nasbench_evo.figures.suites import accuracy, supernet
from nasbench_evo.results import ranking
from nasbench_evo.results import supernet as shared_analysis
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.summary import UnitRuns, mean_intervals
from nasbench_evo.results.trained import finals

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make(
    stored: Stored,
    folder: Path,
    formats: Sequence[str],
    look: str,
    *,
    captions: dict[str, str] | None = None,
) -> list[Path]:
    """Write every figure of a results folder whose suite trains; return the paths.

    Nothing is trained anew. Captions go into `captions`, by file name, rather than into images.
    """
    suite, collected = stored.suite, stored.collected
    with style.using(look, notes=captions is None, captions=captions):
        if suite.evaluator == "standalone":
            paths = style.save(accuracy.figure(suite, collected), folder / "accuracy", formats)
        else:
            rankings = ranking.rankings(suite, collected)
            pairs = shared_analysis.pairs(suite, collected)
            paths = supernet.save(suite, collected, rankings, pairs, folder, formats)
        for dataset in suite.datasets:
            own = [runs for runs in collected if runs.unit.dataset == dataset]
            drawing = final_accuracy(own)
            suffix = f"_{dataset}" if len(suite.datasets) > 1 else ""
            if drawing is not None:
                paths += style.save(drawing, folder / f"final_accuracy{suffix}", formats)
    return paths


def final_accuracy(collected: Sequence[UnitRuns]) -> Figure | None:
    """Return the test accuracy of fresh trainings of what each row found; None without any.

    Dots are runs (means over their fresh trainings), diamonds the means over runs with their 95%
    bootstrap interval. Call it inside `style.using`.
    """
    from matplotlib.figure import Figure

    rows = [(runs, accuracies) for runs in collected if len(accuracies := _by_run(runs))]
    if not rows:
        return None
    drawing = Figure(figsize=style.sized(6.6, 0.42 * len(rows) + 1.6), layout="constrained")
    axes = drawing.subplots()
    intervals = mean_intervals([accuracies for _, accuracies in rows])
    for i, ((runs, accuracies), (mean, low, high)) in enumerate(zip(rows, intervals, strict=True)):
        look = style.colour(runs.unit.row.algorithm)
        axes.plot(accuracies, np.full(len(accuracies), i - 0.18), "o", color=look, markersize=4)
        error = None if np.isnan(low) else [[mean - low], [high - mean]]
        axes.errorbar(mean, i + 0.12, xerr=error, fmt="D", color=look, markersize=6, capsize=3)
    labels = short_labels([runs.unit.row for runs, _ in rows])
    axes.set_yticks(range(len(rows)), labels, fontsize=style.text(8))
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
    own = [finals(UnitRuns(runs.unit, [record])) for record in runs.records]
    return np.array([np.mean([one["test_accuracy"] for one in some]) for some in own if some])
