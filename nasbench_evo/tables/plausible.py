"""Do a table's cells behave like NAS-Bench-201's? A misread column of cells does not.

Three facts of the space that any training on it shows: a cell whose output does not depend on its
input learns nothing; cells that compute the same agree; more weights help on the whole.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.spaces import NASBench201, isomorphism
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, SIZE
from nasbench_evo.tables.table import Table

OK, FAILED, NOTE, WARNING = "ok", "FAILED", "note", "WARNING"
CHANCE = {"cifar10": 10.0, "cifar100": 1.0, "ImageNet16-120": 100 / 120, "digits": 10.0}  # percent
_FEWEST = 30  # cells (or pairs of cells) that a figure needs
_NEAR = 2.0  # percentage points around chance
_ABOVE = 0.9  # share of connected cells above a disconnected one, at least
_AGREEMENT = 0.5  # share of the variance that lies between classes of isomorphic cells, at least
_CORRELATION = 0.2  # Spearman's, of accuracy and weights, at least; less where many cells say so
_ERRORS = 5.0  # standard errors above 0


class Check(NamedTuple):
    """One line of a report on a table."""

    name: str
    status: str
    text: str


def plausible(table: Table, dataset: str, label: str) -> list[Check]:
    """Return the checks of a table of NAS-Bench-201 on one data set."""
    if not isinstance(table.space, NASBench201):
        return []
    means = table.quality[table.row(dataset)]
    cells = np.flatnonzero(table.known(dataset))
    return [
        _disconnected(means, cells, dataset, label),
        _isomorphic(means, cells, label),
        _weights(means, cells, label),
    ]


@cache
def _facts() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which cells are connected, and how many weights their convolutions have; [15625]."""
    genes = np.stack(np.unravel_index(np.arange(SIZE), (len(OPERATIONS),) * len(EDGES)))
    reached = np.zeros((4, SIZE), bool)
    reached[0] = True
    for gene, (source, target) in zip(genes, EDGES, strict=True):
        reached[target] |= reached[source] & (gene != OPERATIONS.index("none"))
    weights = sum(
        size * (genes == OPERATIONS.index(name)).sum(axis=0)
        for name, size in (("nor_conv_1x1", 1), ("nor_conv_3x3", 9))
    )
    return reached[3], np.asarray(weights)


def _disconnected(
    means: NDArray[np.float64], cells: NDArray[np.intp], dataset: str, label: str
) -> Check:
    """Compare cells without a path from input to output with chance, or with all others."""
    name = f"disconnected ({label})"
    connected = _facts()[0][cells]
    off, on = means[cells][~connected], np.sort(means[cells][connected])
    if min(len(off), len(on)) < _FEWEST:
        return Check(name, NOTE, f"not judged: {len(off)} disconnected and {len(on)} other cells")
    mean = float(off.mean())
    above = float(1 - np.searchsorted(on, off, side="right").mean() / len(on))
    text = f"{len(off)} disconnected cells reach {mean:.2f} % in the mean"
    right = above >= _ABOVE
    if dataset in CHANCE:
        text += f", chance is {CHANCE[dataset]:.2f} %"
        right &= abs(mean - CHANCE[dataset]) <= _NEAR
    text += f"; {100 * above:.1f} % of the others are above them"
    return Check(name, OK if right else WARNING, text + ("" if right else _READ))


def _isomorphic(means: NDArray[np.float64], cells: NDArray[np.intp], label: str) -> Check:
    """Return how much of the variance lies between the classes of cells that compute the same."""
    name = f"classes ({label})"
    _, kind = np.unique(isomorphism.classes()[cells], return_inverse=True)
    count = np.bincount(kind, minlength=1) if len(cells) else np.zeros(1, int)
    shared = count[kind] > 1 if len(cells) else np.zeros(0, bool)
    if shared.sum() < _FEWEST:
        return Check(
            name, NOTE, f"not judged: {int(shared.sum())} cells share a class with another"
        )
    values = means[cells]
    centre = (np.bincount(kind, values) / count)[kind]
    freedom = int(shared.sum()) - int((count > 1).sum())
    within = float(((values - centre)[shared] ** 2).sum() / freedom)
    agreement = 1 - within / float(values[shared].var(ddof=1) or 1.0)
    text = (
        f"{int(shared.sum())} cells in {int((count > 1).sum())} classes of isomorphic cells; "
        f"{100 * agreement:.1f} % of the variance is between the classes"
    )
    right = agreement >= _AGREEMENT
    return Check(name, OK if right else WARNING, text + ("" if right else _READ))


def _weights(means: NDArray[np.float64], cells: NDArray[np.intp], label: str) -> Check:
    """Correlate accuracies with the weights of the cells' convolutions (Spearman)."""
    name = f"weights ({label})"
    if len(cells) < _FEWEST:
        return Check(name, NOTE, f"not judged: {len(cells)} cells")
    from scipy import stats

    weights = _facts()[1][cells]
    constant = np.ptp(weights) == 0 or np.ptp(means[cells]) == 0
    rho = 0.0 if constant else float(stats.spearmanr(weights, means[cells]).statistic)
    text = f"accuracy and the number of convolution weights correlate by {rho:.2f} (Spearman)"
    right = rho >= min(_CORRELATION, _ERRORS / len(cells) ** 0.5)
    return Check(name, OK if right else WARNING, text + ("" if right else _READ))


_READ = (
    ". Cells of this space do not behave so: were they read as meant? See --index and --spelling "
    "of `nasbench-evo table import`"
)
