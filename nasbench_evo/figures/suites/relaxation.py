"""What searches on relaxations did to their alpha, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_evo.algorithms.relaxations import CHANGED, DECIDED, EPOCH, LARGEST, is_note
from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.figures import style
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.runs import Run, UnitRuns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST = 5  # steps of a course worth drawing
_MOST = 8  # rows: more lines cannot be told apart
_ENOUGH = 0.5  # of the runs must have had an epoch
_BAND = (10, 90)  # percent of the runs
_PANELS = (
    (LARGEST, "max |alpha|"),
    (DECIDED, "largest softmax of an edge, mean"),
    (CHANGED, "runs whose argmax changed (%)"),
)


def has(collected: Sequence[UnitRuns]) -> bool:
    """Whether runs noted steps enough of an alpha."""
    return bool(_drawn(collected))


def figure(collected: Sequence[UnitRuns]) -> Figure:
    """Return a panel for each of the three figures of alpha, a line a row, by epoch.

    Lines are medians over runs, bands go from the 10th to the 90th percentile; of the argmax the
    share of runs. Call it inside `style.using`.
    """
    from matplotlib.ticker import MaxNLocator

    every = _drawn(collected)
    shown = every[:_MOST]
    drawing, panels = style.panels(len(_PANELS), (3.2, 2.8), (0, 1.1))
    labels = short_labels([runs.unit.row for runs in shown])
    colours = style.levels(len(shown))
    for i, (runs, label) in enumerate(zip(shown, labels, strict=True)):
        epochs, values = _course(runs.records)
        for axes, (key, _) in zip(panels, _PANELS, strict=True):
            found = values[key]
            share = 100 * np.nanmean(found, axis=0)
            line = share if key == CHANGED else np.nanmedian(found, axis=0)
            axes.plot(
                epochs, line, color=colours[i], linestyle=style.DASHES[i % len(style.DASHES)],
                marker=style.MARKERS[i % len(style.MARKERS)], markersize=3.5, label=label,
                markevery=max(1, len(epochs) // 8),
            )  # fmt: skip
            if key != CHANGED:
                low, high = np.nanpercentile(found, _BAND, axis=0)
                axes.fill_between(epochs, low, high, color=colours[i], alpha=0.12, linewidth=0)
    for axes, (key, title) in zip(panels, _PANELS, strict=True):
        axes.set_title(title, loc="left", fontsize=style.text(9))
        axes.set_xlabel("epoch of the search")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if key == LARGEST:
            axes.set_yscale("log")
            style.log_ticks(axes.yaxis, *axes.get_ylim())
        else:
            axes.set_ylim(*((-4, 104) if key == CHANGED else (0, 1.04)))
    style.legend(drawing)
    counts = sorted({len(runs.records) for runs in shown})
    text = (
        "What each step did to the logits alpha of a relaxation, on "
        f"{shown[0].unit.dataset}: medians over {' to '.join(map(str, counts))} runs, bands from "
        "the 10th to the 90th percentile; right, in how many runs the strongest operation of an "
        "edge changed. Where the largest softmax is 1 and nothing changes, alpha is frozen."
    )
    if len(every) > len(shown):
        text += f" The first {len(shown)} of {len(every)} rows."
    style.note(drawing, text)
    return drawing


def _drawn(collected: Sequence[UnitRuns]) -> list[UnitRuns]:
    """Return the rows whose runs have a course to draw."""
    return [
        runs
        for runs in collected
        if runs.records and max(len(_steps(run)) for run in runs.records) >= _FEWEST
    ]


def _steps(run: Run) -> list[Mapping[str, Any]]:
    return [values for values in run.data.get("epochs", ()) if is_note(values)]


def _course(records: Sequence[Run]) -> tuple[Array, dict[str, Array]]:
    """Return the epochs [e] that most runs had, and each figure [n, e], NaN where a run ended."""
    steps = [{values[EPOCH]: values for values in _steps(run)} for run in records]
    seen = sorted(set().union(*steps))
    epochs = [e for e in seen if sum(e in one for one in steps) >= _ENOUGH * len(steps)]
    unknown = dict.fromkeys((key for key, _ in _PANELS), np.nan)
    found = {
        key: np.array([[one.get(e, unknown)[key] for e in epochs] for one in steps], dtype=float)
        for key in unknown
    }
    return np.array(epochs, dtype=float), found
