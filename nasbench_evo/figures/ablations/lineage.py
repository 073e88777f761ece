"""Parents and children of Genetic CNN (its Fig. 4): do good parents have good children?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.analysis import statistics
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.figures import style
from nasbench_evo.randomness import stream
from nasbench_evo.replays.generations import Born, Repeated, correlation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Births = Sequence[Born]
_BELOW_BEST = 12.0  # percentage points: births that are worse are counted, not drawn
_DRAWN = 1500  # points; more only make a blot
_KINDS = {"mutation": ("#0072B2", "o"), "crossover": ("#D55E00", "^")}


def correlations(by_run: Sequence[Births]) -> dict[str, tuple[Interval, int]]:
    """Return by kind the mean over runs of Spearman's rho, with its interval, and the runs counted.

    Runs with fewer than 5 births of a kind, or without spread, are not counted.
    """
    result = {}
    for kind in _KINDS:
        of_kind = [[birth for birth in births if birth[0] == kind] for births in by_run]
        values = [rho for rho in map(correlation, of_kind) if np.isfinite(rho)]
        if len(values) >= 2:
            rng = stream(0, "bootstrap of the lineage").generator
            interval = statistics.bootstrap_interval(values, "mean", rng=rng)
            result[kind] = (interval, len(values))
    return result


def scatter(found: Repeated) -> tuple[Figure, str]:
    """Return children against parents, and the caption. Call it inside `style.using`.

    How many births lie more than 12 points below the best cell of a table is said.
    """
    drawing, (axes,) = style.panels(1, (4.6, 4.0), (0, 0.7))
    unit, by_run = found.runs.unit, [one.births for one in found.replayed]
    every = [birth for births in by_run for birth in births]
    floor = _floor(found, every)
    step = max(1, len(every) // _DRAWN)
    for kind, (colour, marker) in _KINDS.items():
        shown = np.array([(p, c) for k, p, c in every[::step] if k == kind]).reshape(-1, 2)
        axes.scatter(
            shown[:, 0], shown[:, 1], s=9, color=style.legible(colour), marker=marker,
            alpha=0.35, linewidths=0, label=kind,
        )  # fmt: skip
    top = max(max(p, c) for _, p, c in every) if every else floor + 1
    axes.plot([floor, top], [floor, top], color=style.foreground(), linewidth=0.9, linestyle=":")
    axes.set_xlim(floor, top + 0.3)
    axes.set_ylim(floor, top + 0.3)
    axes.set_aspect("equal")
    axes.set_xlabel("parent (mean of both in a crossover), accuracy (%)")
    axes.set_ylabel("child, accuracy (%)")
    title = style.broken(f"{unit.row.label}, {unit.dataset}")
    style.legend(drawing, title=title, markerscale=2)
    for handle in drawing.legends[0].legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # points are faint where they are many
    hidden = sum(min(p, c) < floor for _, p, c in every)
    text = (
        f"Validation accuracy ({found.judge.words}) of parents and of children that differ from "
        f"them: one in {step} of the {len(every)} births in {len(by_run)} runs; {hidden} births "
        f"lie below {floor:g}%. Dotted: equal."
    )
    style.note(drawing, text)
    return drawing, text


def _floor(found: Repeated, every: Births) -> float:
    """Return the lowest accuracy that is drawn, percent."""
    if found.judge.best is not None:
        return round(found.judge.best - _BELOW_BEST)
    return math.floor(min((min(p, c) for _, p, c in every), default=0.0))


def sentence(found: Repeated) -> str:
    """Return what the correlations say."""
    unit, by_run = found.runs.unit, [one.births for one in found.replayed]
    parts = [
        f"{kind} {value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}] ({n} runs)"
        for kind, (value, n) in correlations(by_run).items()
    ]
    return (
        f"{unit.dataset}, {unit.row.label}: Spearman correlation of a child's accuracy "
        f"with its parents', mean over runs with 95% bootstrap interval: {', '.join(parts)}."
    )
