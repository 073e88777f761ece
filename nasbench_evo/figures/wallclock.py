"""Mean regret against hours of the simulated clock, on one worker and on K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.figures import style
from nasbench_evo.replays.wallclock import WallclockRow
from nasbench_evo.results.rows import BASELINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 7  # each is drawn once for every number of workers
_MARKS = 6
_CEILING = 1.5  # the highest regret drawn, as a multiple of random search's at the start
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
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    workers = sorted({row.workers for row in rows}, reverse=True)
    drawing, panels = style.panels(len(datasets), (4.1, 3.4), (0, 1.2), least=6.4)
    chosen = _selected(rows)
    drawn = [row for row in rows if (row.algorithm, row.preset) in chosen]
    looks = style.looks([(row.algorithm, _name(row)) for row in drawn])
    for axes, dataset in zip(panels, datasets, strict=True):
        _panel(axes, [row for row in drawn if row.dataset == dataset], workers, looks)
        axes.set_title(dataset)
        axes.set_xlabel("simulated hours")
    for axes in style.first_column(panels):
        axes.set_ylabel("mean regret (percentage points)")
    style.legend(drawing)
    style.note(drawing, caption(rows, reduced=len(drawn) < len(rows)))
    return drawing


def caption(rows: Sequence[WallclockRow], *, reduced: bool = False) -> str:
    """Return what the figure shows: clock, units, number of runs, meaning of lines and bands."""
    numbers = sorted({row.workers for row in rows}, reverse=True)
    text = (
        f"Regret of the best cell finished by then, percentage points, against the table's "
        f"training times; mean of {max(row.n for row in rows)} runs, bands: 95% bootstrap interval "
        "of the mean. Both axes logarithmic."
    )
    if len(numbers) > 1:
        text += (
            f" On {' and '.join(map(str, numbers))} simulated workers (solid, then dotted). "
            "asynchronous: a free worker gets work at once; the others wait for their generation."
        )
    else:
        text += f" On {numbers[0]} simulated worker{'s' * (numbers[0] > 1)}."
    return text + (" Of each algorithm the best row is drawn." if reduced else "")


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
    looks: Mapping[str, style.Look],
) -> None:
    lowest = np.inf
    for i, k in enumerate(workers):
        for points in _curves(rows, k).values():
            lowest = min(lowest, *(p.mean_regret for p in points if p.mean_regret > 0), np.inf)
            look = looks[_name(points[0])]
            if len(workers) > 1:
                look = look._replace(dashes=style.DASHES[2] if i else "-")
            _line(axes, points, look, counted=len(workers) > 1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if np.isfinite(lowest):
        axes.set_ylim(bottom=max(lowest * _FLOOR, 1e-6))
    starts = [row.mean_regret for row in rows if row.algorithm == BASELINE]
    if starts:
        axes.set_ylim(top=_CEILING * max(starts))
    style.log_ticks(axes.xaxis, *axes.get_xlim())
    style.log_ticks(axes.yaxis, *axes.get_ylim())


def _name(row: WallclockRow) -> str:
    return f"{row.algorithm} ({row.preset})"


def _line(axes: Axes, points: list[WallclockRow], look: style.Look, *, counted: bool) -> None:
    """Draw a curve; where numbers of workers are compared (`counted`) its name says them."""
    first = points[0]
    hours = np.array([point.seconds for point in points]) / 3600
    mean = np.array([point.mean_regret for point in points])
    waits = "asynchronous" if first.asynchronous else "generations"
    axes.plot(
        hours,
        np.where(mean > 0, mean, np.nextafter(0, 1)),  # zero has no place on a log axis
        **look.line,
        markevery=max(1, len(points) // _MARKS),
        markersize=4,
        label=_name(first) + (f", K={first.workers}, {waits}" if counted else ""),
    )
    if first.n > 1:
        low, high = ([getattr(p, name) for p in points] for name in ("regret_low", "regret_high"))
        axes.fill_between(hours, low, high, color=look.colour, alpha=0.13, linewidth=0)
