"""What every figure shares: one colour and one dash per algorithm, sizes, deterministic files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: distinct for colour-blind readers; random search is always black.
COLOURS = {
    "genetic_cnn": "#E69F00",
    "eigen": "#009E73",
    "genetic_nas": "#D55E00",
    "eg_nas": "#0072B2",
    "regularized_evolution": "#CC79A7",
    "local_search": "#56B4E9",
    "random_search": "#000000",
}
OTHER = "#888888"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))

_SETTINGS: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 150,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "svg.hashsalt": "nasbench_evo",  # same input, same bytes
}


@contextmanager
def paper() -> Iterator[None]:
    """Apply the style inside the block, without a display and without touching global settings."""
    import matplotlib as mpl
    import seaborn as sns

    settings: Any = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **_SETTINGS}
    with mpl.rc_context(settings):
        yield


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG beside each other; return both paths."""
    metadata: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
    written = []
    for kind, fixed in metadata.items():
        target = path.with_suffix(f".{kind}")
        figure.savefig(target, metadata=fixed)
        written.append(target)
    return written
