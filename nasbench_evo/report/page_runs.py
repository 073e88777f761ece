"""Single runs, as a page lets one look into them."""

from __future__ import annotations

from math import isfinite
from typing import Any

from nasbench_evo.results import kind as of_kind
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.runs import Run, UnitRuns, spent_at, used
from nasbench_evo.spaces import NASBench201, Space


def units(stored: Stored, most: int) -> list[dict[str, Any]]:
    """Return each row's first `most` runs, and the command that repeats one but for the seed."""
    labels = short_labels([unit.unit.row for unit in stored.collected])
    named = zip(stored.collected, labels, strict=True)
    return [_unit(stored, unit, label, most) for unit, label in named if unit.records]


def _unit(stored: Stored, runs: UnitRuns, label: str, most: int) -> dict[str, Any]:
    suite, kind, unit = stored.suite, stored.kind, runs.unit
    track, space = kind.track(suite, unit, runs.records[0].seed), kind.space(suite)
    return {
        "label": f"{label}{', on the table' if unit.row.on_table else ''}",
        "dataset": unit.dataset,
        "command": kind.command(suite, unit),
        "end": max(used(runs, run) for run in runs.records),
        "measure": track.title,
        "axis": track.axis,
        "log": track.logarithmic,
        "spent": of_kind.spent(suite),
        "runs": [_run(stored, runs, space, run) for run in runs.records[:most]],
    }


def _run(stored: Stored, runs: UnitRuns, space: Space, run: Run) -> dict[str, Any]:
    """Return one run: its curve, what it found, and what is to be told of it."""
    track = stored.kind.track(stored.suite, runs.unit, run.seed)
    spent = spent_at(runs, run)
    curve = [(at, track.value(point)) for at, point in zip(spent, run.curve, strict=True)]
    shown = run.curve[-1].genotype if track.logarithmic else run.genotype
    said = stored.kind.told(stored.suite, runs.unit, run)
    return {
        "seed": run.seed,
        # a truth table may lack some cells
        "curve": [
            [spent, round(value, 4)]
            for spent, value in curve
            if value is not None and isfinite(value)
        ],
        "architecture": of_kind.described(space, shown),
        "cell": "".join(map(str, shown)) if isinstance(space, NASBench201) else "",
        "facts": [*said.items(), ("trace SHA-256", run.trace_sha256)],  # in this order
    }
