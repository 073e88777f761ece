"""Result tables as data: columns and rows that console, page, LaTeX, Markdown, CSV and JSON share.

A column is declared once, in the `columns` of its kind of suite (`results.kinds`): a line there is
a column of every report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Value = float | int | str | None
GAP = 2  # characters between columns on the console


@dataclass(frozen=True)
class Column:
    """A column: the key of its value, how it is made, and how people see it.

    `of` makes the value of a row from what is known of it (a `results.rows.Group`). Without a
    `header` a column is in data files only (CSV, JSON, Parquet). `std`, `low` and `high` are keys
    of columns that stand in the same cell, behind the value. `width` is the console's priority: a
    narrower console leaves out the highest first, 0 stays; `form` is a format specification.
    """

    key: str
    of: Callable[[Any], Value]
    header: str = ""
    unit: str = ""
    meaning: str = ""
    form: str = ".2f"
    std: str = ""
    low: str = ""
    high: str = ""
    band: str = ""  # format of the interval, where it is not that of the value
    width: int = 5
    kind: Literal["number", "text"] = "number"
    show: Callable[[ResultRow], str] | None = None  # the cell, where it is more than the value

    @property
    def title(self) -> str:
        """The header with its unit."""
        return f"{self.header} ({self.unit})" if self.unit else self.header

    def text(self, row: ResultRow) -> str:
        """Return the cell of a row; empty where the value is not defined."""
        if self.show is not None:
            return self.show(row)
        value = row[self.key]
        if isinstance(value, str):
            return value
        if not known(value):
            return ""
        text = f"{value:{self.form}}"
        if self.std and known(row[self.std]):
            text += f" ± {row[self.std]:{self.form}}"
        if self.low and known(row[self.low]):
            form = self.band or self.form
            text += f" [{row[self.low]:{form}}, {row[self.high]:{form}}]"
        return text


@dataclass(frozen=True)
class ResultRow:
    """One line of a result table: its values by column key, in the order of the columns."""

    values: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def __getattr__(self, key: str) -> Any:
        try:
            return self.__dict__["values"][key]
        except KeyError:
            raise AttributeError(f"This result has no column {key!r}.") from None

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True)
class Sheet:
    """One table: its title, its columns, its rows (the best first), and the place of the result.

    `judged` is the key that the rows are sorted by.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[ResultRow, ...]
    judged: str

    @property
    def head(self) -> tuple[str, ...]:
        """The titles of the columns."""
        return tuple(column.title for column in self.columns)

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """The cells of each row as text."""
        return [tuple(column.text(row) for column in self.columns) for row in self.rows]

    def marked(self, row: ResultRow, column: Column) -> bool:
        """Whether a cell is to stand out: the result of the best row or of one tied with it."""
        return column.key == self.judged and row["best"] != ""

    def fitted(self, width: int) -> Sheet:
        """Return the table with the columns that fit a console of so many characters."""
        columns = list(self.columns)
        while len(columns) > 1 and self._characters(columns) > width:
            widest = max(column.width for column in columns)
            if not widest:
                break
            columns.remove(next(c for c in reversed(columns) if c.width == widest))
        return Sheet(self.title, tuple(columns), self.rows, self.judged)

    def _characters(self, columns: Sequence[Column]) -> int:
        cells = [
            max(len(column.title), *(len(column.text(row)) for row in self.rows), 0)
            for column in columns
        ]
        return sum(cells) + GAP * (len(columns) - 1)


def sheet(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[ResultRow],
    judged: str,
    left_out: set[str],
) -> Sheet:
    """Return a table without the columns that are empty or stand in the title (`left_out`)."""
    shown = [
        column
        for column in columns
        if column.header and column.key not in left_out and any(column.text(row) for row in rows)
    ]
    return Sheet(title, tuple(shown), tuple(rows), judged)


def known(value: Any) -> bool:
    """Whether a value is defined: not None and not NaN."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))
