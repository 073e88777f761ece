"""Rows of one accuracy each, sorted into trainings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError
from nasbench_evo.tables.importing.collector import MAX_TRIALS, Collector
from nasbench_evo.tables.importing.roles import ORIGINAL, OWN_VALIDATION, SPLITS, TEST, TRAIN, VALID
from nasbench_evo.tables.importing.trainings import COSTS, Floats, Series, Trainings

_FLOATS = ("accuracy", "loss", "seconds")
_INTEGERS = ("cell", "training", "epochs", "line", "trial", "split", "epoch")


@dataclasses.dataclass
class Rows:
    """R rows of a table; NaN where a row has no such number."""

    cell: NDArray[np.int64]  # [R] row of the table
    training: NDArray[np.int64]  # [R] number of the training set
    epochs: NDArray[np.int64]  # [R] length of the training
    line: NDArray[np.int64]  # [R] where it stands
    trial: NDArray[np.int64]  # [R]
    split: NDArray[np.int64]  # [R] position in SPLITS
    epoch: NDArray[np.int64]  # [R] 1..epochs
    accuracy: NDArray[np.float64]  # [R]
    loss: NDArray[np.float64]  # [R]
    seconds: NDArray[np.float64]  # [R]
    facts: dict[str, NDArray[np.float64]]  # [R] of the whole trial, by name
    names: Sequence[str] = ()  # of the training sets
    kind: str = "line"  # what `line` counts

    @classmethod
    def joined(cls, parts: Sequence[Rows], trainings: Mapping[str, int], kind: str) -> Rows:
        """Return the rows of all parts as one."""
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in (*_INTEGERS, *_FLOATS)
        }
        known = [name for name in parts[0].facts if all(name in part.facts for part in parts)]
        facts = {name: np.concatenate([part.facts[name] for part in parts]) for name in known}
        return cls(**arrays, facts=facts, names=list(trainings), kind=kind)

    def ordered(self) -> Rows:
        """Return the rows with the training sets in the order of their names, not of the file."""
        names = sorted(self.names)
        number = np.array([names.index(name) for name in self.names], np.int64)
        return dataclasses.replace(self, training=number[self.training], names=names)

    def at(self, kept: NDArray[Any]) -> Rows:
        """Return some of the rows."""
        arrays: dict[str, Any] = {n: getattr(self, n)[kept] for n in (*_INTEGERS, *_FLOATS)}
        facts = {name: values[kept] for name, values in self.facts.items()}
        return Rows(**arrays, facts=facts, names=self.names, kind=self.kind)


def group(rows: Rows, collector: Collector) -> None:
    """Add the trainings that the rows make; raise DataError naming a row that fits none."""
    keys = rows.epochs * (len(rows.names) + 1) + rows.training
    for key in np.unique(keys):
        mine = rows.at(np.flatnonzero(keys == key))
        name, epochs = rows.names[int(mine.training[0])], int(mine.epochs[0])
        _unify(mine, name)
        collector.add_block(epochs, name, _Block(mine, name, epochs, collector).trainings())


def _unify(rows: Rows, training: str) -> None:
    """Give the spellings of one role one name: valid or x-valid, test or x-test.

    On cifar10 ori-test is the test split too. Where trials of both spellings are of one genotype
    they would be two numbers for one: that is refused as a second row.
    """
    tests = (*TEST, ORIGINAL) if training.removesuffix("-valid") in OWN_VALIDATION else TEST
    for aliases in (VALID, tests):
        codes = [SPLITS.index(alias) for alias in aliases]
        there = [code for code in codes if (rows.split == code).any()]
        if len(there) > 1:
            rows.split[np.isin(rows.split, there)] = SPLITS.index(aliases[1])


class _Block:
    """The rows of one training set and length, and where each stands in [N, T]."""

    def __init__(self, rows: Rows, training: str, epochs: int, collector: Collector) -> None:
        self.rows, self.training, self.epochs = rows, training, epochs
        self.origin, self.space = collector.origin, collector.space
        self.cells, self.n = np.unique(rows.cell, return_inverse=True)
        order = np.lexsort((rows.trial, self.n))
        n, trial = self.n[order], rows.trial[order]
        first = np.r_[True, n[1:] != n[:-1]]
        new = first | np.r_[True, trial[1:] != trial[:-1]]
        number = np.cumsum(new) - 1
        start = np.maximum.accumulate(np.where(first, number, 0))
        self.t = np.empty(len(n), np.int64)
        # which of the genotype's different trials a row is of, counted from 0
        self.t[order] = number - start
        self.shape = (len(self.cells), int(self.t.max()) + 1)
        if self.shape[1] > MAX_TRIALS:
            raise DataError(
                f"{self.origin}, {training}: {self.shape[1]} trials of a cell; {MAX_TRIALS} are "
                "the most."
            )

    def _where(self, i: int) -> str:
        rows = self.rows
        name = self.space.format(self.space.from_index(int(rows.cell[i])))
        return f"{name}, {self.training}, {SPLITS[rows.split[i]]}, trial {rows.trial[i]}"

    def trainings(self) -> Trainings:
        """Return the arrays of the block, checked."""
        rows = self.rows
        self._check_twice()
        seeds = np.full(self.shape, -1, np.int64)
        seeds[self.n, self.t] = rows.trial
        last: dict[Series, Floats] = {}
        curves: dict[Series, Floats] = {}
        for code in np.unique(rows.split):
            for metric, values in (("accuracy", rows.accuracy), ("loss", rows.loss)):
                mine = np.flatnonzero((rows.split == code) & ~np.isnan(values))
                if mine.size:
                    series = (SPLITS[code], metric)
                    last[series], curve = self._series(mine, values[mine], series)
                    if curve is not None:
                        curves[series] = curve
        seconds = self._seconds()
        costs = {name: self._fact(name) for name in rows.facts}
        costs["train_seconds"] = seconds.pop(TRAIN, np.full(self.shape, np.nan))
        for name in COSTS:
            costs.setdefault(name, np.full(self.shape, np.nan))
        return Trainings(self.cells, seeds, last, curves, costs, seconds)

    def _check_twice(self) -> None:
        """Raise DataError for a second row of one number."""
        rows = self.rows
        keys = (rows.epoch, rows.split, self.t, self.n)
        for values in (rows.accuracy, rows.loss, rows.seconds):
            (given,) = np.nonzero(~np.isnan(values))  # a number may come in rows of its own
            own = [key[given] for key in keys]
            order = given[np.lexsort((rows.line[given], *own))]
            same = np.ones(max(len(order) - 1, 0), bool)
            for key in keys:
                same &= key[order][1:] == key[order][:-1]
            if same.any():
                i = int(min(order[1:][same], key=lambda k: rows.line[k]))
                place = f"{self.origin}, {rows.kind} {rows.line[i]}"
                raise DataError(
                    f"{place}: a second row for {self._where(i)}, epoch {rows.epoch[i]}."
                )

    def _series(
        self, mine: NDArray[np.intp], values: NDArray[np.float64], series: Series
    ) -> tuple[Floats, Floats | None]:
        """Return the last values [N, T] and the curves [N, T, E]; DataError for holes in one."""
        rows, epochs = self.rows, self.epochs
        n, t, epoch = self.n[mine], self.t[mine], rows.epoch[mine]
        last = np.full(self.shape, np.nan)
        ends = epoch == epochs
        last[n[ends], t[ends]] = values[ends]
        count = np.zeros(self.shape, np.int64)
        np.add.at(count, (n, t), 1)
        wrong = (count > 0) & ~((count == epochs) | ((count == 1) & ~np.isnan(last)))
        if wrong.any():
            a, b = np.argwhere(wrong)[0]
            i = int(mine[np.flatnonzero((n == a) & (t == b))[0]])
            raise DataError(
                f"{self.origin}, {self._where(i)}: {series[1]} needs every epoch 1..{epochs} or "
                "the last only."
            )
        if epochs == 1 or ends.all():
            return last, None
        curve = np.full((*self.shape, epochs), np.nan, np.float32)
        curve[n, t, epoch - 1] = values
        return last, curve

    def _seconds(self) -> dict[str, Floats]:
        """Return the seconds of each split, [N, T], from the rows of the last epoch."""
        rows, found = self.rows, {}
        known = ~np.isnan(rows.seconds) & (rows.epoch == rows.epochs)
        for code in np.unique(rows.split[known]):
            mine = known & (rows.split == code)
            values = np.full(self.shape, np.nan)
            values[self.n[mine], self.t[mine]] = rows.seconds[mine]
            found[SPLITS[code]] = values
        return found

    def _fact(self, name: str) -> Floats:
        """Return a fact of each trial [N, T]; DataError if two rows of it disagree."""
        rows, values = self.rows, np.full(self.shape, np.nan)
        mine = np.flatnonzero(~np.isnan(rows.facts[name]))[::-1]  # the first row of a trial stays
        given = rows.facts[name][mine]
        values[self.n[mine], self.t[mine]] = given
        kept = values[self.n[mine], self.t[mine]]
        wrong = kept != given
        if wrong.any():
            i = int(mine[wrong][-1])
            raise DataError(
                f"{self.origin}, {rows.kind} {rows.line[i]}: {name} is {kept[wrong][-1]} in "
                f"another row of this trial, here {rows.facts[name][i]}."
            )
        return values
