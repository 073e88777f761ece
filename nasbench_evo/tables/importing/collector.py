"""What an import gathers: trials of cells, checked one by one, and the arrays made of them.

Every source (official files, an API object, rows of one's own) is cut into trials: one training of
one cell from one seed. Curves are kept as float32, last values as float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.spaces.nasbench201 import SIZE, Cell, NASBench201
from nasbench_evo.tables.importing.roles import Role, roles
from nasbench_evo.tables.table import FIXED_POINT, missing

METRICS = ("accuracy", "loss")
UNKNOWN_PARAMETERS = -1
_MAX_TRIALS = 64
# Validation images of the benchmark: its accuracies are counts of them.
_IMAGES = {"cifar10": 25_000, "cifar100": 5_000, "ImageNet16-120": 3_000}

Series = tuple[str, str]  # split, metric


class Trial(NamedTuple):
    """One training. S series, E epochs; NaN where the source has nothing."""

    seed: int
    series: tuple[Series, ...]  # [S]
    curves: NDArray[np.float32]  # [S, E]; a series that exists at the end only has NaN before
    last: NDArray[np.float64]  # [S] after the last epoch
    train_seconds: float  # of the whole training
    seconds: Mapping[str, float]  # split -> seconds of one pass over it
    parameters: float  # millions
    flops: float  # millions
    latency: float  # seconds


class Collector:
    """Gathers the trials of one import; `origin` is what errors call the source."""

    def __init__(self, origin: str, read: Callable[[str], Cell] | None = None) -> None:
        self.origin = origin
        self.space = NASBench201()
        self._read = read or self.space.parse  # of a cell's text
        self._known: dict[str, int] = {}
        # epochs -> training -> cell index -> trials in seed order
        self.trials: dict[int, dict[str, dict[int, list[Trial]]]] = {}

    def index(self, arch: Any, place: str) -> int:
        """Return the index of a printed cell; raise DataError with the place if it is none."""
        if type(arch) is not str:
            raise DataError(f"{self.origin}, {place}: expected a cell's text; got {arch!r:.60}.")
        index = self._known.get(arch)
        if index is None:
            try:
                index = self._known[arch] = self.space.index(self._read(arch))
            except ValueError as error:
                raise DataError(f"{self.origin}, {place}: {error}") from error
        return index

    def add(self, index: int, epochs: int, training: str, trials: Iterable[Trial]) -> None:
        """Add all trials of a cell; raise DataError if it has some already or repeats a seed."""
        ordered = sorted(trials, key=lambda trial: trial.seed)
        where = f"{self.origin}, cell {self.space.format(self.space.from_index(index))}, {training}"
        if len({trial.seed for trial in ordered}) < len(ordered) or len(ordered) > _MAX_TRIALS:
            raise DataError(f"{where}, {epochs} epochs: a trial is there twice, or too many are.")
        cells = self.trials.setdefault(epochs, {}).setdefault(training, {})
        if index in cells:
            raise DataError(f"{where}, {epochs} epochs: the cell is there twice.")
        cells[index] = ordered

    def recipes(self) -> list[int]:
        """Return the lengths of training, in epochs; raise DataError if nothing was gathered."""
        if not self.trials:
            raise DataError(f"{self.origin} holds no trial of any cell.")
        return sorted(self.trials)

    def arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all arrays of the table by name, and what describes each length of training.

        Names: EPOCHS/field for what a `Table` of that length has; EPOCHS/training/split/metric for
        every series, [N, T, E or 1], of the N cells that EPOCHS/training/cells lists.
        """
        arrays: dict[str, NDArray[Any]] = {}
        described: dict[str, Any] = {}
        for epochs in self.recipes():
            trainings = self.trials[epochs]
            for training, cells in trainings.items():
                arrays |= _details(f"{epochs}/{training}", cells)
            known = {name: _splits(cells) for name, cells in trainings.items()}
            found = roles(known)
            if not found:
                raise DataError(
                    f"{self.origin}: no validation accuracy at {epochs} epochs; splits: {known}."
                )
            fields, view = _view(found, trainings)
            arrays |= {f"{epochs}/{name}": array for name, array in view.items()}
            described[str(epochs)] = fields
        return arrays, described


def _splits(cells: Mapping[int, Sequence[Trial]]) -> set[str]:
    every = {series for trials in cells.values() for trial in trials for series in trial.series}
    return {split for split, metric in every if metric == "accuracy"}


def _stack(
    cells: Mapping[int, Sequence[Trial]], series: Series, *, curves: bool
) -> NDArray[np.floating[Any]]:
    """Return a series of all cells in index order: [N, T, E] float32, or [N, T] float64."""
    most = max(map(len, cells.values()))
    length = max(trial.curves.shape[1] for trials in cells.values() for trial in trials)
    shape = (len(cells), most, length) if curves else (len(cells), most)
    result = np.full(shape, np.nan, dtype=np.float32 if curves else np.float64)
    for n, index in enumerate(sorted(cells)):
        for t, trial in enumerate(cells[index]):
            if series in trial.series:
                s = trial.series.index(series)
                result[n, t] = trial.curves[s] if curves else trial.last[s]
    return result


def _details(prefix: str, cells: Mapping[int, Sequence[Trial]]) -> dict[str, NDArray[Any]]:
    """Return every series of one training in full."""
    order = sorted(cells)
    most = max(map(len, cells.values()))
    seeds = np.full((len(order), most), -1, dtype=np.int64)
    for n, index in enumerate(order):
        seeds[n, : len(cells[index])] = [trial.seed for trial in cells[index]]
    result: dict[str, NDArray[Any]] = {
        f"{prefix}/cells": np.array(order, dtype=np.int32),
        f"{prefix}/seeds": seeds,
    }
    every = {series for trials in cells.values() for trial in trials for series in trial.series}
    for split, metric in sorted(every):
        name = f"{prefix}/{split}/{metric}"
        result[f"{name}/last"] = _stack(cells, (split, metric), curves=False)
        curves = _stack(cells, (split, metric), curves=True)
        if curves.shape[2] > 1 and not np.isnan(curves[:, :, 0]).all():
            result[f"{name}/curve"] = curves
    return result


def _view(
    found: Sequence[Role], trainings: Mapping[str, Mapping[int, Sequence[Trial]]]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the fields and arrays of the `Table` of one length of training."""
    finals = [_spread(trainings[role.training], (role.valid, "accuracy")) for role in found]
    exact, images = _as_counts(_join(finals), [role.dataset for role in found])
    arrays: dict[str, NDArray[Any]] = {"correct": exact}
    loss = _join([_spread(trainings[role.training], (role.valid, "loss")) for role in found])
    if not np.isnan(loss).all():
        arrays["valid_loss"] = loss
    tests = [
        _spread(trainings[role.test_training], (role.test, "accuracy"))
        if role.test is not None
        else np.full((SIZE, 1), np.nan)
        for role in found
    ]
    if any(role.test is not None for role in found):
        arrays["test_accuracy"] = _join(tests)
    costs = [_costs(trainings[role.training], role.valid) for role in found]
    arrays |= {name: np.stack([cost[name] for cost in costs]) for name in costs[0]}
    for optional in ("valid_seconds", "flops"):
        if np.isnan(arrays[optional]).all():
            del arrays[optional]
    arrays |= _curves(found, trainings, exact.shape[2])
    fields = {
        "datasets": [role.dataset for role in found],
        "images": images,
        "valid_split": [f"{role.valid} of {role.training}" for role in found],
        "test_split": [
            "" if role.test is None else f"{role.test} of {role.test_training}" for role in found
        ],
    }
    return fields, arrays


def _spread(cells: Mapping[int, Sequence[Trial]], series: Series) -> NDArray[np.float64]:
    """Return a series' last values with a row for each of the 15,625 cells; [G, T]."""
    values = _stack(cells, series, curves=False)
    result = np.full((SIZE, values.shape[1]), np.nan)
    result[sorted(cells)] = values
    return result


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


def _costs(cells: Mapping[int, Sequence[Trial]], valid: str) -> dict[str, NDArray[Any]]:
    """Return the means over trials of times, size and work; [G] each."""
    names = ("train_seconds", "valid_seconds", "latency_seconds", "parameters", "flops")
    result = np.full((len(names), SIZE), np.nan)
    for index, trials in cells.items():
        rows = np.array(
            [
                (t.train_seconds, t.seconds.get(valid, np.nan), t.latency, t.parameters, t.flops)
                for t in trials
            ]
        )
        known = ~np.isnan(rows)
        number = known.sum(axis=0)
        total = np.where(known, rows, 0).sum(axis=0)
        result[:, index] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    arrays: dict[str, NDArray[Any]] = dict(zip(names, result, strict=True))
    size = arrays["parameters"] * 1e6
    arrays["parameters"] = np.where(np.isnan(size), UNKNOWN_PARAMETERS, np.rint(size)).astype(
        np.int64
    )
    return arrays


def _curves(
    found: Sequence[Role],
    trainings: Mapping[str, Mapping[int, Sequence[Trial]]],
    most: int,
) -> dict[str, NDArray[Any]]:
    """Return the validation curves, [D, N, T, E], and the N cells; nothing without curves."""
    parts = []
    for role in found:
        values = _stack(trainings[role.training], (role.valid, "accuracy"), curves=True)
        whole = not np.isnan(values[~np.isnan(values[:, :, -1])]).any()
        parts.append(values if whole and values.shape[2] > 1 else None)
    lengths = {part.shape[2] for part in parts if part is not None}
    if len(lengths) != 1:
        return {}
    cells = np.array(sorted(set().union(*(trainings[role.training] for role in found))), np.int64)
    result = np.full((len(found), len(cells), most, *lengths), np.nan, dtype=np.float32)
    for d, (role, part) in enumerate(zip(found, parts, strict=True)):
        if part is not None:
            rows = np.searchsorted(cells, sorted(trainings[role.training]))
            result[d, rows, : part.shape[1]] = part
    return {"valid_curve": result, "curve_cells": cells}
