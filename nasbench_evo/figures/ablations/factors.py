"""What each level of a hyper-parameter gives: points with intervals, and heat maps for pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.figures import style
from nasbench_evo.results.ablation import Factor, Runs, show
from nasbench_evo.results.kind import spent as axis_of
from nasbench_evo.results.on_table import regret_curves
from nasbench_evo.results.rows import mean_intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_SAME_COST = 0.05  # levels whose spending differs by less are drawn on one budget


def levels(factor: Factor, runs: Runs) -> tuple[Figure, str]:
    """Return the mean final regret of every level, a panel a data set, and the caption.

    Call it inside `style.using`.
    """
    from matplotlib.figure import Figure

    datasets = runs.suite.datasets
    drawing = Figure(figsize=style.sized(2.9 * len(datasets) + 0.8, 3.3), layout="constrained")
    panels = drawing.subplots(1, len(datasets), squeeze=False)[0]
    for axes, dataset in zip(panels, datasets, strict=True):
        _random(axes, runs, dataset)
        _points(axes, factor, runs, dataset)
        axes.set_title(dataset)
        axes.set_xlabel(_axis_name(factor))
    panels[0].set_ylabel("mean regret (percentage points)")
    panels[0].legend(fontsize=style.text(7.5), loc="best")
    drawing.suptitle(
        f"{factor.shown} ({factor.preset})", fontsize=style.text(9.5), x=0.01, ha="left"
    )
    text = (
        f"Mean final regret in percentage points ({_seeds(factor, runs)} paired seeds, at most "
        f"{runs.suite.length}) against {_axis_name(factor)}. Bars: 95% bootstrap "
        "interval of the mean. Ring: the preset's own setting. Line and band: random search at "
        f"{runs.suite.length} and its interval."
    )
    style.note(drawing, text)
    return drawing, text


def _axis_name(factor: Factor) -> str:
    return factor.names[0] if len(factor.names) == 1 else "setting"


def _seeds(factor: Factor, runs: Runs) -> int:
    return max(
        len(runs.seeds(level.row, dataset))
        for level in factor.levels
        for dataset in runs.suite.datasets
    )


def _random(axes: Axes, runs: Runs, dataset: str) -> None:
    baseline = runs.baseline(dataset)
    if baseline is None:
        return
    values = runs.final(baseline.unit.row.label, dataset)
    ((mean, low, high),) = mean_intervals([values])
    axes.axhline(mean, color=style.foreground(), linewidth=1.2, label="random search")
    axes.axhspan(low, high, color=style.foreground(), alpha=0.12, linewidth=0)


def _points(axes: Axes, factor: Factor, runs: Runs, dataset: str) -> None:
    """Draw the levels at equal distances in their order; values are the tick labels."""
    there = [i for i, x in enumerate(factor.levels) if len(runs.final(x.row, dataset))]
    finals = [runs.final(factor.levels[i].row, dataset) for i in there]
    if not finals:
        return
    mean, low, high = (np.array(part) for part in zip(*mean_intervals(finals), strict=True))
    colour = style.colour(factor.shown)
    axes.errorbar(
        there,
        mean,
        yerr=[mean - low, high - mean],
        color=colour,
        marker="o",
        markersize=5,
        linestyle="-" if _ordered(factor) else "none",
        linewidth=1.2,
        elinewidth=1.4,
        capsize=3,
        label=factor.shown,
    )
    if factor.reference in there:
        own = mean[there.index(factor.reference)]
        axes.plot(
            factor.reference, own, "o", markersize=11, fillstyle="none", color=colour, mew=1.3
        )
    axes.set_xticks(range(len(factor.levels)), _ticks(factor), fontsize=style.text(8))
    axes.set_xlim(-0.5, len(factor.levels) - 0.5)
    axes.set_ylim(bottom=0)


def _ordered(factor: Factor) -> bool:
    """Whether the levels are numbers, so that a line between them means something."""
    return all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for level in factor.levels
        for value in (level.values or ("",))
    )


def _ticks(factor: Factor) -> list[str]:
    if len(factor.names) == 1:
        return [show(level.values[0]) for level in factor.levels]
    return [level.text.replace(" (", "\n(").replace(", ", "\n") for level in factor.levels]


def costs_differ(factor: Factor, runs: Runs) -> bool:
    """Return whether the levels spent clearly different numbers of evaluations."""
    spent = [
        runs.spent(level.row, dataset)
        for level in factor.levels
        for dataset in runs.suite.datasets
        if (level.row, dataset) in runs.units
    ]
    return bool(spent) and max(spent) > (1 + _SAME_COST) * min(spent)


def cost(factor: Factor, runs: Runs) -> tuple[Figure, str]:
    """Return the mean final regret of every level against what it spent, and the caption.

    Random search is drawn at every budget. Call it inside `style.using`.
    """
    from matplotlib.figure import Figure

    datasets = runs.suite.datasets
    drawing = Figure(figsize=style.sized(2.9 * len(datasets) + 2.2, 4.3), layout="constrained")
    panels = drawing.subplots(1, len(datasets), squeeze=False)[0]
    for axes, dataset in zip(panels, datasets, strict=True):
        _spending(axes, factor, runs, dataset)
        axes.set_title(dataset)
        axes.set_xlabel(f"spent: {axis_of(runs.suite)}")
    panels[0].set_ylabel("mean regret (percentage points)")
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=2 * len(datasets),
        fontsize=style.text(8),
        title=f"{factor.shown} ({factor.preset})",
        alignment="left",
    )
    text = (
        f"Quality against cost: mean final regret (percentage points, {_seeds(factor, runs)} "
        f"seeds) of each {_axis_name(factor)}, at the mean of what its runs spent, "
        f"in {runs.suite.unit}. Bars and band: 95% bootstrap intervals of the "
        "mean. Line: random search stopped there."
    )
    style.note(drawing, text)
    return drawing, text


def _spending(axes: Axes, factor: Factor, runs: Runs, dataset: str) -> None:
    there = [level for level in factor.levels if len(runs.final(level.row, dataset))]
    if not there:
        return
    spent = np.array([runs.spent(level.row, dataset) for level in there])
    baseline = runs.baseline(dataset)
    if baseline is not None:
        points = np.unique(np.geomspace(max(1, spent.min() * 0.6), runs.suite.end, 40))
        curves = regret_curves(baseline, points.tolist())
        mean, low, high = map(np.array, zip(*mean_intervals(list(curves.T)), strict=True))
        axes.plot(points, mean, color=style.foreground(), linewidth=1.4, label="random search")
        axes.fill_between(points, low, high, color=style.foreground(), alpha=0.12, linewidth=0)
    finals = [runs.final(level.row, dataset) for level in there]
    mean, low, high = map(np.array, zip(*mean_intervals(finals), strict=True))
    colours = style.levels(len(there))
    for i, level in enumerate(there):
        axes.errorbar(
            spent[i],
            mean[i],
            yerr=[[mean[i] - low[i]], [high[i] - mean[i]]],
            color=colours[i],
            marker=style.MARKERS[i % len(style.MARKERS)],
            markersize=6,
            capsize=3,
            linestyle="none",
            label=level.text,
        )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    style.log_ticks(axes.xaxis, *axes.get_xlim())


def heat_map(factor: Factor, runs: Runs, dataset: str) -> tuple[Figure, str]:
    """Return the annotated mean final regret of a grid of two hyper-parameters, and the caption.

    Call it inside `style.using`. The number in brackets is half the width of the 95% interval.
    """
    from matplotlib.figure import Figure

    rows, columns = (list(dict.fromkeys(x.values[i] for x in factor.levels)) for i in (0, 1))
    finals = [runs.final(level.row, dataset) for level in factor.levels]
    intervals = mean_intervals(finals)
    shape = len(rows), len(columns)
    mean = np.array([estimate for estimate, _, _ in intervals]).reshape(shape)
    half = np.array([(high - low) / 2 for _, low, high in intervals]).reshape(shape)
    drawing = Figure(
        figsize=style.sized(1.05 * len(columns) + 2.2, 0.62 * len(rows) + 1.9), layout="constrained"
    )
    axes = drawing.subplots()
    image = axes.imshow(mean, cmap="cividis_r", aspect="auto")
    _annotate(axes, image, mean, half, {factor.reference: "paper", int(mean.argmin()): "best"})
    axes.set_xticks(range(len(columns)), [show(v) for v in columns])
    axes.set_yticks(range(len(rows)), [show(v) for v in rows])
    axes.set_xlabel(factor.names[1])
    axes.set_ylabel(factor.names[0])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    drawing.colorbar(image, label="mean regret (percentage points)")
    axes.set_title(f"{factor.shown}, {dataset}", loc="left")
    text = (
        f"Mean final regret in percentage points over {_seeds(factor, runs)} paired seeds, "
        f"{factor.preset}, at most {runs.suite.length}; in brackets half the "
        f"width of the 95% bootstrap interval."
    )
    baseline = runs.baseline(dataset)
    if baseline is not None:
        random = runs.final(baseline.unit.row.label, dataset).mean()
        text += f" Random search at {runs.suite.length}: {random:.3f}."
    style.note(drawing, text)
    return drawing, text


def _annotate(
    axes: Axes, image: AxesImage, mean: Array, half: Array, marks: dict[int, str]
) -> None:
    """Write the mean [rows, columns] and half its interval's width into each field."""
    for (i, j), value in np.ndenumerate(mean):
        mark = marks.get(i * mean.shape[1] + j, "")
        words = f"{value:.3f}\n(±{half[i, j]:.3f})" + (f"\n{mark}" if mark else "")
        red, green, blue, _ = np.asarray(image.to_rgba(np.array([[value]])))[0, 0]
        ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        weight = "bold" if mark else "normal"
        size = style.text(7.5)
        axes.text(j, i, words, ha="center", va="center", color=ink, fontsize=size, weight=weight)
