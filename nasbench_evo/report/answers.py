"""What the first screen of a page says: who won on each data set, by how much, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasbench_evo.results.columns import Column, ResultRow, Sheet, known
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.rows import BASELINE

_MOST = 12  # rows of a picture; the table has all
_LAST = 1e300  # what is undefined sorts last


def answers(stored: Stored) -> list[dict[str, Any]]:
    """Return for each result table who won it, and its rows as points with intervals."""
    kind, found = stored.kind, stored.found
    return [
        {
            "dataset": sheet.rows[0].dataset,
            "title": sheet.title,
            "verdict": kind.verdict(found, sheet),
            **_picture(sheet),
        }
        for sheet in kind.sheets(found)
    ]


def _picture(sheet: Sheet) -> dict[str, Any]:
    """Return places of points and intervals, percent of the width from its left."""
    column = next(column for column in sheet.columns if column.key == sheet.judged)
    rows = [row for row in sheet.rows if known(row[column.key])]
    drawn = _drawn(rows)
    ends = [value for row in drawn for value in _ends(row, column)]
    if not ends:
        return {"points": [], "more": 0, "axis": column.title, "scale": ("", "")}
    low, high = min(ends), max(ends)
    low = 0.0 if "regret" in column.key else low - 0.06 * (high - low)
    width = (high + 0.04 * (high - low) - low) or 1.0
    return {
        "points": [_point(row, column, low, width) for row in drawn],
        "more": len(sheet.rows) - len(drawn),
        "axis": column.title,
        "scale": (f"{low:{column.form}}", f"{low + width:{column.form}}"),
    }


def _drawn(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the best rows, and random search wherever it is."""
    first = list(rows[:_MOST])
    return first + [row for row in rows[_MOST:] if row.algorithm == BASELINE]


def _ends(row: ResultRow, column: Column) -> list[float]:
    keys = (column.key, column.low, column.high)
    return [row[key] for key in keys if key and known(row[key])]


def _point(row: ResultRow, column: Column, low: float, width: float) -> dict[str, Any]:
    ends = [round(100 * (value - low) / width, 2) for value in _ends(row, column)]
    return {
        "label": row.label,
        "at": ends[0],
        "from": min(ends),
        "wide": round(max(ends) - min(ends), 2),
        "value": f"{row[column.key]:{column.form}}",
        "cell": column.text(row),
        "best": row["best"],
    }


def tables(stored: Stored) -> list[dict[str, Any]]:
    """Return every result table, those of all checkpoints too: columns, rows, and what is chosen.

    A column's `priority` is 0 where it must stay on a narrow screen; the highest goes first.
    """
    kind = stored.kind
    choice = kind.choice(stored.suite)
    return [
        {
            "title": sheet.title,
            "dataset": sheet.rows[0].dataset,
            "chosen": "" if choice is None else sheet.rows[0][choice.key],
            "columns": [_head(column, sheet) for column in sheet.columns],
            "rows": [
                {
                    "best": row["best"],
                    "cells": [
                        (column.text(row), _key(row, column.key), sheet.marked(row, column))
                        for column in sheet.columns
                    ],
                }
                for row in sheet.rows
            ],
        }
        for sheet in kind.sheets(stored.found, every=True)
    ]


def _head(column: Column, sheet: Sheet) -> Mapping[str, Any]:
    stays = column.key in ("label", sheet.judged)
    return {
        "title": column.title,
        "kind": column.kind,
        "meaning": column.meaning,
        "priority": 0 if stays else column.width + 1,
    }


def _key(row: ResultRow, key: str) -> str | float:
    """Return what a cell sorts by: text as it reads, what is undefined last."""
    value = row[key]
    if isinstance(value, str):
        return value
    return float(value) if known(value) else _LAST
