"""How rows compare run by run: performance profiles, and P(better) of every pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.analysis import statistics
from nasbench_evo.figures import style
from nasbench_evo.results.finals import Finals, improvements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST = 14  # rows: more cannot be told apart
_POINTS = 120
_MARKS = 7  # on a line, so that lines are told apart in grey


def _reduced(found: Finals) -> str:
    return " Of each algorithm the best row is drawn." if len(found.rows) > MOST else ""


def profiles(found: Finals) -> Figure:
    """Return the share of runs whose loss is at most a threshold, a panel a data set.

    Performance profiles as in Agarwal et al. 2021. Call it inside `style.using`.
    """
    best = found.best(MOST)
    rows = [label for label in found.algorithms if label in best]
    drawing, panels = style.panels(len(found.losses), (4.1, 3.2), (0, 1.3), least=6.4)
    looks = style.looks([(found.algorithms[label], label) for label in rows])
    for axes, dataset in zip(panels, found.losses, strict=True):
        every = np.concatenate([found.values(dataset, label) for label in rows])
        positive = every[every > 0]
        low, high = (positive.min() * 0.8, positive.max()) if len(positive) else (0.01, 1.0)
        points = np.geomspace(low, max(high, 1.01 * low), _POINTS)
        for k, label in enumerate(rows):
            share, under, over = (
                100 * statistics.shares_at_most(found.values(dataset, label), points).T
            )
            axes.plot(points, share, **looks[label].line, label=label, markersize=4, linewidth=1.5,
                      markevery=(k * 3 % _MARKS, _POINTS // _MARKS))  # fmt: skip
            axes.fill_between(points, under, over, color=looks[label].colour, alpha=0.07,
                              linewidth=0)  # fmt: skip
        axes.set_xscale("log")
        axes.set_ylim(0, 102)
        style.log_ticks(axes.xaxis, *axes.get_xlim())
        axes.set_title(dataset)
        axes.set_xlabel(style.broken(found.measure))
    for axes in style.first_column(panels):
        axes.set_ylabel("runs at or below (%)")
    style.legend(drawing)
    style.note(
        drawing,
        f"Performance profiles (Agarwal et al. 2021): the share of {found.runs} runs a row whose "
        f"final {found.measure.partition(' (')[0]} is at most what the axis says; higher is "
        "better. Bands: Wilson's 95% interval of a share. Where a line begins above zero, that "
        f"share of the runs reached zero.{_reduced(found)}",
    )
    return drawing


def matrix(found: Finals) -> Figure:
    """Return P(better) of every pair of rows. Call it inside `style.using`."""
    compared = improvements(found, MOST)
    n = len(compared.rows)
    numbers = range(1, n + 1)
    labels = [
        style.broken(f"{label}  {i}") for i, label in zip(numbers, compared.rows, strict=True)
    ]
    size = (0.45 * n + 0.4, style.row_height(labels, 0.3) * n + 0.3)
    drawing, (axes,) = style.panels(1, size, (2.4, 0.6), lists=True)
    image = axes.imshow(100 * compared.probabilities, cmap="PuOr", vmin=0, vmax=100, aspect="auto")
    _write(axes, image, compared.probabilities, compared.clear)
    axes.set_xticks(range(n), list(map(str, numbers)), fontsize=style.text(8))
    axes.xaxis.tick_top()
    axes.set_yticks(range(n), labels, fontsize=style.text(8))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    datasets = len(found.losses)
    style.note(
        drawing,
        "Probability, percent, that a run of the row at the left has less final "
        f"{found.measure.partition(' (')[0]} than a run of the row whose number is above (ties "
        "count one half); "
        + (f"mean over {datasets} data sets, " if datasets > 1 else "")
        + f"{found.runs} runs a row. Bold: told apart from 50 at 5% (stratified Mann-Whitney "
        f"test, Holm-corrected over all pairs).{_reduced(found)}",
    )
    return drawing


def _write(axes: Axes, image: AxesImage, values: np.ndarray, clear: np.ndarray) -> None:
    """Write each percentage into its field, in ink that can be read on it."""
    for (i, j), value in np.ndenumerate(values):
        if i == j:
            continue
        ink = style.ink_on(image.to_rgba(100 * value))
        weight = "bold" if clear[i, j] else "normal"
        axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", color=ink, weight=weight,
                  fontsize=style.text(7.5))  # fmt: skip
