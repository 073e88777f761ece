"""The page of a suite on a table: regrets, ablations, published numbers, cells of single runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasbench_evo import tables
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.figures import build
from nasbench_evo.replays import pareto
from nasbench_evo.report import sections
from nasbench_evo.results import comparison, manifest
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.summary import SummaryRow, UnitRuns, counted
from nasbench_evo.store import Record

SEEDS_PARETO = 20  # runs of a row that are repeated for the Pareto fronts
_DEFAULT_TABLE = "nasbench201"  # of `nasbench-evo search`

HEAD: tuple[sections.Column, ...] = (
    sections.ALGORITHM,
    ("data set", "text", "Data set of the table."),
    ("evaluations", "number", "Full-training equivalents spent."),
    sections.COUNT,
    ("accuracy %", "number", "Mean and standard deviation over runs of the found cell's mean."),
    ("regret", "number", "Mean regret in percentage points."),
    ("95% interval", "number", "Bootstrap interval of the mean regret."),
    ("median", "number", "Median regret."),
    ("IQM", "number", "Interquartile mean of the regret."),
    ("rank", "number", "Of the mean regret on this data set at this checkpoint."),
    *sections.COMPARED,
)


def content(stored: Stored, runs: int) -> dict[str, Any]:
    """Return what the template needs of such a suite; `runs` of a row can be looked into."""
    suite = stored.suite
    table = tables.reported(suite.table)
    return {
        "scope": (
            f"up to {suite.evaluations} evaluations (full trainings) a run. "
            f"Table: {table.name}, {table.label}."
        ),
        "choice": {
            "name": "Evaluations",
            "id": "checkpoint",
            "key": "evaluations",
            "values": suite.checkpoints,
            "chosen": suite.checkpoints[-1],
        },
        "head": HEAD,
        "results": [
            {
                "dataset": row.dataset,
                "chosen": row.evaluations,
                "cells": _cells(row, suite.seeds),
            }
            for row in stored.rows
        ],
        "notes": manifest.notes(suite, stored.collected),
        "sections": _figures(stored),
        "published": _published(stored),
        "published_note": comparison.NOTE,
        "published_columns": comparison.COLUMNS,
        "draws_cells": True,
        "data": _data(stored, runs),
    }


def _cells(row: SummaryRow, asked: int) -> list[sections.Cell]:
    """Return the cell of each column of HEAD."""
    return [
        sections.text(f"{row.algorithm} ({row.preset})"),
        sections.text(row.dataset),
        sections.number(row.evaluations, "d"),
        (counted(row.n, asked), row.n),
        sections.number(row.mean_accuracy, more=sections.spread(row.std_accuracy)),
        sections.number(row.mean_regret),
        sections.interval(row.regret_low, row.regret_high),
        sections.number(row.median_regret),
        sections.number(row.iqm_regret),
        sections.number(row.rank, "d"),
        *sections.compared(row.improvement, row.p_value),
    ]


def _figures(stored: Stored) -> list[dict[str, Any]]:
    """Return the sections of figures, each image drawn on light and on dark ground."""
    seeds = min(stored.suite.seeds, SEEDS_PARETO)
    fronts = pareto.pareto(stored.suite.model_copy(update={"seeds": seeds}))

    def draw(target: Path, look: str) -> list[Section]:
        return build.draw(stored, target, ["png"], look, notes=False, fronts=fronts).sections

    images, drawn = sections.on_both_grounds(draw)
    return sections.shown(drawn, images)


def _published(stored: Stored) -> list[comparison.Line]:
    """Return ours at the last checkpoint beside what is published."""
    last = stored.suite.checkpoints[-1]
    ours = {
        (f"{row.algorithm} ({row.preset})", row.dataset): Interval(
            row.mean_accuracy, row.accuracy_low, row.accuracy_high
        )
        for row in stored.rows
        if row.evaluations == last and row.n > 1
    }
    return comparison.compare_all(stored.suite, ours)


def _data(stored: Stored, most: int) -> dict[str, Any]:
    """Return the runs for the drill-down: plain JSON; cells as digits, regrets by cell."""
    space = tables.reported(stored.suite.table).space
    seen: dict[str, dict[str, list[float]]] = {}
    units = []
    for unit in stored.collected:
        table = tables.reported(unit.unit.table)
        d = table.row(unit.unit.dataset)
        cells = seen.setdefault(unit.unit.dataset, {})
        runs = []
        for record in unit.records[:most]:
            curve = [(spent, tuple(genotype)) for spent, genotype in json.loads(record.curve)]
            for _, genotype in curve:
                digits = "".join(map(str, genotype))
                if digits not in cells:
                    index = space.index(genotype)
                    regret = float(table.best[d] - table.mean_accuracy[d, index])
                    parameters = int(table.parameters[d, index])
                    cells[digits] = [round(regret, 4), parameters]
            runs.append(_run(record, curve))
        units.append({**_unit(unit), "runs": runs})
    return {"evaluations": stored.suite.evaluations, "cells": seen, "units": units}


def _run(record: Record, curve: Sequence[tuple[float, tuple[int, ...]]]) -> dict[str, Any]:
    return {
        "seed": record.seed,
        "curve": [[spent, "".join(map(str, genotype))] for spent, genotype in curve],
        "hours": round(record.simulated_seconds / 3600, 1),
        "trace": record.trace_sha256,
    }


def _unit(runs: UnitRuns) -> dict[str, Any]:
    """Return what names a unit, and the command that repeats one of its runs but for the seed."""
    unit = runs.unit
    words = sections.search_command(unit.row, unit.dataset)
    words += ["--table", unit.table] if unit.table != _DEFAULT_TABLE else []
    words += ["--evaluations", f"{unit.budget.evaluations:g}"] if unit.budget.evaluations else []
    words += ["--simulated-seconds", f"{unit.budget.seconds:g}"] if unit.budget.seconds else []
    return {
        "label": unit.row.label,
        "dataset": unit.dataset,
        "command": sections.as_command(words),
    }
