"""The figures of a suite on supernets: ranking by epoch, shared against standalone, final cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.analysis.shared import Ranking, noise_ceiling
from nasbench_evo.analysis.weight_sharing import PairedSearches
from nasbench_evo.figures import rank_correlation, style
from nasbench_evo.spaces import NASBench201, Space
from nasbench_evo.suite import Suite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONVOLUTION = NASBench201.operations.index("nor_conv_3x3")


Pairs = Mapping[str, PairedSearches]


def draw(suite: Suite, rankings: Sequence[Ranking], pairs: Pairs, folder: Path) -> list[Path]:
    """Write the figures that the runs have data for into `folder`; return the paths."""
    with style.using():
        return save(suite, rankings, pairs, folder, ("png", "svg"))


def save(
    suite: Suite, rankings: Sequence[Ranking], pairs: Pairs, folder: Path, formats: Sequence[str]
) -> list[Path]:
    """Write the figures in some formats, in the style in use; return the paths."""
    if suite.truth is None:
        return []
    table = tables.reported(suite.truth.table)
    paths: list[Path] = []
    for dataset in suite.datasets:
        own = [r for r in rankings if r.unit.dataset == dataset]
        suffix = f"_{dataset}" if len(suite.datasets) > 1 else ""
        if own:
            ceiling = noise_ceiling(suite, dataset)
            curves = {r.unit.row.label: r.curves for r in own}
            figure = rank_correlation.tau_curves(
                curves, ceiling=None if ceiling is None else ceiling["kendall_tau"]
            )
            paths += style.save(figure, folder / f"tau{suffix}", formats)
        names = _file_names([ranking.unit.row.algorithm for ranking in own])
        for name, ranking in zip(names, own, strict=True):
            drawing = _scatter(ranking, table.space)
            paths += style.save(drawing, folder / f"scatter_{name}{suffix}", formats)
    if pairs:
        best = float(table.best[table.row(suite.truth.dataset or suite.datasets[0])])
        one = len(suite.datasets) == 1
        figure = rank_correlation.paired_dots(pairs, best=best if one else None)
        paths += style.save(figure, folder / "final_cells", formats)
    return paths


def _file_names(algorithms: Sequence[str]) -> list[str]:
    """Return a name for each row: its algorithm, numbered where that comes again."""
    return [
        name if (before := algorithms[:i].count(name)) == 0 else f"{name}_{before + 1}"
        for i, name in enumerate(algorithms)
    ]


def _scatter(ranking: Ranking, space: Space) -> Figure:
    label = f"{ranking.unit.row.label}: accuracy with shared weights (%)"
    counts: NDArray[np.int64] | None = None
    counted = ""
    if isinstance(space, NASBench201):
        counts = (np.array(ranking.genotypes) == _CONVOLUTION).sum(axis=1)
        counted = "3x3 convolutions"
    return rank_correlation.scatter(
        ranking.predicted,
        ranking.truth,
        ranking.curves[0][-1][1],
        labels=(label, "standalone accuracy (%)"),
        counts=counts,
        counted=counted,
    )
