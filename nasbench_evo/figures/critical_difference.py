"""The diagram of average ranks: rows on an axis, bars over what is not told apart (Demsar 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.analysis.statistics import FriedmanNemenyi
from nasbench_evo.figures import style
from nasbench_evo.results.finals import Finals, RunRanks
from nasbench_evo.results.ranks import Ranks, groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 8  # numbers of ranks that stand side by side in a column
_LETTER = 0.065  # width of a letter of a name, inches
_LINE = 0.42  # height of a label's line, in the unit of the vertical axis


def draw(found: Ranks, path: Path, *, look: str = "paper") -> list[Path]:
    """Write the figure of ranks over data sets to `path` (.png and .svg); return the paths."""
    tables = ", ".join(found.by_table)
    words = (
        f"Average ranks of mean regret over {len(found.blocks)} data sets ({tables}; "
        f"{min(b.runs for b in found.blocks)} runs a row)"
    )
    with style.using(look):
        return style.save(figure(found.rows, found.overall, words), path)


def of_runs(found: Finals, ranked: RunRanks) -> Figure:
    """Return the figure of ranks over runs. Call it inside `style.using`."""
    datasets = ", ".join(found.losses)
    words = (
        f"Average ranks of final {found.measure.partition(' (')[0]} over {ranked.blocks} blocks, a "
        f"seed on a data set each ({datasets}): what to expect of further runs on these data sets, "
        "not of others"
    )
    return figure(ranked.rows, ranked.overall, words)


def figure(rows: Sequence[str], overall: FriedmanNemenyi, words: str) -> Figure:
    """Return the figure of rows in the order of their average ranks; `words` says of what.

    Call it inside `style.using`.
    """
    average, n = overall.average_ranks, len(rows)
    names = [style.broken(f"{row}  {rank:.2f}") for row, rank in zip(rows, average, strict=True)]
    longest = max(len(words) for name in names for words in name.splitlines())
    bars, half = groups(overall), n if style.narrow() else (n + 1) // 2
    line = 2 * style.row_height(names, _LINE / 2)
    depth = 0.35 + 0.16 * len(bars) + line * half
    drawing, (axes,) = style.panels(
        1, (1.4 + 0.22 * n + 2 * _LETTER * longest, 0.9 + 0.5 * depth), lists=True
    )
    axes.set_xlim(0.2, n + 0.8)  # names stand outside: the layout makes room for them
    axes.set_ylim(-depth, 0.75)
    axes.axis("off")
    ink = style.foreground()
    axes.plot([1, n], [0, 0], color=ink, linewidth=1)
    for rank in range(1, n + 1):
        axes.plot([rank, rank], [0, 0.1], color=ink, linewidth=1)
        if n <= _MOST or not style.narrow() or rank % 2:
            axes.text(rank, 0.14, str(rank), ha="center", va="bottom", fontsize=style.text(8))
    width = overall.critical_difference
    axes.plot([1, 1 + width], [0.55, 0.55], color=ink, linewidth=1.6, marker="|")
    axes.text(1 + width / 2, 0.64, f"CD = {width:.2f}", ha="center", fontsize=style.text(8))
    for k, (first, last) in enumerate(bars):
        y = -0.14 - 0.16 * k
        ends = [average[first] - 0.05, average[last] + 0.05]
        axes.plot(ends, [y, y], color=ink, linewidth=3, solid_capstyle="round")
    top = -0.3 - 0.16 * len(bars)
    for i, (name, rank) in enumerate(zip(names, average, strict=True)):
        left = i < half
        y = top - line * (i if left else n - 1 - i)
        end = 0.6 if left else n + 0.4
        colour = style.colour(name)
        axes.plot([rank, rank, end], [0, y, y], color=colour, linewidth=1.1)
        axes.text(
            end + (-0.08 if left else 0.08),
            y,
            name,
            ha="right" if left else "left",
            va="center",
            fontsize=style.text(8),
        )
    style.note(
        drawing,
        f"{words}; 1 is best. Friedman's p {_p(overall.p)}. Bars: rows that Nemenyi's critical "
        "difference (CD, 5%) does not tell apart.",
    )
    return drawing


def _p(value: float) -> str:
    return f"= {value:.1e}" if value > 0 else "< 1e-300"
