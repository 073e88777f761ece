"""Checks of a whole table: is it what it says, and does it hang together?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.errors import DataError
from nasbench_evo.spaces import NASBench201, isomorphism
from nasbench_evo.spaces.nasbench201 import OPERATIONS, SIZE
from nasbench_evo.tables import container, embedded, hpo, imported
from nasbench_evo.tables.importing.collector import UNKNOWN_PARAMETERS
from nasbench_evo.tables.plausible import FAILED, NOTE, OK, WARNING, Check, plausible
from nasbench_evo.tables.table import Table

# Best mean validation accuracies after 200 epochs, percent.
OPTIMA = {"cifar10": 91.607, "cifar100": 73.493, "ImageNet16-120": 46.733}
_OPTIMA_EPOCHS = 200
_TOLERANCE = 0.15  # percentage points: the versions of the benchmark differ in their trials
_CURVE_GAP = 1e-3  # percentage points between a float32 curve's end and the table
_LEVEL = 0.01  # of the isomorphism test, over all classes together


def verify(name: str = embedded.NAME) -> list[Check]:
    """Return the checks of a table at each of its lengths of training.

    Raises InputError for an unknown table.
    """
    if name not in tables.known():
        tables.load(name)
    try:
        first = _identity(name)
        every = _lengths_of(name)
    except DataError as error:
        return [Check("content", FAILED, str(error))]
    checks = [first]
    for epochs, table in every.items():
        for dataset in table.datasets:
            checks += _dataset(table, dataset, f"{dataset}, {epochs} epochs" if epochs else dataset)
    checks += _lengths(every)
    if name == embedded.NAME:
        checks.append(_sizes())
    return checks


def _lengths_of(name: str) -> dict[int, Table]:
    """Return a table at each of its lengths of training; at 0 where it does not say it."""
    if name in hpo.BENCHMARKS:
        return {0: tables.load(name)}
    lengths = [embedded.EPOCHS] if name == embedded.NAME else imported.epochs_of(name)
    return {epochs: tables.load(name, epochs) for epochs in lengths}


def _identity(name: str) -> Check:
    if name == embedded.NAME:
        folder = embedded.verify_sources()
        return Check("content", OK, f"{folder} and {embedded.load().sha256[:16]}...: SHA-256 right")
    if name in hpo.BENCHMARKS:
        folder, sha256 = hpo.verify_sources(name), tables.load(name).sha256
        return Check("content", OK, f"{folder} and {sha256[:16]}...: SHA-256 right")
    file = imported.open_file(name)
    container.check(file)
    return Check("content", OK, f"{len(file.arrays)} arrays, SHA-256 {file.sha256[:16]}... right")


def _dataset(table: Table, dataset: str, label: str) -> list[Check]:
    d = table.row(dataset)
    trials = table.trials[d]
    covered = int(table.known(dataset).sum())
    by_test = "test accuracies only; " if table.by_test(dataset) else ""
    numbers = ", ".join(f"{(trials == n).sum()} with {n}" for n in np.unique(trials))
    checks = [
        Check(
            f"cells ({label})",
            OK if covered == table.space.size else NOTE,
            f"{by_test}{covered} of {table.space.size} cells; trials: {numbers}",
        )
    ]
    if isinstance(table.space, NASBench201):
        checks += _optimum(table, dataset, label, whole=covered == SIZE)
        checks += plausible(table, dataset, label)
        checks += [] if by_test else [_isomorphic(table, d, label)]
    if table.has_curve(dataset):
        checks.append(_curve(table, d, label))
    size, native = table.parameters[d], isinstance(table.space, NASBench201)
    if native and covered == SIZE and (size != UNKNOWN_PARAMETERS).all():
        checks.append(_parameters(size, label))
    return checks


def _optimum(table: Table, dataset: str, label: str, *, whole: bool) -> list[Check]:
    """Return the comparison with the known best cell, where it applies."""
    if (
        dataset not in OPTIMA
        or not whole
        or table.by_test(dataset)
        or table.epochs not in (None, _OPTIMA_EPOCHS)
    ):
        return []
    best, known = float(table.best[table.row(dataset)]), OPTIMA[dataset]
    right = abs(best - known) <= _TOLERANCE
    text = f"best mean accuracy {best:.3f} %; known {known} %"
    return [Check(f"optimum ({label})", OK if right else FAILED, text)]


def _isomorphic(table: Table, d: int, label: str) -> Check:
    """Compare isomorphic cells: do their means differ by more than their trials do?

    A one-way analysis of variance in every class of cells with the same topology, at a level
    of 1% over all classes (Bonferroni).
    """
    from scipy import stats

    classes = isomorphism.classes()
    cells, t = np.nonzero(table.present[d])
    values = table.valid_accuracy[d, cells, t]
    kind = classes[cells]
    means = table.mean_accuracy[d]
    within = np.bincount(kind, (values - means[cells]) ** 2)
    count = np.bincount(kind)
    centre = np.bincount(kind, values) / np.maximum(count, 1)
    between = np.bincount(kind, (means[cells] - centre[kind]) ** 2)
    groups = np.bincount(classes[np.unique(cells)], minlength=len(count))
    freedom = count - groups
    tested = (groups > 1) & (freedom > 0) & (between > 1e-9)
    number = int(((groups > 1) & (freedom > 0)).sum())
    with np.errstate(divide="ignore"):
        ratio = between[tested] / (groups[tested] - 1) / (within[tested] / freedom[tested])
    p = stats.f.sf(ratio, groups[tested] - 1, freedom[tested])
    worse = np.flatnonzero(tested)[p < _LEVEL / max(number, 1)]
    text = f"{len(worse)} of {number} classes of isomorphic cells differ by more than trial noise"
    if len(worse):
        worst = np.argsort(p)[0]
        shown = np.flatnonzero(tested)[worst]
        members = np.flatnonzero((classes == shown) & (table.trials[d] > 0))
        spread = float(np.ptp(means[members]))
        name = table.space.format(table.space.from_index(int(members[0])))
        text += f"; most clearly {len(members)} cells like {name}, {spread:.2f} points apart"
    if not number:  # one trial of each cell: there is no noise to compare with
        text = "not judged: no class of isomorphic cells has several trials of a cell"
    return Check(f"isomorphism ({label})", OK if number and not len(worse) else NOTE, text)


def _curve(table: Table, d: int, label: str) -> Check:
    """Check that accuracy rises over training in the mean, and that the curves end at the table."""
    curves = table.valid_curve
    if curves is None:
        raise DataError(f"{table.name} has no curves.")
    there = table.present[d]
    first, last = (float(np.mean(curves[d, :, :, e][there], dtype=np.float64)) for e in (0, -1))
    gap = np.abs(curves[d, :, :, -1][there] - table.valid_accuracy[d][there]).max()
    status = FAILED if gap >= _CURVE_GAP else OK if last >= first else NOTE
    text = f"mean accuracy {first:.2f} % after the first epoch, {last:.2f} % after the last"
    if gap >= _CURVE_GAP:
        text += f"; a curve ends {gap:.3f} points from the table's accuracy"
    return Check(f"curves ({label})", status, text)


def _parameters(size: NDArray[Any], label: str) -> Check:
    """Check that parameters grow with the operation: none = skip = pooling < 1x1 < 3x3."""
    grid = size.reshape((len(OPERATIONS),) * 6)
    wrong = 0
    for edge in range(6):
        none, skip, one, three, pool = np.moveaxis(grid, edge, 0)
        wrong += int((none != skip).sum() + (none != pool).sum())
        wrong += int((one <= none).sum() + (three <= one).sum())
    text = f"{wrong} of {6 * 4 * 5**5} comparisons of neighbouring cells are out of order"
    return Check(f"parameters ({label})", NOTE if wrong else OK, text)


def _lengths(every: dict[int, Table]) -> list[Check]:
    """Check that longer trainings reach more in the mean over the cells."""
    checks = []
    for short, long in pairwise(sorted(every)):
        for dataset in set(every[short].datasets) & set(every[long].datasets):
            if every[short].by_test(dataset) != every[long].by_test(dataset):
                continue
            a = float(np.nanmean(every[short].quality[every[short].row(dataset)]))
            b = float(np.nanmean(every[long].quality[every[long].row(dataset)]))
            text = f"mean accuracy {a:.2f} % after {short} epochs, {b:.2f} % after {long}"
            checks.append(Check(f"lengths ({dataset})", OK if b >= a else NOTE, text))
    return sorted(checks)


def _sizes() -> Check:
    number = embedded.size_disagreements()
    text = f"{number} cells list another model size in another trial; the first trial's is used"
    return Check("model sizes", NOTE if number else OK, text)


def warnings(name: str) -> list[str]:
    """Return what an import should say aloud of a table: where its cells look misread."""
    return [
        f"{check.name}: {check.text}"
        for epochs in imported.epochs_of(name)
        for table in [tables.load(name, epochs)]
        for dataset in table.datasets
        for check in plausible(table, dataset, f"{dataset}, {epochs} epochs")
        if check.status == WARNING
    ]
