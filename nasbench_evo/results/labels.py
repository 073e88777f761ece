"""Labels of rows that are short enough for tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.suite import Row, change_text

ON_TABLE = ", on the table"  # of a row beside the same one on shared weights


def short_labels(rows: Sequence[Row]) -> list[str]:
    """Return labels without the changes that all rows of the same algorithm share."""
    common = common_changes(rows)
    labels = []
    for row in rows:
        own = [text for text in map(change_text, row.changes) if text not in common[row.algorithm]]
        labels.append(row.labelled(", ".join([row.preset_name, *own])))
    return labels


def row_labels(collected: Sequence[UnitRuns]) -> dict[Row, str]:
    """Return the label of each row with runs, one of its own for what searches a truth table."""
    rows = list(dict.fromkeys(runs.unit.row for runs in collected if runs.records))
    return {
        row: label + (ON_TABLE if row.on_table else "")
        for row, label in zip(rows, short_labels(rows), strict=True)
    }


def common_changes(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return by algorithm the changes to presets that all its rows share, in their order."""
    common: dict[str, list[str]] = {}
    for row in rows:
        changes = list(map(change_text, row.changes))
        before = common.get(row.algorithm, changes)
        common[row.algorithm] = [change for change in before if change in changes]
    return common
