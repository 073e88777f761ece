"""Published accuracies as data, and what may be said when ours stand beside them."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.suite import PUBLISHED, bundled_file

Judgement = Literal["match", "differs", "not comparable"]

_TABLE_KEYS = {"source", "space", "budget", "protocol", "columns", "methods"}
_PROTOCOL = {
    "stated": bool,
    "weights": str,
    "searched_epochs": int,
    "seconds": int,
    "searched_on": str,
}
_OPTIONAL_KEYS = {"runs", "printed", *_PROTOCOL}
_SPLITS = ("valid", "test")
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class PublishedRow:
    """One published accuracy in percent.

    `std` and `runs` are None where the source gives none; `algorithm` is the name of ours that
    the method corresponds to, None for a method that we do not have. The last fields are
    what `budget` and `protocol` say in words: whether the source states them, "shared" weights, the
    epochs and the data set that the search saw, and its simulated seconds; None where unknown.
    """

    method: str
    algorithm: str | None
    space: str
    dataset: str
    split: str
    mean: float
    std: float | None
    runs: int | None
    budget: str
    protocol: str
    source: str
    stated: bool = True
    weights: str | None = None
    searched_epochs: int | None = None
    seconds: int | None = None
    searched_on: str | None = None

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean in percent; None if the spread or the runs are unknown."""
        if self.std is None or self.runs is None:
            return None
        return self.std / math.sqrt(self.runs)


class Verdict(NamedTuple):
    """How ours stands beside a published row, and why."""

    judgement: Judgement
    reason: str


def load_published(path: Path | None = None) -> list[PublishedRow]:
    """Return the published rows, in the order of the file that comes with the package.

    Raises DataError if the file is missing, is not TOML, or is not what its heading describes.
    """
    path = bundled_file(PUBLISHED, "results") if path is None else path
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: expected published results as TOML: {error}") from error
    try:
        return list(_rows(content))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: {error}; the comment at its top says what a table holds"
        ) from error


def compare(
    ours_mean: float,
    ours_low: float,
    ours_high: float,
    row: PublishedRow,
    *,
    comparable: bool,
    why: str = "",
) -> Verdict:
    """Judge our mean accuracy and its interval (percent) against a published row.

    A match is a published mean inside our interval widened by the published 95% standard error;
    where that is unknown our interval is taken as it is, and the reason says so. With
    `comparable=False` nothing is judged and `why` (required) says which part of the protocol
    differs. Raises InputError for an interval that is not one.
    """
    if not comparable:
        if not why:
            raise InputError(
                "A row that is not comparable needs `why`: which protocol part differs."
            )
        return Verdict("not comparable", why)
    if not ours_low <= ours_high or not all(map(math.isfinite, (ours_mean, ours_low, ours_high))):
        raise InputError(f"Expected finite low <= high, got {ours_low} .. {ours_high}.")
    error = row.standard_error
    widened = 0.0 if error is None else _NORMAL_95 * error
    low, high = ours_low - widened, ours_high + widened
    inside = low <= row.mean <= high
    reason = (
        f"ours {ours_mean:.2f}, published {row.mean:.2f} is {'inside' if inside else 'outside'} "
        f"{low:.2f}..{high:.2f}"
    )
    reason += " (its standard error is not known)" if error is None else ""
    reason += f"; {why}" if why else ""
    return Verdict("match" if inside else "differs", reason)


def _rows(content: Mapping[str, Any]) -> Iterator[PublishedRow]:
    """Yield the rows of the whole file; raises ValueError, KeyError or TypeError if malformed."""
    _expect_keys(content, {"algorithms", "table"}, set(), "the file")
    methods = {method for table in content["table"] for method in table["methods"]}
    if strangers := set(content["algorithms"]) - methods:
        raise ValueError(f"algorithms names methods without a row: {sorted(strangers)}")
    for table in content["table"]:
        _expect_keys(table, _TABLE_KEYS, _OPTIONAL_KEYS, f"table {table.get('source')!r}")
        for method, cells in table["methods"].items():
            yield from _rows_of_method(table, method, cells, content["algorithms"].get(method))


def _rows_of_method(
    table: Mapping[str, Any], method: str, cells: list[list[float]], algorithm: str | None
) -> Iterator[PublishedRow]:
    """Yield one row for each cell of a method that the source prints."""
    where = f"{table['source']}, {method}"
    runs = table.get("runs")
    if runs is not None and (type(runs) is not int or runs < 1):
        raise ValueError(f"{where}: runs must be a whole number from 1, got {runs!r}")
    if table.get("printed", "accuracy") not in ("accuracy", "error"):
        raise ValueError(f"{where}: printed must be 'accuracy' or 'error'")
    protocol = {key: table[key] for key in _PROTOCOL if key in table}
    for key, value in protocol.items():
        if type(value) is not _PROTOCOL[key]:
            raise ValueError(
                f"{where}: {key} must be of type {_PROTOCOL[key].__name__}, got {value!r}"
            )
    for column, cell in zip(table["columns"], cells, strict=True):
        dataset, split = column.split(" ")
        if len(cell) > 2 or not all(0 <= value <= 100 for value in cell) or split not in _SPLITS:
            raise ValueError(
                f"{where}: {column} {cell}: expected [], [mean] or [mean, std] percent"
            )
        if cell:
            mean = round(100 - cell[0], 9) if table.get("printed") == "error" else float(cell[0])
            std = float(cell[1]) if len(cell) == 2 else None
            names = (method, algorithm, table["space"], dataset, split)
            yield PublishedRow(
                *names,
                mean,
                std,
                runs,
                table["budget"],
                table["protocol"],
                table["source"],
                **protocol,
            )


def _expect_keys(
    given: Mapping[str, Any], required: set[str], optional: set[str], where: str
) -> None:
    """Raise ValueError unless `given` has the required keys and no others than the optional."""
    if missing := required - set(given):
        raise ValueError(f"{where} lacks {sorted(missing)}")
    if unknown := set(given) - required - optional:
        raise ValueError(f"{where} has unknown {sorted(unknown)}")
