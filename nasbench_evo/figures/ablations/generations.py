"""Progress by generation: quality of what stands for a generation, and single runs in detail."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.algorithms.generations import Generation, Generational
from nasbench_evo.figures import style
from nasbench_evo.replays.generations import Repeated
from nasbench_evo.results.ablation import Factor, Runs
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.spaces import Genotype

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Found = Mapping[tuple[str, str], Repeated]  # by row label and data set
_ACCURACY, _PHASE = "#0072B2", "#D55E00"  # colours of one run
_SHOWN = 12.0  # percentage points below the best cell
_ABOVE = 0.5  # points that a frame has above its highest
_ENOUGH = 0.9  # of the runs must have reached a generation for it to be drawn


def quality(found: Repeated) -> list[Array]:
    """Return for each run what stands for its generations, as judged; percent, [generations].

    It is the champion's accuracy, or the average over the members (see `Generational`).
    """
    generational = found.runs.unit.row.configured.generational
    averaged = generational is not None and generational.averaged
    return [
        np.array([_average(found, one) if averaged else _of(found, one) for one in run])
        for run in found.generations
    ]


def _of(found: Repeated, one: Generation[Genotype]) -> float:
    return found.judge.accuracy(one.champion)


def _accuracies(found: Repeated, one: Generation[Genotype]) -> list[float]:
    return [found.judge.accuracy(member) for member in one.members]


def _average(found: Repeated, one: Generation[Genotype]) -> float:
    return float(np.mean(_accuracies(found, one)))


def aligned(values: Sequence[Array]) -> Array:
    """Return runs [n, generations] as far as most runs go; a run that ended keeps its last value.

    Most is 90 of 100.
    """
    lengths = np.sort([len(value) for value in values])
    last = int(lengths[len(lengths) - math.ceil(_ENOUGH * len(lengths))])
    rows = [np.concatenate([v[:last], np.full(max(0, last - len(v)), v[-1])]) for v in values]
    return np.stack(rows)


def progress(
    factor: Factor, generational: Generational, runs: Runs, found: Found
) -> tuple[Figure, str]:
    """Return one line a level, a panel a data set, with its interval, and the caption.

    EIGEN's Fig. 3, Genetic CNN's Fig. 3 and EG-NAS's Fig. 3. Call it inside `style.using`.
    """
    datasets = runs.suite.datasets
    drawing, panels = style.panels(len(datasets), (3.2, 2.8), (0.8, 1.1), least=4.6)
    colours = style.levels(len(factor.levels))
    seeds, judge = 0, next(iter(found.values())).judge  # all say the same of what they judge by
    for axes, dataset in zip(panels, datasets, strict=True):
        lows, best = [], None
        for i, level in enumerate(factor.levels):
            key = (level.row, dataset)
            if key not in found:
                continue
            best = found[key].judge.best
            values = aligned(quality(found[key]))
            seeds = max(seeds, len(values))
            lows.append(_line(axes, values, colours[i], i, level.text))
        if best is not None:
            _frame(axes, best, lows)
        axes.set_title(dataset)
        axes.set_xlabel(generational.name)
    for axes in style.first_column(panels):
        axes.set_ylabel("mean validation accuracy (%)")
    style.legend(drawing, title=f"{factor.shown} ({factor.preset})")
    text = (
        f"Accuracy of the {generational.shown} by {generational.name}, percent ({judge.words}); "
        f"mean of {seeds} runs, bands: its 95% bootstrap interval. Lines end where fewer than 90% "
        "of the runs go on; runs that ended keep their last value."
    )
    if judge.best is not None:
        text += " Dotted: the best cell of the table."
    style.note(drawing, text)
    return drawing, text


def _line(axes: Axes, values: Array, colour: object, i: int, label: str) -> float:
    """Draw one level; return the accuracy in the middle of its line."""
    mean, low, high = map(np.array, zip(*mean_intervals(list(values.T)), strict=True))
    x = np.arange(len(mean))
    axes.plot(
        x, mean, color=colour, label=label, marker=style.MARKERS[i % len(style.MARKERS)],
        markersize=4, markevery=max(1, len(x) // 6), linestyle=style.DASHES[i % 2], linewidth=1.5,
    )  # fmt: skip
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    return float(mean[len(mean) // 2])


def _frame(axes: Axes, best: float, lows: Sequence[float]) -> None:
    """Frame the accuracies of interest: the start from poor cells would hide the rest."""
    axes.axhline(best, color=style.foreground(), linestyle=(0, (1, 2)), linewidth=1)
    if lows:
        low = best - 1.6 * (best - min(lows))
        axes.set_ylim(low, best + 0.06 * (best - low))


def succession(repeated: Repeated) -> tuple[Figure, str]:
    """Return one EIGEN run as its Fig. 4 shows it, and the caption. Inside `style.using`.

    The accuracy of the parent, the parameters of every individual, the end of the primary
    succession.
    """
    from matplotlib.figure import Figure

    runs, found = repeated.runs, repeated.generations[0]
    configured = runs.unit.row.configured
    drawing = Figure(figsize=style.sized(5.6, 3.5), layout="constrained")
    axes = drawing.subplots()
    right = axes.twinx()
    x = np.arange(len(found))
    _parameters(right, repeated)
    accuracy = [_of(repeated, one) for one in found]
    line, end_of = style.legible(_ACCURACY, words=True), style.legible(_PHASE, words=True)
    axes.plot(x, accuracy, color=line, linewidth=1.8, marker="o", markersize=3)
    axes.set_ylim(min(accuracy[1:] or accuracy) - 0.4, max(accuracy) + 0.2)
    axes.set_zorder(right.get_zorder() + 1)
    axes.patch.set_visible(False)
    for end, phase in configured.phase_ends([generation.best for generation in found]).items():
        axes.axvline(end, color=end_of, linewidth=1.4)
        axes.text(
            end, 0.03, f" {phase} ends", color=end_of, fontsize=style.text(8),
            transform=axes.get_xaxis_transform(),
            bbox={"facecolor": style.background(), "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    axes.set_xlabel("generation")
    axes.set_ylabel("accuracy of the parent (%)", color=line)
    axes.set_title(
        f"{runs.unit.row.label}, {runs.unit.dataset}", loc="left", fontsize=style.text(9)
    )
    text = (
        f"One EIGEN run (seed {repeated.replayed[0].seed}): mean validation accuracy of the best "
        "individual so far (line, left axis) and the parameters of every individual that was "
        "trained at all in a generation (dots, right axis). The poorest individual, with which the "
        f"run starts, has {accuracy[0]:.1f}%: below the frame."
    )
    style.note(drawing, text)
    return drawing, text


def _parameters(axes: Axes, found: Repeated) -> None:
    """Draw the parameters of every individual of every generation of a run, in millions."""
    dots = [(i, m) for i, g in enumerate(found.generations[0]) for m in dict.fromkeys(g.members)]
    sizes = [found.judge.parameters(m) / 1e6 for _, m in dots]
    x = [i for i, _ in dots]
    axes.scatter(x, sizes, s=9, color=style.OTHER, alpha=0.45, linewidths=0)
    axes.set_ylabel(
        "parameters of each individual (millions)", color=style.legible(style.OTHER, words=True)
    )
    axes.grid(visible=False)
    axes.spines["right"].set_visible(True)


def population(found: Mapping[str, Repeated]) -> tuple[Figure, str]:
    """Return average, best and worst of the population by generation, and the caption.

    Genetic CNN's Fig. 3: a line for each row label, a band from the worst to the best individual.
    Call it inside `style.using`.
    """
    first = next(iter(found.values()))
    unit, best = first.runs.unit, first.judge.best
    drawing, (axes,) = style.panels(1, (6.4, 3.0), (0, 0.9))
    colours = style.levels(len(found))
    for i, (text, some) in enumerate(found.items()):
        average, worst, highest = (
            aligned(
                [np.array([f(_accuracies(some, g)) for g in run]) for run in some.generations]
            ).mean(axis=0)
            for f in (np.mean, np.min, np.max)
        )
        x = np.arange(len(average))
        look = {"color": colours[i], "linestyle": style.DASHES[i % 2]}
        axes.plot(
            x, average, marker=style.MARKERS[i], markersize=4, linewidth=1.6, label=text,
            markevery=max(1, len(x) // 10), **look,
        )  # fmt: skip
        axes.fill_between(x, worst, highest, color=colours[i], alpha=0.13, linewidth=0)
        for edge in (worst, highest):
            axes.plot(x, edge, linewidth=0.7, **look)
    axes.set_xlabel("generation")
    axes.set_ylabel("mean validation accuracy (%)")
    style.legend(drawing, title=f"{unit.row.shown}, {unit.dataset}")
    text = (
        f"Average over the population by generation, and a band from its worst to its best "
        f"individual; each the mean over {len(first.generations)} runs, percent "
        f"({first.judge.words})."
    )
    if best is not None:
        axes.set_ylim(best - _SHOWN, best + _ABOVE)
        axes.axhline(best, color=style.foreground(), linestyle=(0, (1, 2)), linewidth=1)
        text += (
            " Dotted: the best cell of the table. "
            f"What is {_SHOWN:g} points worse is outside the frame."
        )
    style.note(drawing, text)
    return drawing, text
