"""The figures of a suite on supernets: ranking by epoch, shared against standalone, final cells."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.figures import rank_correlation, style
from nasbench_evo.names import in_files
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.ranking import Ranking, retest_reference
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.results.supernet import collapse as by_generation
from nasbench_evo.results.supernet import fitness as by_epoch
from nasbench_evo.results.weight_sharing import PairedSearches
from nasbench_evo.spaces import NASBench201
from nasbench_evo.suite import Suite
from nasbench_evo.suite.model import Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONVOLUTION = NASBench201.operations.index("nor_conv_3x3")
_ACROSS = 3  # panels beside each other: more are too small on a page

Pairs = Mapping[str, PairedSearches]


def ending(suite: Suite, dataset: str) -> str:
    """Return how the names of a data set's files end: nothing where there is one data set."""
    return f"_{in_files(dataset)}" if len(suite.datasets) > 1 else ""


def drawings(
    suite: Suite, collected: Sequence[UnitRuns], rankings: Sequence[Ranking], pairs: Pairs
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Yield file name and drawing of what the runs have data for."""
    for dataset in suite.datasets:
        suffix = ending(suite, dataset)
        of_weights = [
            runs
            for runs in collected
            if runs.unit.dataset == dataset and runs.records and runs.unit.training is not None
        ]
        if of_weights:
            yield f"fitness{suffix}", partial(fitness, of_weights)
        diagnosed = [runs for runs in of_weights if by_generation(runs) is not None]
        if diagnosed:
            yield f"collapse{suffix}", partial(collapse, diagnosed)
        own = [r for r in rankings if r.unit.dataset == dataset]
        if own:
            yield from _of_rankings(suite, dataset, own, suffix)
    if pairs and suite.truth is not None:
        yield "final_cells", partial(_final_cells, suite, suite.truth, pairs)


def _final_cells(suite: Suite, truth: Truth, pairs: Pairs) -> Figure:
    table = tables.reported(truth.table)
    best = float(table.best[table.row(truth.dataset or suite.datasets[0])])
    one = len(suite.datasets) == 1
    algorithms = [label.partition(" (")[0] for label in pairs]
    short = algorithms if len(set(algorithms)) == len(pairs) else list(pairs)
    results = dict(zip(short, pairs.values(), strict=True))
    return rank_correlation.paired_dots(results, best=best if one else None)


def _of_rankings(
    suite: Suite, dataset: str, rankings: Sequence[Ranking], suffix: str
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Yield tau by epoch, and each ranking's scatter after the last epoch."""
    reference = retest_reference(suite, dataset)
    rows = [ranking.unit.row for ranking in rankings]
    curves = {
        label: ranking.curves for label, ranking in zip(short_labels(rows), rankings, strict=True)
    }
    tau = None if reference is None else reference["kendall_tau"]
    yield f"tau{suffix}", partial(rank_correlation.tau_curves, curves, reference=tau)
    names = _file_names([in_files(row.shown) for row in rows])
    for name, label, ranking in zip(names, curves, rankings, strict=True):
        yield f"scatter_{name}{suffix}", partial(_scatter, ranking, label)


def fitness(collected: Sequence[UnitRuns]) -> Figure:
    """Return the fitness with shared weights of what each epoch measured, a panel a row.

    The line is the mean of what was measured, the band goes from the lowest to the highest, both
    as means over runs. Call it inside `style.using`.
    """
    from matplotlib.ticker import MaxNLocator

    drawing, panels = style.panels(
        len(collected), (3.0, 2.7), (0, 0.9), most=_ACROSS, least=4.0, sharex=True, sharey=True
    )
    labels = short_labels([runs.unit.row for runs in collected])
    once, last = False, 0.0
    for axes, runs, label in zip(panels, collected, labels, strict=True):
        epochs, values = by_epoch(runs)
        last = max(last, *epochs)
        high, mean, low = values.mean(axis=0).T
        look = style.colour(label)
        if len(epochs) == 1:
            once = True
            axes.errorbar(epochs, mean, yerr=[mean - low, high - mean], color=look, fmt="o",
                          markersize=5, capsize=4)  # fmt: skip
        else:
            axes.plot(epochs, mean, color=look)
            axes.plot(epochs, high, color=look, linewidth=0.9, linestyle=style.DASHES[1])
            axes.fill_between(epochs, low, high, color=look, alpha=0.15, linewidth=0)
        axes.set_title(textwrap.fill(label, 30), fontsize=style.text(9))
        axes.set_xlabel("epochs of the supernet")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelbottom=True)  # below a panel there may be none
    panels[0].set_xlim(0, 1.04 * last)  # of all: they share the axis
    for axes in style.first_column(panels):
        axes.set_ylabel("validation accuracy,\nshared weights (%)")
    runs_ = sorted({len(runs.records) for runs in collected})
    style.note(
        drawing,
        "What the search measured in each epoch: mean (line), highest (dashed) and lowest (edge of "
        f"the band), means over {' to '.join(map(str, runs_))} runs."
        + (" A bar: measured once, after the last epoch." if once else ""),
    )
    return drawing


def collapse(collected: Sequence[UnitRuns]) -> Figure:
    """Return whether populations collapse, a column a row: against random paths, and how alike.

    Lines are means over runs, bands go from the lowest to the highest run. Call it inside
    `style.using`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    n = len(collected)
    drawing = Figure(figsize=style.sized(max(3.0 * n, 4.6), 6.0), layout="constrained")
    grid = drawing.subplots(2, n, squeeze=False, sharex="col", sharey="row")
    labels = short_labels([runs.unit.row for runs in collected])
    for (above, below), runs, label in zip(grid.T, collected, labels, strict=True):
        found = by_generation(runs)
        if found is None:
            continue
        epochs, values = found
        children = values[:, :, 3] / runs.unit.row.configured.hyperparameters()["generation_size"]
        for k, (axes, name, part) in enumerate(
            [
                (above, "above: population", values[:, :, 0]),
                (above, "above: random paths", values[:, :, 1]),
                (below, "below: agreement of the population's genes", values[:, :, 2]),
                (below, "below: different among the children bred", children),
            ]
        ):
            look = style.colour(label) if k % 2 == 0 else style.foreground()
            dash = style.DASHES[k % 2]
            axes.plot(epochs, part.mean(axis=0), color=look, linestyle=dash, label=name)
            low, high = part.min(axis=0), part.max(axis=0)
            axes.fill_between(epochs, low, high, color=look, alpha=0.15, linewidth=0)
        above.set_title(textwrap.fill(label, 32), fontsize=style.text(9))
        below.set_xlabel("epochs of the supernet")
        below.set_ylim(0, 1.05)
    grid[0, 0].set_ylabel("validation accuracy,\nshared weights (%)")
    grid[1, 0].set_ylabel("share")
    style.legend(drawing)
    style.note(
        drawing,
        "After each generation: the population kept beside as many random paths as the row says, "
        "with the same weights on the same images; and how alike its individuals are. Lines: means "
        "over runs; bands: lowest to highest run.",
    )
    return drawing


def _file_names(algorithms: Sequence[str]) -> list[str]:
    """Return a name for each row: its algorithm, numbered where that comes again."""
    return [
        name if (before := algorithms[:i].count(name)) == 0 else f"{name}_{before + 1}"
        for i, name in enumerate(algorithms)
    ]


def _scatter(ranking: Ranking, label: str) -> Figure:
    counts: NDArray[np.int64] | None = None
    counted = ""
    if ranking.unit.training is not None and ranking.unit.training.space == NASBench201.name:
        counts = (np.array(ranking.genotypes) == _CONVOLUTION).sum(axis=1)
        counted = "3x3 convolutions"
    return rank_correlation.scatter(
        ranking.predicted,
        ranking.truth,
        ranking.curves[0][-1][1],
        labels=(f"{label}: accuracy with shared weights (%)", "standalone accuracy (%)"),
        counts=counts,
        counted=counted,
    )
