"""Every row of a suite at its last checkpoint: means with intervals, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_evo.figures import style
from nasbench_evo.results.columns import ResultRow
from nasbench_evo.results.kind import spent
from nasbench_evo.results.on_table import maximised
from nasbench_evo.results.rows import BASELINE
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 16  # more are a table, not a figure


def figure(suite: Suite, rows: Sequence[ResultRow]) -> Figure:
    """Return a panel a data set with the mean regret of each row.

    Rows are in the order of their mean over the data sets. Call it inside `style.using`.
    """
    last = [row for row in rows if row[suite.column] == suite.marks[-1]]
    names = _order(last)
    labels = list(map(style.broken, names))
    size = (2.6, style.row_height(labels, 0.27) * len(names) + 1.1)
    drawing, panels = style.panels(len(suite.reported), size, (2.4, 0.4), lists=True, sharey=True)
    for axes, dataset in zip(panels, suite.reported, strict=True):
        _panel(axes, [row for row in last if row.dataset == dataset], names)
        axes.set_title(dataset)
        axes.set_xlabel(style.broken("mean regret (percentage points)"))
    for axes in style.first_column(panels):
        axes.set_yticks(range(len(names)), labels, fontsize=style.text(8))
    panels[0].invert_yaxis()
    n = max((row.n for row in last), default=0)
    text = (
        f"Mean regret after {_after(suite)}, {n} runs a row, "
        f"with 95% bootstrap intervals of the mean; lower is better. Vertical line: random search. "
        "Changes that all rows of an algorithm share are not named."
    )
    if len({row.label for row in last}) > len(names):
        text += f" The best {len(names)} rows are drawn."
    style.note(drawing, " ".join([text, *maximised(suite)]))
    return drawing


def _after(suite: Suite) -> str:
    last = f"{suite.marks[-1]:.10g} {spent(suite)}"
    return f"{last}, searched on {suite.datasets[0]}" if suite.report_on else last


def _order(rows: Sequence[ResultRow]) -> list[str]:
    """Return the labels by the mean of their ranks; ties by name."""
    ranks: dict[str, list[int]] = {}
    for row in rows:
        ranks.setdefault(row.label, []).append(row.rank)
    ordered = sorted(ranks, key=lambda name: (sum(ranks[name]) / len(ranks[name]), name))
    return ordered[:_MOST_ROWS]


def _panel(axes: Axes, rows: Sequence[ResultRow], names: Sequence[str]) -> None:
    algorithms = sorted({name.partition(" (")[0] for name in names})
    for row in rows:
        name = row.label
        if row.algorithm == BASELINE:
            axes.axvline(row.mean_regret, color=style.foreground(), linewidth=0.9, alpha=0.7)
        if name not in names:
            continue
        single = row.n < 2
        axes.errorbar(
            row.mean_regret,
            names.index(name),
            xerr=None
            if single
            else [[row.mean_regret - row.regret_low], [row.regret_high - row.mean_regret]],
            color=style.colour(name),
            marker=style.MARKERS[algorithms.index(name.partition(" (")[0]) % len(style.MARKERS)],
            markersize=5.5,
            capsize=2.5,
            linestyle="none",
        )
    axes.set_xlim(left=0)
    axes.grid(visible=True, axis="y", alpha=0.15)
