"""What an import gathers: trials of cells, checked one by one, and the arrays made of them.

Every source (official files, an API object, rows of one's own) is cut into trials: one training of
one cell from one seed. Curves are kept as float32, last values as float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.spaces import Genotype, IntegerSpace, NASBench201
from nasbench_evo.tables.importing.roles import ORIGINAL, Role, roles
from nasbench_evo.tables.importing.stand_ins import shown
from nasbench_evo.tables.importing.trainings import COSTS, Trainings, Trial, of_trials
from nasbench_evo.tables.metric import ACCURACY, Metric
from nasbench_evo.tables.table import FIXED_POINT, missing

UNKNOWN_PARAMETERS = -1
METRIC = "metric:"  # before the name of a metric of the source's own
MAX_TRIALS = 64  # of a genotype
_REMEMBERED, _LONGEST = 100_000, 200  # texts of cells, and characters of one, that are kept
# Validation images of the benchmark: its accuracies are counts of them.
_IMAGES = {"cifar10": 25_000, "cifar100": 5_000, "ImageNet16-120": 3_000}


class Collector:
    """Gathers the trials of one import; `origin` is what errors call the source."""

    def __init__(
        self,
        origin: str,
        read: Callable[[str], Genotype] | None = None,
        space: IntegerSpace | None = None,
        metric: Metric = ACCURACY,
    ) -> None:
        self.origin = origin
        self.space = space or NASBench201()
        self.metric = metric
        self.infeasible = False  # whether genotypes without a result are failures
        self.words: list[str] = []  # what the person who imports should know
        self.blocks: dict[int, dict[str, Trainings]] = {}  # by epochs and training
        self._read = read or self.space.parse  # of a cell's text
        self._known: dict[str, int] = {}
        # epochs -> training -> cell index -> trials in seed order
        self.trials: dict[int, dict[str, dict[int, list[Trial]]]] = {}

    def adopt(self, space: IntegerSpace) -> None:
        """Take another space, that of the file, before anything is there."""
        if space.name != self.space.name:
            self.space, self._read, self._known = space, space.parse, {}

    def index(self, arch: Any, place: str) -> int:
        """Return the index of a printed cell; raise DataError with the place if it is none."""
        if type(arch) is not str:
            raise DataError(f"{self.origin}, {place}: expected a cell's text; got {shown(arch)}.")
        index = self._known.get(arch)
        if index is None:
            try:
                index = self.space.index(self._read(arch))
            except ValueError as error:
                raise DataError(f"{self.origin}, {place}: {error!s:.300}") from error
            if len(self._known) < _REMEMBERED and len(arch) <= _LONGEST:
                self._known[arch] = index
        return index

    def add(self, index: int, epochs: int, training: str, trials: Iterable[Trial]) -> None:
        """Add all trials of a cell; raise DataError if it has some already or repeats a seed."""
        ordered = sorted(trials, key=lambda trial: trial.seed)
        where = f"{self.origin}, cell {self.space.format(self.space.from_index(index))}, {training}"
        if len({trial.seed for trial in ordered}) < len(ordered) or len(ordered) > MAX_TRIALS:
            raise DataError(f"{where}, {epochs} epochs: a trial is there twice, or too many are.")
        cells = self.trials.setdefault(epochs, {}).setdefault(training, {})
        if index in cells:
            raise DataError(f"{where}, {epochs} epochs: the cell is there twice.")
        cells[index] = ordered

    def add_block(self, epochs: int, training: str, block: Trainings) -> None:
        """Add all trainings of one length on one training set at once."""
        if block.seeds.shape[1] > MAX_TRIALS:
            raise DataError(
                f"{self.origin}, {training}: {block.seeds.shape[1]} trials of a cell; "
                f"{MAX_TRIALS} are the most."
            )
        self.blocks.setdefault(epochs, {})[training] = block

    def whole(self) -> dict[int, dict[str, Trainings]]:
        """Return what was gathered by length and training set; raise DataError for nothing."""
        result = {epochs: dict(blocks) for epochs, blocks in self.blocks.items()}
        for epochs, trainings in self.trials.items():
            for training, cells in trainings.items():
                result.setdefault(epochs, {})[training] = of_trials(cells)
        if not result:
            raise DataError(f"{self.origin} holds no trial of any cell.")
        return dict(sorted(result.items()))

    def arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all arrays of the table by name, and what describes each length of training.

        Names: EPOCHS/field for what a `Table` of that length has; EPOCHS/training/split/metric for
        every series, [N, T, E or 1], of the N cells that EPOCHS/training/cells lists.
        """
        arrays: dict[str, NDArray[Any]] = {}
        described: dict[str, Any] = {}
        searched = False
        for epochs, trainings in self.whole().items():
            for training, block in trainings.items():
                arrays |= _details(f"{epochs}/{training}", block)
            known = {name: block.splits() for name, block in trainings.items()}
            try:
                found = roles(known)
            except DataError as error:
                raise DataError(f"{self.origin}, {epochs} epochs: {error}") from error
            if not found:
                raise DataError(
                    f"{self.origin}: no validation or test accuracy at {epochs} epochs; splits: "
                    f"{known}."
                )
            self.words += [
                f"ori-test of {role.dataset} is not read as test accuracy, for it may hold the "
                "validation images; call it test if it does not."
                for role in found
                if role.test is None and ORIGINAL in known[role.test_training]
            ]
            searched = searched or any(role.valid is not None for role in found)
            fields, view = _view(found, trainings, self.space.size, self.metric)
            arrays |= {f"{epochs}/{name}": array for name, array in view.items()}
            described[str(epochs)] = fields
        if not searched:
            raise DataError(
                f"{self.origin}: no validation accuracy at any length of training, and a "
                "search must not see test accuracies."
            )
        return arrays, described


def _details(prefix: str, block: Trainings) -> dict[str, NDArray[Any]]:
    """Return every series of one training in full."""
    result: dict[str, NDArray[Any]] = {
        f"{prefix}/cells": block.cells.astype(np.int32),
        f"{prefix}/seeds": block.seeds,
    }
    for series in sorted(block.last):
        name = "/".join((prefix, *series))
        result[f"{name}/last"] = block.last[series]
        if series in block.curves:
            result[f"{name}/curve"] = block.curves[series]
    return result


def _view(
    found: Sequence[Role], trainings: Mapping[str, Trainings], size: int, metric: Metric
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the fields and arrays of the `Table` of one length of training."""
    blocks = [trainings[role.training] for role in found]
    pairs = list(zip(found, blocks, strict=True))
    finals = _join([b.spread((r.valid or "", "accuracy"), size) for r, b in pairs])
    exact, images = _as_counts(metric.score(finals), [role.dataset for role in found])
    arrays: dict[str, NDArray[Any]] = {"correct": exact}
    if metric != ACCURACY:
        arrays["measured"] = finals.astype(np.float32)
    loss = _join([b.spread((r.valid or "", "loss"), size) for r, b in pairs])
    if not np.isnan(loss).all():
        arrays["valid_loss"] = loss
    if any(role.test is not None for role in found):
        tests = [trainings[r.test_training].spread((r.test or "", "accuracy"), size) for r in found]
        arrays["test_accuracy"] = metric.score(_join(tests))
    for name in COSTS:
        arrays[name] = np.stack([b.mean(b.costs.get(name), size) for b in blocks])
    arrays["valid_seconds"] = np.stack(
        [b.mean(b.seconds.get(r.valid or ""), size) for r, b in pairs]
    )
    millions = arrays["parameters"] * 1e6
    arrays["parameters"] = np.where(
        np.isnan(millions), UNKNOWN_PARAMETERS, np.rint(millions)
    ).astype(np.int64)
    for name in sorted({name for b in blocks for name in b.costs} - set(COSTS)):
        arrays[METRIC + name] = np.stack([b.mean(b.costs.get(name), size) for b in blocks])
    for optional in ("valid_seconds", "flops"):
        if np.isnan(arrays[optional]).all():
            del arrays[optional]
    curves = _curves(found, trainings, exact.shape[2])
    if metric != ACCURACY and curves:
        curves["valid_curve"] = metric.score(curves["valid_curve"]).astype(np.float32)
    arrays |= curves
    fields = {
        "datasets": [role.dataset for role in found],
        "images": images,
        "valid_split": [
            "" if role.valid is None else f"{role.valid} of {role.training}" for role in found
        ],
        "test_split": [
            "" if role.test is None else f"{role.test} of {role.test_training}" for role in found
        ],
    }
    return fields, arrays


def _join(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return [G, T] arrays as one [D, G, T], padded with NaN to the most trials."""
    most = max(part.shape[1] for part in parts)
    return np.stack(
        [np.pad(p, ((0, 0), (0, most - p.shape[1])), constant_values=np.nan) for p in parts]
    )


def _as_counts(
    accuracies: NDArray[np.float64], datasets: Sequence[str]
) -> tuple[NDArray[Any], list[int]]:
    """Return accuracies as counts of images: the benchmark's numbers where they fit."""
    images = [_IMAGES.get(name, FIXED_POINT) for name in datasets]
    for exact in (True, False):
        whole = np.array(images if exact else [FIXED_POINT] * len(images))[:, None, None]
        counts = accuracies / 100 * whole
        rounded = np.rint(np.nan_to_num(counts))
        fits = np.abs(np.nan_to_num(counts) - rounded) < 0.01
        if fits.all() or not exact:
            break
    kind = np.dtype(np.uint16 if whole.max() < missing(np.dtype(np.uint16)) else np.uint32)
    result = np.where(np.isnan(accuracies), missing(kind), rounded).astype(kind)
    return result, [int(n) for n in whole[:, 0, 0]]


def _curves(
    found: Sequence[Role],
    trainings: Mapping[str, Trainings],
    most: int,
) -> dict[str, NDArray[Any]]:
    """Return the validation curves, [D, N, T, E], and the N cells; nothing without curves."""
    parts = []
    for role in found:
        values = trainings[role.training].curves.get((role.valid or "", "accuracy"))
        holes = values is None or np.isnan(values[~np.isnan(values[:, :, -1])]).any()
        parts.append(None if holes else values)
    lengths = {part.shape[2] for part in parts if part is not None}
    if len(lengths) != 1:
        return {}
    cells = np.unique(np.concatenate([trainings[role.training].cells for role in found]))
    result = np.full((len(found), len(cells), most, *lengths), np.nan, dtype=np.float32)
    for d, (role, part) in enumerate(zip(found, parts, strict=True)):
        if part is not None:
            rows = np.searchsorted(cells, trainings[role.training].cells)
            result[d, rows, : part.shape[1]] = part
    return {"valid_curve": result, "curve_cells": cells}
