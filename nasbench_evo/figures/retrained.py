"""Fresh trainings: the ranking by shared weights held against them, and what searches found."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_evo.figures import style
from nasbench_evo.results.retrained import SHARED, Agreement, Judged, Reference, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 1.06  # factor between points at the same epoch
_ROW = 40  # letters of a row's name


def draw(study: Study, folder: Path) -> list[Path]:
    """Write both figures into `folder`; return the paths."""
    with style.using():
        paths = style.save(tau_study(study.agreements(), study.references()), folder / "tau_study")
        return paths + style.save(cells(study.judged()), folder / "retrained_cells")


def tau_study(agreements: list[Agreement], references: list[Reference]) -> Figure:
    """Return tau-b against the supernet's epochs, a panel for each BatchNorm mode and truth length.

    Call it inside `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    modes = list(dict.fromkeys(one.batch_norm for one in agreements))
    lengths = [one.truth_epochs for one in references]
    size = style.sized(3.0 * len(modes) + 0.6, 2.9 * len(lengths) + 0.8)
    drawing = Figure(figsize=size, layout="constrained")
    grid = drawing.subplots(len(lengths), len(modes), squeeze=False, sharex=True, sharey=True)
    for line, reference in zip(grid, references, strict=True):
        for axes, mode in zip(line, modes, strict=True):
            own = [
                one
                for one in agreements
                if (one.batch_norm, one.truth_epochs) == (mode, reference.truth_epochs)
            ]
            _panel(axes, own, reference)
        line[0].set_ylabel(f"tau-b, truth of {reference.truth_epochs} epochs")
    for axes, mode in zip(grid[0], modes, strict=True):
        axes.set_title(f"BatchNorm: {mode}", fontsize=style.text(9))
    for axes in grid[-1]:
        axes.set_xlabel("epochs of the supernet")
    style.legend(drawing)
    first = agreements[0]
    style.note(
        drawing,
        f"Kendall's tau-b between accuracies of {first.cells} random cells with shared weights and "
        f"the mean of {first.truth_trainings} fresh trainings each; "
        f"{_over(first.runs, 'supernet')}, bars: 95% bootstrap interval over cells. Grey: "
        "two single trainings against each other, over distinct classes; a reference, no ceiling.",
    )
    return drawing


def _panel(axes: Axes, agreements: list[Agreement], reference: Reference) -> None:
    estimate, low, high = reference.single
    axes.axhspan(low, high, color=style.OTHER, alpha=0.15, linewidth=0)
    axes.axhline(
        estimate, color=style.OTHER, linestyle=style.DASHES[1], label="one training against another"
    )
    axes.axhline(0.0, color=style.OTHER, linewidth=0.8)
    groups: dict[str, list[Agreement]] = {}
    for one in agreements:
        name = f"{one.sampling} paths" if one.sampling else one.label
        groups.setdefault(name, []).append(one)
    colours = style.levels(len(groups))
    for i, (name, own) in enumerate(groups.items()):
        own.sort(key=lambda one: one.epochs)
        look: dict[str, Any] = {
            "color": colours[i],
            "marker": style.MARKERS[i % len(style.MARKERS)],
            "linestyle": "-" if len(own) > 1 else "",
        }
        shift = _APART ** (i - (len(groups) - 1) / 2)
        known = [one for one in own if not math.isnan(one.tau)]
        axes.errorbar(
            [one.epochs * shift for one in known],
            [one.tau for one in known],
            yerr=[
                [max(0.0, one.tau - one.low) for one in known],
                [max(0.0, one.high - one.tau) for one in known],
            ],
            capsize=2,
            markersize=4.5,
            label=name,
            **look,
        )
    axes.set_xscale("log")
    epochs = sorted({one.epochs for one in agreements})
    axes.set_xticks(epochs, [str(e) for e in epochs])
    axes.minorticks_off()


def cells(judged: list[Judged]) -> Figure:
    """Return the accuracy that the table recorded of final cells beside their fresh trainings.

    Call it inside `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    rows = list(dict.fromkeys((one.label, one.searched) for one in judged))
    lengths = sorted({one.epochs for one in judged})
    size = style.sized(7.2, 0.42 * len(rows) + 1.9)
    drawing = Figure(figsize=size, layout="constrained")
    axes = drawing.subplots()
    colours = style.levels(len(lengths))
    for one in judged:
        y = rows.index((one.label, one.searched))
        i = lengths.index(one.epochs)
        fill = colours[i] if one.searched == SHARED else style.background()
        mean, low, high = one.fresh
        bar = None if math.isnan(low) else [[mean - low], [high - mean]]
        axes.errorbar(
            mean,
            y + 0.13 * (i + 1),
            xerr=bar,
            fmt=style.MARKERS[i],
            color=colours[i],
            markerfacecolor=fill,
            capsize=2,
            markersize=5.5,
            label=f"fresh, {one.epochs} epochs" if y == 0 else None,
        )
        if i == 0:
            axes.plot(
                one.recorded,
                y - 0.13,
                "x",
                color=style.foreground(),
                label="recorded in the table" if y == 0 else None,
            )
    names = [textwrap.fill(f"{label}, on {searched}", _ROW) for label, searched in rows]
    axes.set_yticks(
        range(len(rows)),
        names,
        fontsize=style.text(7),
    )
    axes.invert_yaxis()
    axes.set_xlabel("validation accuracy of the final cells (%)")
    style.legend(drawing)
    first = judged[0]
    style.note(
        drawing,
        f"{_over(first.runs, 'run').capitalize()}, {first.trainings} fresh trainings of each cell"
        + ("; bars: 95% bootstrap interval over runs. " if first.runs > 1 else ". ")
        + "Open: searched on the table, whose recorded accuracies "
        "that search maximised.",
    )
    return drawing


def _over(n: int, what: str) -> str:
    return f"one {what}" if n == 1 else f"mean over {n} {what}s"
