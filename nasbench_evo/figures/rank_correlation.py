"""Shared weights beside standalone trainings: their ranking, and the cells that they lead to."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.analysis.rank_correlation import RankCorrelation
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.figures import style
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.results.weight_sharing import Curve, PairedSearches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BARS = 12  # epochs: intervals of more are a band
_ASIDE = 0.07  # of the distance of two epochs: between bars of one epoch
_MANY = 400  # points: from here on they are small and one image in a vector file
_CORNER = (0.62, 0.17)  # width and height of the corner that a text takes, of the axes
_LETTERS = 36  # of a line above a panel
_AWAY = 0.17  # of a mean from the dots that it is the mean of


def tau_curves(runs: Mapping[str, Sequence[Curve]], *, reference: Interval | None = None) -> Figure:
    """Return tau-b against the epoch of the supernet; `runs` has a curve a seed by algorithm.

    Of one seed the interval is that over genotypes, of several that of the mean over seeds. Seeds
    of an algorithm have the same epochs. `reference` is the tau between two trials of the truth.
    Call it inside `style.using`.
    """
    from matplotlib.ticker import MaxNLocator

    drawing, (axes,) = style.panels(1, (6.4, 3.4), (0, 1.0))
    looks = style.looks([(name.partition(" (")[0], name) for name in runs])
    for i, (algorithm, curves) in enumerate(runs.items()):
        _curve(axes, algorithm, curves, looks[algorithm], i - (len(runs) - 1) / 2)
    if reference is not None:
        axes.axhspan(reference.low, reference.high, color=style.OTHER, alpha=0.18, linewidth=0)
        axes.axhline(
            reference.estimate,
            color=style.foreground(),
            linestyle=style.DASHES[1],
            linewidth=1.2,
            label=f"retest reference: two trainings of a cell ({reference.estimate:.2f})",
        )
    axes.axhline(0.0, color=style.OTHER, linewidth=0.8, zorder=1)
    axes.margins(y=0.08)
    measured = sorted({epoch for curves in runs.values() for epoch, _ in curves[0]})
    if len(measured) > _BARS:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.set_xticks(measured)
    axes.set_xlabel("epochs of the supernet")
    axes.set_ylabel("Kendall's tau-b,\nshared against standalone")
    style.legend(drawing)
    style.note(drawing, _curves_caption(runs))
    return drawing


def _curves_caption(runs: Mapping[str, Sequence[Curve]]) -> str:
    seeds = max(len(curves) for curves in runs.values())
    sizes = sorted({figures.n for curves in runs.values() for c in curves for _, figures in c})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    over = (
        f"Means over {seeds} seeds with their 95% bootstrap interval."
        if seeds > 1
        else "With the 95% bootstrap interval over genotypes."
    )
    return (
        f"Agreement of shared-weight with standalone accuracy over {n} genotypes; 1: the same "
        f"order, 0 (line): none. {over} Rows that were measured in the same epoch stand side by "
        "side."
    )


def _curve(
    axes: Axes, algorithm: str, curves: Sequence[Curve], look: style.Look, place: float
) -> None:
    """Draw the mean of an algorithm and its interval: bars, or a band where there are many.

    `place` is its place among the algorithms, 0 the middle: bars stand side by side.
    """
    epochs = np.array([epoch for epoch, _ in curves[0]], dtype=np.float64)
    taus = [[figures["kendall_tau"] for _, figures in curve] for curve in curves]
    values = np.array(taus, dtype=np.float64)[..., 0]  # [seeds, epochs]
    intervals = taus[0] if len(curves) == 1 else mean_intervals(list(values.T))
    mean, low, high = (np.array(part) for part in zip(*intervals, strict=True))
    drawn: dict[str, Any] = {**look.line, "markersize": 4.5, "label": algorithm}
    if len(epochs) > _BARS:
        axes.plot(epochs, mean, linewidth=1.8, markevery=len(epochs) // _BARS + 1, **drawn)
        axes.fill_between(epochs, low, high, alpha=0.15, linewidth=0, color=look.colour)
        return
    aside = place * _ASIDE * (np.diff(epochs).min() if len(epochs) > 1 else 1.0)
    axes.errorbar(
        epochs + aside, mean, yerr=[mean - low, high - mean], linewidth=1.2, elinewidth=1.4,
        capsize=2.5, **drawn,
    )  # fmt: skip


def scatter(
    predicted: Array,
    truth: Array,
    found: RankCorrelation,
    *,
    labels: tuple[str, str],
    counts: NDArray[np.int64] | None = None,
    counted: str = "",
) -> Figure:
    """Return predicted [n] against truth [n], with tau-b in the emptiest corner.

    `labels` name both axes with their units; `counts` [n] gives the colours, for example the
    convolutions of each cell, and `counted` says of what. Call it inside `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    drawing = Figure(figsize=style.sized(5.6, 4.4), layout="constrained")
    axes = drawing.subplots()
    many = len(predicted) > _MANY
    look: dict[str, Any] = {"s": 7 if many else 18, "alpha": 0.75, "linewidth": 0}
    levels = [] if counts is None else np.unique(counts).tolist()
    colours = style.levels(len(levels)) if levels else [style.foreground()]
    for level, colour in zip(levels or [None], colours, strict=True):
        chosen = slice(None) if level is None else counts == level
        axes.scatter(
            predicted[chosen], truth[chosen], color=colour, label=level, rasterized=many, **look
        )
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    if levels:
        drawing.legend(
            loc="outside right upper",
            title=counted,
            markerscale=2.2 if many else 1.4,
            handletextpad=0.1,
            fontsize=style.text(8),
            title_fontsize=style.text(8),
        )
    _in_corner(axes, predicted, truth, _tau_text(found))
    style.describe(
        drawing,
        f"{labels[0]} against {labels[1]}: {found.n} genotypes. Kendall's tau-b with its 95% "
        "bootstrap interval over genotypes.",
    )
    return drawing


def _tau_text(found: RankCorrelation) -> str:
    """Return tau-b with its interval, and n."""
    tau = found["kendall_tau"]
    text = "Kendall's tau-b " + ("undefined" if np.isnan(tau.estimate) else f"{tau.estimate:.2f}")
    if not np.isnan(tau.low):
        text += f" [{tau.low:.2f}, {tau.high:.2f}]"
    return f"{text}\nn = {found.n}"


def _in_corner(axes: Axes, x: Array, y: Array, text: str) -> None:
    """Write into the corner of the axes that has the fewest of the points x [n], y [n]."""
    points = np.stack([(v - v.min()) / (np.ptp(v) or 1.0) for v in (x, y)], axis=1)  # in 0..1

    def crowd(corner: tuple[int, int]) -> int:
        return int((np.abs(points - corner) < _CORNER).all(axis=1).sum())

    right, top = min(((0, 1), (1, 0), (0, 0), (1, 1)), key=crowd)
    axes.text(
        0.98 if right else 0.02,
        0.97 if top else 0.03,
        text,
        transform=axes.transAxes,
        ha="right" if right else "left",
        va="top" if top else "bottom",
        bbox={"facecolor": style.background(), "edgecolor": "none", "alpha": 0.75, "pad": 2},
    )


def paired_dots(results: Mapping[str, PairedSearches], *, best: float | None = None) -> Figure:
    """Return the standalone accuracy of the final cells by seed, a panel an algorithm.

    `best` is the highest accuracy that the table has, percent. Call it inside `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    drawing = Figure(figsize=style.sized(max(3.1 * len(results), 3.6), 4.3), layout="constrained")
    panels = drawing.subplots(1, len(results), squeeze=False, sharey=True)[0]
    for axes, (algorithm, result) in zip(panels, results.items(), strict=True):
        _pairs(axes, algorithm, result)
        if best is not None:
            axes.axhline(
                best, color=style.foreground(), linestyle=style.DASHES[2], linewidth=1.2, zorder=1
            )
    panels[0].set_ylabel("standalone accuracy of the final cell (%)")
    style.note(
        drawing,
        "A line a seed: the same search on shared weights and on the table. Diamonds: means with "
        "their 95% bootstrap interval over seeds. Above: mean difference, shared minus table, in "
        "percentage points; p of Wilcoxon's signed-rank test, two-sided. The table's search "
        "maximised these very accuracies, the other did not: see `nasbench-evo retrain`."
        + ("" if best is None else f" Dotted: the best cell of the table, {best:.2f} %."),
    )
    return drawing


def _pairs(axes: Axes, algorithm: str, result: PairedSearches) -> None:
    """Draw one algorithm: a line a seed, and both means beside."""
    colour = style.colour(algorithm)
    pairs = np.array(result.accuracies)  # [n, 2]
    axes.plot([0, 1], pairs.T, color=style.OTHER, linewidth=0.9, alpha=0.7, zorder=2)
    for side, mean in enumerate((result.shared, result.table)):
        fill = colour if side == 0 else style.background()
        axes.plot(
            np.full(len(pairs), side),
            pairs[:, side],
            "o",
            markersize=5,
            markerfacecolor=fill,
            markeredgecolor=colour,
            zorder=3,
        )
        axes.errorbar(
            side + (_AWAY if side else -_AWAY),
            mean.estimate,
            yerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]],
            fmt="D",
            markersize=6,
            capsize=3,
            color=style.foreground(),
            markerfacecolor=fill,
            zorder=4,
        )
    estimate, low, high = result.difference
    difference = f"{estimate:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
    name = textwrap.fill(f"{algorithm} (n = {result.n})", _LETTERS)
    axes.set_title(f"{name}\n{difference}, p = {result.p:.2g}")
    axes.set_xticks([0, 1], ["shared weights", "table"])
    axes.set_xlim(-0.4, 1.4)
    axes.grid(visible=False, axis="x")
