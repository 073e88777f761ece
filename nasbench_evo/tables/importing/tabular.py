"""One's own table: rows in CSV or Parquet, or JSON.

Columns: `arch`, `dataset`, `epochs` (length of the training), `split` (train, valid, x-valid, test,
x-test, ori-test), `trial` (an integer), `accuracy` (percent); optional `loss` (nats), `seconds`
(valid, test and so on: of one pass over the split; train: of the whole training), `params`
and `flops` (millions), `latency` (seconds), and `epoch` (1..epochs, of a learning curve; a row
without it is the last epoch). JSON: a list of such rows, or {arch: accuracy}.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nasbench_evo.errors import DataError, Unsupported
from nasbench_evo.tables.importing.collector import Collector, Series, Trial
from nasbench_evo.tables.importing.roles import SPLITS, TRAIN

REQUIRED = ("arch", "dataset", "epochs", "split", "trial", "accuracy")
OPTIONAL = ("loss", "seconds", "params", "flops", "latency", "epoch")
# What {arch: accuracy} stands for.
PLAIN = {"dataset": "own", "epochs": 1, "split": "valid", "trial": 0}
_MAX_EPOCHS = 10_000


class _Key(NamedTuple):
    cell: int
    training: str
    epochs: int
    trial: int


class _Draft:
    """A trial whose rows are still coming."""

    def __init__(self) -> None:
        self.values: dict[Series, dict[int, float]] = {}
        self.seconds: dict[str, float] = {}
        self.facts: dict[str, float] = {}


def read(path: Path, collector: Collector) -> None:
    """Gather the rows of a file; raise DataError naming the file and the row of an error."""
    readers = {".csv": _csv, ".parquet": _parquet, ".json": _json}
    drafts: dict[_Key, _Draft] = {}
    for place, row in readers[path.suffix.lower()](path):
        try:
            _take(row, place, drafts, collector)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{collector.origin}, {place}: {error}") from error
    trials: dict[tuple[int, int, str], list[Trial]] = {}
    for key, draft in drafts.items():
        found = trials.setdefault((key.cell, key.epochs, key.training), [])
        found.append(_finish(key, draft, collector))
    for (cell, epochs, training), group in trials.items():
        collector.add(cell, epochs, training, group)


def _rows_of(table: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(table, start=1):
        if not isinstance(row, dict):
            raise DataError(f"row {number}: expected a row with named columns.")
        yield f"row {number}", row


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(reader.fieldnames or [], path)
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(f"{path}, line {reader.line_num}: too many or too few columns.")
                yield f"line {reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV table: {error}.") from error


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise Unsupported(
            "Parquet tables need pyarrow: pip install pyarrow, or save the table as CSV."
        ) from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise DataError(f"{path} is no Parquet table: {error}") from error
    _check_columns(table.column_names, path)
    for batch in table.to_batches():
        yield from _rows_of(batch.to_pylist())


def _json(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is no JSON table: {error}.") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if isinstance(content, dict):
        for arch, accuracy in content.items():
            yield f"entry {arch!r}", {**PLAIN, "arch": arch, "accuracy": accuracy}
    elif isinstance(content, list):
        _check_columns(set().union(*(row for row in content if isinstance(row, dict))), path)
        yield from _rows_of(content)
    else:
        raise DataError(f"{path}: expected a list of rows or {{arch: accuracy}}.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice.")
    return result


def _check_columns(columns: Any, path: Path) -> None:
    absent = [name for name in REQUIRED if name not in columns]
    extra = sorted(set(columns) - {*REQUIRED, *OPTIONAL})
    if absent or extra:
        raise DataError(
            f"{path}: missing columns {absent}, unknown columns {extra}; expected "
            f"{', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}."
        )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueError(f"{name} is no number: {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is no finite number: {value!r}")
    return number


def _integer(row: Mapping[str, Any], name: str, low: int, high: int) -> int:
    number = _number(row, name)
    if number is None or number != int(number) or not low <= number <= high:
        raise ValueError(f"{name} must be an integer {low}..{high}; got {row.get(name)!r}")
    return int(number)


def _take(
    row: Mapping[str, Any], place: str, drafts: dict[_Key, _Draft], collector: Collector
) -> None:
    """Add one row to its trial; raise ValueError saying what is wrong with it."""
    epochs = _integer(row, "epochs", 1, _MAX_EPOCHS)
    cell = collector.index(str(row["arch"]), place)
    training, split = str(row["dataset"]), str(row["split"])
    if not training or "/" in training:
        raise ValueError(f"dataset must be a name without '/'; got {training!r}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    accuracy = _number(row, "accuracy")
    if accuracy is None or not 0 <= accuracy <= 100:
        raise ValueError(f"accuracy must be 0..100 percent; got {row['accuracy']!r}")
    given = _number(row, "epoch") is not None
    epoch = _integer(row, "epoch", 1, epochs) if given else epochs
    key = _Key(cell, training, epochs, _integer(row, "trial", 0, 2**62))
    draft = drafts.setdefault(key, _Draft())
    values = draft.values.setdefault((split, "accuracy"), {})
    if epoch in values:
        raise ValueError(
            f"a second row for {row['arch']}, {training}, {split}, trial {key.trial}, epoch {epoch}"
        )
    values[epoch] = accuracy
    loss = _number(row, "loss")
    if loss is not None:
        draft.values.setdefault((split, "loss"), {})[epoch] = loss
    seconds = _number(row, "seconds")
    if seconds is not None and epoch == epochs:
        draft.seconds[split] = seconds
    for name in ("params", "flops", "latency"):
        _fact(draft, name, _number(row, name))


def _fact(draft: _Draft, name: str, value: float | None) -> None:
    """Keep a fact of the whole trial; raise ValueError if two rows disagree."""
    if value is not None and draft.facts.setdefault(name, value) != value:
        raise ValueError(
            f"{name} is {draft.facts[name]} in another row of this trial, here {value}"
        )


def _finish(key: _Key, draft: _Draft, collector: Collector) -> Trial:
    """Return a trial whose rows are complete; raise DataError for a curve with holes."""
    series = tuple(draft.values)
    curves = np.full((len(series), key.epochs), np.nan)
    for row, values in zip(curves, draft.values.values(), strict=True):
        for epoch, value in values.items():
            row[epoch - 1] = value
    there = ~np.isnan(curves)
    whole = there.all(axis=1) | (there[:, -1] & (there.sum(axis=1) == 1))
    if not whole.all():
        name = collector.space.format(collector.space.from_index(key.cell))
        split, metric = series[int(np.argmin(whole))]
        raise DataError(
            f"{collector.origin}, {name}, {key.training}, trial {key.trial}: {split} {metric} "
            f"needs every epoch 1..{key.epochs} or the last only."
        )
    nan = float("nan")
    return Trial(
        seed=key.trial,
        series=series,
        curves=curves.astype(np.float32),
        last=curves[:, -1].copy(),
        train_seconds=draft.seconds.get(TRAIN, nan),
        seconds={split: time for split, time in draft.seconds.items() if split != TRAIN},
        parameters=draft.facts.get("params", nan),
        flops=draft.facts.get("flops", nan),
        latency=draft.facts.get("latency", nan),
    )
