"""The diagram of average ranks: rows on an axis, bars over what is not told apart (Demsar 2006)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.figures import style
from nasbench_evo.results.ranks import Ranks, groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = 0.42  # height of a label's line, in the unit of the vertical axis


def draw(found: Ranks, path: Path, *, look: str = "paper") -> list[Path]:
    """Write the figure to `path` (.png and .svg); return the paths."""
    with style.using(look):
        return style.save(figure(found), path)


def figure(found: Ranks) -> Figure:
    """Return the figure. Call it inside `style.using`."""
    from matplotlib.figure import Figure

    average, n = found.overall.average_ranks, len(found.rows)
    bars, half = groups(found), (n + 1) // 2
    depth = 0.35 + 0.16 * len(bars) + _LINE * half
    drawing = Figure(figsize=style.sized(6.6, 0.9 + 0.5 * depth), layout="constrained")
    axes = drawing.subplots()
    axes.set_xlim(0.2 - 0.28 * n, n + 0.8 + 0.28 * n)
    axes.set_ylim(-depth, 0.75)
    axes.axis("off")
    ink = style.foreground()
    axes.plot([1, n], [0, 0], color=ink, linewidth=1)
    for rank in range(1, n + 1):
        axes.plot([rank, rank], [0, 0.1], color=ink, linewidth=1)
        axes.text(rank, 0.14, str(rank), ha="center", va="bottom", fontsize=style.text(8))
    width = found.overall.critical_difference
    axes.plot([1, 1 + width], [0.55, 0.55], color=ink, linewidth=1.6, marker="|")
    axes.text(1 + width / 2, 0.6, f"CD = {width:.2f}", ha="center", fontsize=style.text(8))
    for k, (first, last) in enumerate(bars):
        y = -0.14 - 0.16 * k
        ends = [average[first] - 0.05, average[last] + 0.05]
        axes.plot(ends, [y, y], color=ink, linewidth=3, solid_capstyle="round")
    top = -0.3 - 0.16 * len(bars)
    for i, (name, rank) in enumerate(zip(found.rows, average, strict=True)):
        left = i < half
        y = top - _LINE * (i if left else n - 1 - i)
        end = 0.6 if left else n + 0.4
        colour = style.colour(name)
        axes.plot([rank, rank, end], [0, y, y], color=colour, linewidth=1.1)
        axes.text(
            end + (-0.08 if left else 0.08),
            y,
            f"{name}  {rank:.2f}",
            ha="right" if left else "left",
            va="center",
            fontsize=style.text(8),
        )
    blocks = len(found.blocks)
    tables = ", ".join(found.by_table)
    style.note(
        drawing,
        f"Average ranks of mean regret over {blocks} data sets ({tables}; "
        f"{min(b.runs for b in found.blocks)} runs a row); 1 is best. Friedman p = "
        f"{found.overall.p:.1e}. Bars: rows that Nemenyi's critical difference (CD, 5%) does not "
        "tell apart.",
    )
    return drawing
