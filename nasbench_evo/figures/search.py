"""One search: what it was told, and the incumbent that it held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(
    title: str,
    spent: Sequence[float],
    values: Sequence[float],
    incumbent: Sequence[tuple[float, float]],
    measure: str,
    *,
    algorithm: str,
    logarithmic: bool,
) -> Figure:
    """Return the figure of one search; call it inside `style.using`.

    `spent` [n] evaluations and `values` [n] of every answer; `incumbent` are the (evaluations,
    value) where it changed; `measure` names the value. Regrets (`logarithmic`) of zero are drawn at
    the lower edge.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    drawing = Figure(figsize=style.sized(5.6, 3.4), layout="constrained")
    axes = drawing.subplots()
    x, y = np.array(spent), np.array(values, dtype=float)
    at, held = (np.array(part, dtype=float) for part in zip(*incumbent, strict=True))
    if logarithmic:
        above = np.concatenate([y[y > 0], held[held > 0], [np.inf]]).min()
        floor = 0.5 * above if np.isfinite(above) else 1e-3
        y, held = np.maximum(y, floor), np.maximum(held, floor)
        axes.set_yscale("log")
    colour = style.colour(algorithm)
    axes.plot(x, y, ".", color=style.OTHER, markersize=3, alpha=0.6, label="each answer")
    at, held = np.append(at, x[-1]), np.append(held, held[-1])
    axes.step(at, held, where="post", color=colour, linewidth=1.8, label="incumbent")
    if logarithmic:
        style.log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_title(title, loc="left")
    axes.set_xlabel("evaluations (full trainings)")
    axes.set_ylabel(measure)
    axes.legend(loc="best")
    words = f"{title}: {measure} of every genotype that was asked for (dots) and of the incumbent."
    style.describe(drawing, f"{words} Zero is drawn at the lower edge." if logarithmic else words)
    return drawing
