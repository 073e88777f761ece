"""What an early accuracy tells of the final one, where a table has learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_evo import tables
from nasbench_evo.figures import style
from nasbench_evo.results.landmarks import landmarks
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def has(collected: Sequence[UnitRuns]) -> bool:
    """Whether runs read landmarks on the learning curves of the table."""
    return any(
        run.notes.get("landmark_source") == "curve" for runs in collected for run in runs.records
    )


def figure(suite: Suite, collected: Sequence[UnitRuns]) -> Figure:
    """Return the rank correlation of each landmark, a panel a data set; the label is its caption.

    The landmarks that the suite's rows use are marked. Call it inside `style.using`.
    """
    table = tables.load(suite.table)
    used = sorted({at for runs in collected for at in _used(runs)})
    drawing, panels = style.panels(len(suite.datasets), (3.4, 2.7), (0.6, 0.9), least=4.6)
    for axes, dataset in zip(panels, suite.datasets, strict=True):
        found = landmarks(table, dataset)
        axes.plot(found.fractions, found.every, marker="o", label="all trainings")
        axes.plot(found.fractions, found.best, marker="s", label="the best tenth")
        for i, at in enumerate(used):
            label = "landmarks of the rows" if i == 0 else None
            axes.axvline(at, color=style.foreground(), linewidth=0.8, linestyle=":", label=label)
        axes.axhline(0, color=style.foreground(), linewidth=0.6)
        axes.set_xlim(0, 1)
        axes.set_title(dataset)
        axes.set_xlabel("part of the training")
    for axes in style.first_column(panels):
        axes.set_ylabel("Spearman's correlation with\nthe final accuracy of the training")
    style.legend(drawing)
    text = (
        "What a landmark tells: Spearman's correlation of the validation accuracy after a part of "
        "a training with that at its end, over all trainings of the table and over the tenth whose "
        "final accuracy is highest."
    )
    style.note(drawing, text)
    return drawing


def _used(runs: UnitRuns) -> list[float]:
    """Return the landmarks of a row's algorithm, parts of a training."""
    values = runs.unit.row.configured.hyperparameters()
    if not values.get("extinction", True):
        return []
    return [values[name] for name in ("first_landmark", "second_landmark") if name in values]
