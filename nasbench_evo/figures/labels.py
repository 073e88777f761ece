"""Labels of rows that are short enough for a figure."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_evo.suite import Row


def short_labels(rows: Sequence[Row]) -> list[str]:
    """Return labels without the changes that all rows of the same algorithm share."""
    common = common_changes(rows)
    labels = []
    for row in rows:
        preset, *changes = row.preset.split(", ")
        own = [change for change in changes if change not in common[row.algorithm]]
        labels.append(f"{row.algorithm} ({', '.join([preset, *own])})")
    return labels


def common_changes(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return by algorithm the changes to presets that all its rows share, in their order."""
    common: dict[str, list[str]] = {}
    for row in rows:
        changes = row.preset.split(", ")[1:]
        before = common.get(row.algorithm, changes)
        common[row.algorithm] = [change for change in before if change in changes]
    return common
