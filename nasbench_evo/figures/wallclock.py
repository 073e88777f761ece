"""Mean regret against hours of the simulated clock, on one worker and on K."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_evo.figures import style
from nasbench_evo.replays.wallclock import WallclockRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 7  # each is drawn once for every number of workers
_MARKS = 6
_FLOOR = 0.5  # the lowest regret drawn, as a share of the lowest that is not zero

Curves = dict[tuple[str, str], list[WallclockRow]]  # (algorithm, preset) -> points, in time


def draw(rows: Sequence[WallclockRow], path: Path, *, look: str = "paper") -> list[Path]:
    """Write the figure at `path` plus each format's ending; return the paths."""
    with style.using(look):
        return style.save(figure(rows), path)


def figure(rows: Sequence[WallclockRow]) -> Figure:
    """Return one panel a data set: solid lines on most workers, dotted ones on fewer.

    Of many rows the best of each algorithm is drawn: the one with the lowest regret in the end, on
    most workers, over the data sets. Call it inside `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    datasets = list(dict.fromkeys(row.dataset for row in rows))
    workers = sorted({row.workers for row in rows}, reverse=True)
    width = max(4.1 * len(datasets), 6.4)
    drawing = Figure(figsize=style.sized(width, 4.6), layout="constrained")
    panels = drawing.subplots(1, len(datasets), squeeze=False)[0]
    chosen = _selected(rows)
    drawn = [row for row in rows if (row.algorithm, row.preset) in chosen]
    looks = _looks(drawn)
    for axes, dataset in zip(panels, datasets, strict=True):
        _panel(axes, [row for row in drawn if row.dataset == dataset], workers, looks)
        axes.set_title(dataset)
        axes.set_xlabel("simulated hours")
    panels[0].set_ylabel("mean regret (percentage points)")
    handles = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawing.legend(
        handles.values(), handles, loc="outside upper left", ncols=2, fontsize=8, handlelength=3.4
    )
    style.note(drawing, caption(rows, reduced=len(drawn) < len(rows)))
    return drawing


def caption(rows: Sequence[WallclockRow], *, reduced: bool = False) -> str:
    """Return what the figure shows: clock, units, number of runs, meaning of lines and bands."""
    workers = " and ".join(str(k) for k in sorted({row.workers for row in rows}, reverse=True))
    text = (
        f"Searches on {workers} simulated workers (solid, then dotted); the clock is the table's "
        "training times. Regret of the best cell finished by then, percentage points; mean of "
        f"{max(row.n for row in rows)} runs, bands: 95% bootstrap interval of the mean. "
        "asynchronous: a free worker gets work at once; the others wait for their generation. "
        "Both axes logarithmic."
    )
    return text + (" Of each algorithm the best row is drawn." if reduced else "")


def _looks(rows: Sequence[WallclockRow]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the colour and the marker of each row; rows of an algorithm share the colour."""
    keys = dict.fromkeys((row.algorithm, row.preset) for row in rows)
    return {
        key: (style.colour(key[0]), style.MARKERS[i % len(style.MARKERS)])
        for i, key in enumerate(keys)
    }


def _curves(rows: Sequence[WallclockRow], workers: int) -> Curves:
    found: Curves = {}
    for row in rows:
        if row.workers == workers:
            found.setdefault((row.algorithm, row.preset), []).append(row)
    return found


def _selected(rows: Sequence[WallclockRow]) -> set[tuple[str, str]]:
    """Return the (algorithm, preset) that can be shown: all, or the best of each algorithm."""
    workers = max(row.workers for row in rows)
    last = {  # the last point of a curve stays
        (row.algorithm, row.preset, row.dataset): row.mean_regret
        for row in rows
        if row.workers == workers
    }
    total: dict[tuple[str, str], float] = {}
    for (algorithm, preset, _), regret in last.items():
        total[algorithm, preset] = total.get((algorithm, preset), 0.0) + regret
    if len(total) <= _MOST_ROWS:
        return set(total)
    best: dict[str, tuple[str, str]] = {}
    for key in sorted(total, key=lambda key: total[key]):
        best.setdefault(key[0], key)
    return set(best.values())


def _panel(
    axes: Axes,
    rows: Sequence[WallclockRow],
    workers: Sequence[int],
    looks: dict[tuple[str, str], tuple[str, str]],
) -> None:
    lowest = np.inf
    for i, k in enumerate(workers):
        for key, points in _curves(rows, k).items():
            lowest = min(lowest, *(p.mean_regret for p in points if p.mean_regret > 0), np.inf)
            _line(axes, points, style.DASHES[2] if i else "-", looks[key])
    axes.set_xscale("log")
    axes.set_yscale("log")
    if np.isfinite(lowest):
        axes.set_ylim(bottom=max(lowest * _FLOOR, 1e-6))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_formatter("{x:g}")


def _line(axes: Axes, points: list[WallclockRow], dash: Any, look: tuple[str, str]) -> None:
    first, (colour, marker) = points[0], look
    hours = np.array([point.seconds for point in points]) / 3600
    mean = np.array([point.mean_regret for point in points])
    waits = "asynchronous" if first.asynchronous else "generations"
    axes.plot(
        hours,
        np.where(mean > 0, mean, np.nextafter(0, 1)),  # zero has no place on a log axis
        color=colour,
        linestyle=dash,
        marker=marker,
        markevery=max(1, len(points) // _MARKS),
        markersize=4,
        label=f"{first.algorithm} ({first.preset}), K={first.workers}, {waits}",
    )
    if first.n > 1:
        low, high = ([getattr(p, name) for p in points] for name in ("regret_low", "regret_high"))
        axes.fill_between(hours, low, high, color=colour, alpha=0.13, linewidth=0)
