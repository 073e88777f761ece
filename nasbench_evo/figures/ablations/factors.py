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

_ENDED = "what it ended with"
_ELSEWHERE = 1.2  # times the regret of the best seen: then both are drawn
_SAME_COST = 0.05  # levels whose spending differs by less are drawn on one budget


def levels(factor: Factor, runs: Runs) -> tuple[Figure, str]:
    """Return the mean final regret of every level, a panel a data set, and the caption.

    Call it inside `style.using`.
    """
    datasets = runs.suite.datasets
    drawn = [(dataset, False) for dataset in datasets]
    drawn += [(dataset, True) for dataset in datasets if ends_elsewhere(factor, runs, dataset)]
    across = min(4, len(datasets))
    drawing, panels = style.panels(len(drawn), (2.9, 2.7), (0.8, 0.9), most=across)
    for axes, (dataset, ended) in zip(panels, drawn, strict=True):
        if not ended:
            _random(axes, runs, dataset)
        _points(axes, factor, runs, dataset, ended=ended)
        axes.set_title(f"{dataset}, {_ENDED}" if ended else dataset)
        axes.set_xlabel(_axis_name(factor))
    for axes in style.first_column(panels):
        axes.set_ylabel("mean regret (percentage points)")
    style.legend(drawing, title=f"{factor.shown} ({factor.preset})")
    text = (
        f"Mean final regret in percentage points ({_seeds(factor, runs)} paired seeds, at most "
        f"{runs.suite.length}) against {_axis_name(factor)}. Bars: 95% bootstrap "
        "interval of the mean. Ring: the preset's own setting. Line and band: random search at "
        f"{runs.suite.length} and its interval."
    )
    if len(drawn) > len(datasets):
        text += f" In panels called {_ENDED!r} it is that of the algorithm's own result, in the "
        text += "others of the best that it saw."
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


def ends_elsewhere(factor: Factor, runs: Runs, dataset: str) -> bool:
    """Whether what the algorithm ended with is clearly worse than the best that it saw."""
    finals = [runs.final(level.row, dataset) for level in factor.levels]
    ended = [runs.ended(level.row, dataset) for level in factor.levels]
    pairs = [(a, b) for a, b in zip(finals, ended, strict=True) if len(a) and len(b)]
    return any(b.mean() > _ELSEWHERE * a.mean() for a, b in pairs)


def _points(axes: Axes, factor: Factor, runs: Runs, dataset: str, *, ended: bool) -> None:
    """Draw the levels at equal distances in their order; values are the tick labels."""
    of = runs.ended if ended else runs.final
    there = [i for i, x in enumerate(factor.levels) if len(of(x.row, dataset))]
    finals = [of(factor.levels[i].row, dataset) for i in there]
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
    datasets = runs.suite.datasets
    drawing, panels = style.panels(len(datasets), (3.2, 3.2), (0.8, 1.1), least=4.6)
    for axes, dataset in zip(panels, datasets, strict=True):
        _spending(axes, factor, runs, dataset)
        axes.set_title(dataset)
        axes.set_xlabel(f"spent: {axis_of(runs.suite)}")
    for axes in style.first_column(panels):
        axes.set_ylabel("mean regret (percentage points)")
    style.legend(drawing, title=f"{factor.shown} ({factor.preset})")
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


def heat_map(
    factor: Factor, runs: Runs, dataset: str, *, ended: bool = False
) -> tuple[Figure, str]:
    """Return the annotated mean final regret of a grid of two hyper-parameters, and the caption.

    With `ended` it is that of what the algorithm itself ended with. Call it inside `style.using`.
    The number in brackets is half the width of the 95% interval.
    """
    from matplotlib.figure import Figure

    rows, columns = (list(dict.fromkeys(x.values[i] for x in factor.levels)) for i in (0, 1))
    of = runs.ended if ended else runs.final
    intervals = mean_intervals([of(level.row, dataset) for level in factor.levels])
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
    what = "what it ended with" if ended else "the best that it saw"
    axes.set_title(f"{factor.shown}, {dataset}: {what}", loc="left", fontsize=style.text(9))
    of_what = "of what the algorithm ended with " if ended else ""
    text = (
        f"Mean final regret {of_what}in percentage points over {_seeds(factor, runs)} paired "
        f"seeds, {factor.preset}, at most {runs.suite.length}; in brackets half the "
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
        ink = style.ink_on(np.asarray(image.to_rgba(np.array([[value]])))[0, 0])
        weight = "bold" if mark else "normal"
        size = style.text(7.5)
        axes.text(j, i, words, ha="center", va="center", color=ink, fontsize=size, weight=weight)
