"""One's own table: rows in CSV, Parquet or JSON; `columns` says what is what.

Rows become arrays at once, part by part, and trainings by sorting them: 350,000 rows take seconds
and little memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import names
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.spaces import Choices
from nasbench_evo.tables.importing import sheets
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.columns import Plan, Reading, plan, taken
from nasbench_evo.tables.importing.grouping import Rows, group
from nasbench_evo.tables.importing.roles import SPLITS
from nasbench_evo.tables.importing.sheets import Part
from nasbench_evo.tables.metric import ACCURACY

OWN, PLAIN_EPOCHS = "own", 1  # data set and length of a table that names neither
_MAX_EPOCHS = 10_000
_MAX_DATASETS = 100
_FACTS = {"params": "parameters", "flops": "flops", "latency": "latency_seconds"}


def read(
    path: Path, collector: Collector, reading: Reading | None = None, root: Any = None
) -> None:
    """Gather the rows of a file; raise DataError naming the file and the row of an error.

    `root` is the content of a JSON file that was read already (`sheets.json_root`).
    """
    reading = reading or Reading()
    reader: _Reader | None = None
    space = collector.space
    for part in sheets.parts(path, root):
        if reader is None:
            genes = [g.name for g in space.genes] if isinstance(space, Choices) else []
            chosen = plan(list(part.columns), reading, str(path), genes)
            reader = _Reader(chosen, reading, collector)
        if len(part.places):
            try:
                reader.take(part)
            except _Wrong as error:
                place = part.place(error.row)
                raise DataError(f"{collector.origin}, {place}: {error}") from error
    if reader is None or not reader.parts:
        raise DataError(f"{collector.origin} holds no trial of any cell.")
    collector.words += reader.words
    rows = Rows.joined(reader.parts, reader.trainings, reader.kind).ordered()
    if collector.metric == ACCURACY:
        _rescale(rows, reading.scale, collector.origin)
    group(rows, collector)


class _Wrong(ValueError):
    """What is wrong in one row of a part."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


class _Reader:
    """Turns parts of a file into arrays of rows."""

    def __init__(self, plan_: Plan, reading: Reading, collector: Collector) -> None:
        self.plan = plan_
        self.reading = reading
        self.collector = collector
        self.parts: list[Rows] = []
        self.trainings: dict[str, int] = {}
        self.metrics = list(plan_.metrics)
        self.words = list(plan_.words)
        self.kind = "row"

    def take(self, part: Part) -> None:
        """Add the rows of a part."""
        columns, roles = part.columns, self.plan.roles
        self.kind = part.kind
        n = len(part.places)
        archs = columns[roles["arch"]] if "arch" in roles else _printed(part, self.plan.genes)
        index = self.collector.index
        cells = np.empty(n, np.int64)
        for i, arch in enumerate(archs):
            cells[i] = index(str(arch), part.place(i))
        training = self._trainings(columns[roles["dataset"]] if "dataset" in roles else (), n)
        epochs = self._integers(part, "epochs", 1, _MAX_EPOCHS, self.reading.epochs or PLAIN_EPOCHS)
        facts = {
            name: _floats(columns[roles[role]], role) if role in roles else np.full(n, np.nan)
            for role, name in _FACTS.items()
        }
        facts |= self._own(part)
        common = {"cell": cells, "training": training, "epochs": epochs, "line": _lines(part)}
        if self.plan.long:
            self._long(part, common, facts)
        else:
            self._wide(part, common, facts)

    def _trainings(self, values: Sequence[Any], n: int) -> NDArray[np.int64]:
        """Return the number of each row's training set."""
        codes = self.trainings
        if not values:
            values = (self.reading.dataset or OWN,) * n
        for i, value in enumerate(values):
            if str(value) not in codes:
                try:
                    names.checked("dataset", str(value))
                except InputError as error:
                    raise _Wrong(i, str(error)) from error
                if "/" in str(value) or len(codes) >= _MAX_DATASETS:
                    raise _Wrong(
                        i,
                        "dataset must be a name without '/', of not more than "
                        f"{_MAX_DATASETS}; got {value!a:.80}",
                    )
                codes[str(value)] = len(codes)
        return np.fromiter((codes[str(value)] for value in values), np.int64, n)

    def _integers(
        self, part: Part, role: str, low: int, high: int, default: int
    ) -> NDArray[np.int64]:
        """Return the integers of a role; `default` where the table has no such column."""
        if role not in self.plan.roles:
            return np.full(len(part.places), default, np.int64)
        values = part.columns[self.plan.roles[role]]
        found = _floats(values, role)
        wrong = ~((found == np.floor(found)) & (found >= low) & (found <= high))
        if wrong.any():
            i = int(wrong.argmax())
            raise _Wrong(i, f"{role} must be an integer {low}..{high}; got {values[i]!a:.80}")
        if high > 2**53:  # beyond what a float holds exactly
            digits = (str(v).strip().lstrip("+-").isdigit() for v in values)
            exact = (int(v) if d else int(float(v)) for v, d in zip(values, digits, strict=True))
            return np.fromiter(exact, "i8", len(values))
        return found.astype(np.int64)

    def _own(self, part: Part) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of the source's own; a column with texts is left out with a word."""
        found = {}
        for name in list(self.metrics):
            try:
                found[name] = _floats(part.columns[name], name)
            except _Wrong:
                self.metrics.remove(name)
                self.words.remove(taken(name))
                self.words.append(f"The column {name!r} is no number everywhere; it is ignored.")
                for earlier in self.parts:
                    earlier.facts.pop(name, None)
        return found

    def _long(self, part: Part, common: dict[str, Any], facts: dict[str, Any]) -> None:
        """Add rows that are one accuracy each."""
        columns, roles = part.columns, self.plan.roles
        splits = columns[roles["split"]]
        for i, split in enumerate(splits):
            if split not in SPLITS:
                raise _Wrong(i, f"unknown split {split!a:.80}; known: {', '.join(SPLITS)}")
        n = len(part.places)
        values = {
            role: _floats(columns[roles[role]], role) if role in roles else np.full(n, np.nan)
            for role in ("accuracy", "loss", "seconds", "epoch")
        }
        accuracy, epoch = values["accuracy"], values["epoch"]
        self._check(accuracy, columns[roles["accuracy"]])
        known = np.stack([values["loss"], values["seconds"], *facts.values()])
        empty = np.isnan(accuracy) & np.isnan(known).all(axis=0)
        if empty.any():
            raise _Wrong(int(empty.argmax()), "accuracy must be 0..100 percent; got ''")
        given = ~np.isnan(epoch)
        epochs = common["epochs"]
        wrong = given & ~((epoch == np.floor(epoch)) & (epoch >= 1) & (epoch <= epochs))
        if wrong.any():
            i = int(wrong.argmax())
            raise _Wrong(i, f"epoch must be an integer 1..{epochs[i]}; got {epoch[i]:g}")
        self.parts.append(
            Rows(
                **common,
                trial=self._integers(part, "trial", 0, 2**62, 0),
                split=np.fromiter((SPLITS.index(split) for split in splits), np.int64, n),
                epoch=np.where(given, epoch, epochs).astype(np.int64),
                accuracy=accuracy,
                loss=values["loss"],
                seconds=values["seconds"],
                facts=facts,
            )
        )

    def _wide(self, part: Part, common: dict[str, Any], facts: dict[str, Any]) -> None:
        """Add rows that are one genotype each: a block of rows for each split and trial."""
        columns, roles = part.columns, self.plan.roles
        n = len(part.places)
        nothing = np.full(n, np.nan)
        pairs = [
            (s, t, name) for s, names in self.plan.trials.items() for t, name in enumerate(names)
        ]
        for split, trial, name in pairs:
            accuracy = _floats(columns[name], "accuracy")
            self._check(accuracy, columns[name], needed=split == "valid" and trial == 0)
            rows = self._block(common, split, trial, facts)
            self.parts.append(Rows(**rows, accuracy=accuracy, loss=nothing, seconds=nothing))
        for role, split, metric in (("seconds", "train", "seconds"), ("loss", "valid", "loss")):
            if role in roles:
                values = _floats(columns[roles[role]], role)
                for trial in range(len(self.plan.trials["valid"])):
                    rows = self._block(common, split, trial, facts)
                    more: dict[str, Any] = {"loss": nothing, "seconds": nothing, metric: values}
                    self.parts.append(Rows(**rows, accuracy=nothing, **more))

    def _check(
        self, accuracy: NDArray[np.float64], values: Sequence[Any], *, needed: bool = False
    ) -> None:
        """Raise _Wrong for an accuracy outside 0..100, or one that is needed and not there."""
        there = ~np.isnan(accuracy)
        wrong = ~there & needed
        if self.collector.metric == ACCURACY:
            with np.errstate(invalid="ignore"):
                wrong |= there & ~((accuracy >= 0) & (accuracy <= 100))
        if wrong.any():
            i = int(wrong.argmax())
            raise _Wrong(i, f"accuracy must be 0..100 percent; got {values[i]!a:.80}")

    def _block(
        self, common: dict[str, Any], split: str, trial: int, facts: dict[str, Any]
    ) -> dict[str, Any]:
        n = len(common["cell"])
        return {
            **common,
            "trial": np.full(n, trial, np.int64),
            "split": np.full(n, SPLITS.index(split), np.int64),
            "epoch": common["epochs"],
            "facts": facts,
        }


def _printed(part: Part, genes: Sequence[str]) -> list[str]:
    """Return the printed genotype of each row that has a column for every gene."""
    rows = zip(*(part.columns[gene] for gene in genes), strict=True)
    return [",".join(f"{g}={v}" for g, v in zip(genes, row, strict=True)) for row in rows]


def _lines(part: Part) -> NDArray[np.int64]:
    """Return the numbers that name a part's rows; entries are counted."""
    if part.kind == "entry":
        return np.arange(1, len(part.places) + 1)
    return np.fromiter(part.places, np.int64, len(part.places))


def _floats(values: Sequence[Any], role: str) -> NDArray[np.float64]:
    """Return numbers, NaN where there is none; raise _Wrong for what is no finite number."""
    nan = math.nan
    try:
        found = np.array([nan if v is None or v == "" else float(v) for v in values], np.float64)
    except (TypeError, ValueError, OverflowError):
        for i, value in enumerate(values):
            try:
                float(0 if value is None or value == "" else value)
            except (TypeError, ValueError, OverflowError) as error:
                raise _Wrong(i, f"{role}: {error!s:.120}") from error
        raise
    strange = ~np.isfinite(found)
    for i in np.flatnonzero(strange).tolist():
        if values[i] is not None and values[i] != "":
            raise _Wrong(i, f"{role} is no finite number: {values[i]!a:.80}")
    if bool in set(map(type, values)):
        i = [type(value) for value in values].index(bool)
        raise _Wrong(i, f"{role} is no number: {values[i]!a:.80}")
    return found


def _rescale(rows: Rows, scale: str | None, origin: str) -> None:
    """Make percent of fractions; raise DataError where the numbers and what is said differ.

    Each split of each training set is judged alone: one of them in fractions would be read as
    percent beside the others.
    """
    known = ~np.isnan(rows.accuracy)
    keys = rows.training * len(SPLITS) + rows.split
    for key in np.unique(keys[known]).tolist():
        highest = float(rows.accuracy[known & (keys == key)].max())
        training, split = divmod(key, len(SPLITS))
        place = f"{origin}, {SPLITS[split]} of {rows.names[training]}"
        if scale == "fraction" and highest > 1:
            raise DataError(f"{place}: --scale fraction, but an accuracy is {highest:g}.")
        if scale is None and 0 < highest <= 1:
            raise DataError(
                f"{place}: the highest accuracy is {highest:g}: percent are expected. If all of "
                "the file are fractions say --scale fraction, if all are percent --scale percent."
            )
    if scale == "fraction":
        rows.accuracy *= 100.0
