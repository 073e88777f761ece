"""Rows with named columns in CSV, Parquet or JSON, read in parts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from nasbench_evo import names as names_
from nasbench_evo.errors import DataError, InputError, Unsupported

ENDINGS = (".csv", ".parquet", ".json")
_ROWS = 20_000  # of a part
_COLUMNS = 1_000
JSON_BYTES = 16 << 20  # parsed it takes up to twenty times as much
_PARQUET_ROWS = 500_000  # and one for each byte of the file


class Part(NamedTuple):
    """Some rows: where each stands, and the values by column; None or '' where there is none."""

    kind: str  # what a row is called: line, row or entry
    places: Sequence[Any]
    columns: dict[str, Sequence[Any]]

    def place(self, i: int) -> str:
        """Return where row i of the part stands, for messages."""
        return f"{self.kind} {self.places[i]}"


def check_header(header: Sequence[str], path: Path) -> None:
    """Raise DataError for a column that is there twice, one without a name, or too many."""
    if len(header) > _COLUMNS:
        raise DataError(f"{path} has {len(header)} columns; {_COLUMNS} are the most.")
    for name, number in Counter(header).items():
        if name and number > 1:
            raise DataError(f"{path}: the column {name!a:.80} is there twice.")
        try:
            names_.checked("a column", name or "-")
        except InputError as error:
            raise DataError(f"{path}: {error}") from error


def parts(path: Path, root: Any = None) -> Iterator[Part]:
    """Yield the rows of a file; raise DataError where it is none of its kind.

    `root` is the content of a JSON file where that was read already.
    """
    if path.suffix.lower() == ".json":
        return _json(json_root(path) if root is None else root, path)
    readers = {".csv": _csv, ".parquet": _parquet}
    return readers[path.suffix.lower()](path)


def _csv(path: Path) -> Iterator[Part]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            check_header(header, path)
            # No rows: the columns are judged before any row is.
            yield Part("line", [], {name: [] for name in header})
            numbered = ((reader.line_num, row) for row in reader if row)
            while rows := list(islice(numbered, _ROWS)):
                for line, row in rows:
                    if len(row) != len(header):
                        raise DataError(f"{path}, line {line}: too many or too few columns.")
                values = list(zip(*(row for _, row in rows), strict=True))
                yield Part(
                    "line", [line for line, _ in rows], dict(zip(header, values, strict=True))
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV table: {error}.") from error


def _parquet(path: Path) -> Iterator[Part]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise Unsupported(
            "Parquet tables need pyarrow: pip install pyarrow, or save the table as CSV."
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            check_header(file.schema_arrow.names, path)
            rows, most = file.metadata.num_rows, _PARQUET_ROWS + path.stat().st_size
            if rows > most:  # columns of one value take no room in the file
                raise DataError(f"{path} has {rows} rows; a file of its size may have {most}.")
            yield Part("row", [], {name: [] for name in file.schema_arrow.names})
            start = 1
            for batch in file.iter_batches(_ROWS):
                yield Part("row", range(start, start + len(batch)), batch.to_pydict())
                start += len(batch)
    except (OSError, ArrowException) as error:
        raise DataError(f"{path} is no Parquet table: {error}") from error


def json_root(path: Path) -> Any:
    """Return the content of a JSON file; raise DataError where it is none, or too large."""
    if path.stat().st_size > JSON_BYTES:
        raise DataError(
            f"{path} is larger than {JSON_BYTES >> 20} MB, which takes too much memory as JSON. "
            "Save it as CSV or Parquet."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is no JSON table: {error}.") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _json(content: Any, path: Path) -> Iterator[Part]:
    if isinstance(content, dict):
        yield _entries(content, path)
        return
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of rows or {{arch: accuracy}}.")
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: expected a row with named columns.")
    names = list(dict.fromkeys(name for row in content for name in row))
    check_header(names, path)
    yield Part("row", [], {name: [] for name in names})
    for start in range(0, len(content), _ROWS):
        rows = content[start : start + _ROWS]
        columns: dict[str, Sequence[Any]] = {n: [row.get(n) for row in rows] for n in names}
        yield Part("row", range(start + 1, start + 1 + len(rows)), columns)


def _entries(content: dict[str, Any], path: Path) -> Part:
    """Return {arch: accuracy}, or {arch: [accuracy of each trial]}, as columns."""
    trials = [value if isinstance(value, list) else [value] for value in content.values()]
    most = max(map(len, trials), default=1)
    if not all(trials):
        raise DataError(f"{path}: an entry without an accuracy.")
    columns: dict[str, Sequence[Any]] = {"arch": list(content)}
    for t in range(most):
        name = "valid" if most == 1 else f"valid_{t}"
        columns[name] = [values[t] if t < len(values) else None for values in trials]
    return Part("entry", [repr(arch) for arch in content], columns)  # numbered from 1 later


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        numbers = Counter(name for name, _ in pairs)
        twice = next(name for name, number in numbers.items() if number > 1)
        raise ValueError(f"the key {twice!a:.80} is there twice.")
    return result
