"""Labels of rows that are short enough for tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_evo.suite import Row, change_text


def short_labels(rows: Sequence[Row]) -> list[str]:
    """Return labels without the changes that all rows of the same algorithm share."""
    common = common_changes(rows)
    labels = []
    for row in rows:
        own = [text for text in map(change_text, row.changes) if text not in common[row.algorithm]]
        labels.append(row.labelled(", ".join([row.preset_name, *own])))
    return labels


def common_changes(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return by algorithm the changes to presets that all its rows share, in their order."""
    common: dict[str, list[str]] = {}
    for row in rows:
        changes = list(map(change_text, row.changes))
        before = common.get(row.algorithm, changes)
        common[row.algorithm] = [change for change in before if change in changes]
    return common
