"""Accuracy against parameters, FLOPs and latency: fronts of what the rows of a suite visited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo import tables
from nasbench_evo.figures import style
from nasbench_evo.replays.pareto import LABELS, FrontRow, Fronts, costs, front, label
from nasbench_evo.suite import Suite
from nasbench_evo.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 25  # percent of the table's cells lie below the frame: all fronts are far above them


def draw(suite: Suite, fronts: Fronts, path: Path, *, look: str = "paper") -> list[Path]:
    """Write the figure at `path` plus each format's ending; return the paths.

    A table without parameters, FLOPs and latency has no figure: then none is written.
    """
    if not fronts.volumes:
        return []
    with style.using(look):
        return style.save(figure(suite, fronts), path)


def figure(suite: Suite, fronts: Fronts) -> Figure:
    """Return a panel for each cost (down) and data set (across). Call it inside `style.using`."""
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    table = tables.reported(suite.table)
    present = {row.objective for row in fronts.fronts}
    names = [name for name in dict.fromkeys([*LABELS, *present]) if name in present]
    n = len(suite.datasets)
    size = style.sized(max(4.1 * n, 6.4), 3.2 * len(names) + 1.2)
    drawing = Figure(figsize=size, layout="constrained")
    panels = drawing.subplots(len(names), n, squeeze=False)
    keys = list(dict.fromkeys((row.algorithm, row.preset) for row in fronts.fronts))
    for i, name in enumerate(names):
        for axes, dataset in zip(panels[i], suite.datasets, strict=True):
            mine = [r for r in fronts.fronts if (r.dataset, r.objective) == (dataset, name)]
            if mine:
                _panel(axes, table, dataset, mine, keys)
            axes.set_xlabel(label(name))
    for axes, dataset in zip(panels[0], suite.datasets, strict=True):
        axes.set_title(dataset)
    for axes in panels[:, 0]:
        axes.set_ylabel("mean accuracy (%)")
    style.legend(drawing)
    style.note(drawing, caption(fronts))
    return drawing


def caption(fronts: Fronts) -> str:
    """Return what the figure shows."""
    n = max(row.n for row in fronts.volumes)
    return (
        "Grey: cells of the table and their Pareto front. Lines: the front of all cells that the "
        f"{n} runs of a row evaluated together; accuracy is the mean over the table's trials, "
        f"which the searches did not see. The worst {_SHOWN}% of the cells are below the frame."
    )


def _panel(
    axes: Axes,
    table: Table,
    dataset: str,
    rows: Sequence[FrontRow],
    keys: Sequence[tuple[str, str]],
) -> None:
    d = table.row(dataset)
    there = np.flatnonzero(table.known(dataset))
    accuracy = table.quality[d][there]
    cost = costs(table, dataset, rows[0].objective)[there]
    # One image instead of thousands of shapes in a vector file.
    axes.plot(cost, accuracy, ".", color=style.OTHER, markersize=1, alpha=0.25, rasterized=True)
    best = front(accuracy, cost)
    axes.step(
        cost[best],
        accuracy[best],
        where="post",
        color=style.OTHER,
        linewidth=4,
        alpha=0.5,
        label="all cells of the table",
    )
    looks = style.looks([(algorithm, f"{algorithm} ({preset})") for algorithm, preset in keys])
    for algorithm, preset in keys:
        name = f"{algorithm} ({preset})"
        mine = [row for row in rows if (row.algorithm, row.preset) == (algorithm, preset)]
        axes.step(
            [row.cost for row in mine],
            [row.accuracy for row in mine],
            where="post",
            **looks[name].line,
            linewidth=1.2,
            markersize=3.5,
            label=name,
        )
    low, high = float(np.percentile(accuracy, _SHOWN)), float(accuracy.max())
    margin = max(0.05 * (high - low), 1e-3)
    axes.set_ylim(low, high + margin)
