"""One self-contained HTML page for a results folder: tables, figures, every run, provenance."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from nasbench_evo.errors import DataError
from nasbench_evo.figures import build
from nasbench_evo.files import write_text
from nasbench_evo.replays import pareto
from nasbench_evo.report import page_runs, rankings, sections
from nasbench_evo.results import comparison
from nasbench_evo.results import kind as of_kind
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.columns import ResultRow, known
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.spaces import NASBench201
from nasbench_evo.suite import Suite, require_table

FILE = "report.html"
DRILL = 50  # runs of a row that the page lets one look into, by default
SEEDS_PARETO = 20  # runs of a row that are repeated for the Pareto fronts
_LAST = 1e300  # what is undefined sorts last


def write(
    folder: Path, *, runs: int = DRILL, gate: Path | None = None, target: Path | None = None
) -> Path:
    """Write report.html into a results folder, or to the file `target`; return its path.

    `runs` is how many runs of a row can be looked into; `gate` a file that `nasbench-evo check
    --json` printed. Raises InputError and DataError, Unsupported for a gate beside trainings.
    """
    stored = read(folder)
    if gate is not None:
        require_table(stored.suite)
    text = render(stored, runs=runs, gate=_gate(gate))
    return write_text(target or folder / FILE, text)


def render(stored: Stored, *, runs: int = DRILL, gate: dict[str, Any] | None = None) -> str:
    """Return the page as text. The same folder gives the same text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nasbench_evo.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    suite, kind, found = stored.suite, stored.kind, stored.found
    return environment.get_template("report.html.j2").render(
        suite=suite,
        description=suite.description,
        gate=gate,
        judged_by_gate=not kind.trains,
        manifest=stored.manifest,
        command=stored.call or command(suite, devices=kind.devices),
        suite_text=json.dumps(suite.model_dump(), indent=1),
        total=found.runs,
        drill=runs,
        scope=kind.scope(suite),
        needs=kind.needs(suite),
        reading=kind.meaning,
        choice=kind.choice(suite),
        verdicts=[kind.verdict(found, sheet) for sheet in kind.sheets(found)],
        **_table(stored),
        notes=kind.notes(found),
        sections=_figures(stored),
        published=[] if kind.trains else comparison.beside(suite, found.rows),
        published_note=comparison.NOTE,
        published_columns=comparison.COLUMNS,
        draws_cells=kind.space(suite).name == NASBench201.name,
        data={"units": page_runs.units(stored, runs)},
    )


def command(suite: Suite, *, devices: bool) -> str:
    """Return the exact command that makes the runs again."""
    where = f" --devices {','.join(suite.devices)}" if devices else ""
    return f"nasbench-evo run {shlex.quote(suite.name)} --seeds {suite.seeds}{where}"


def _table(stored: Stored) -> dict[str, Any]:
    """Return the result table: every row, with what it can be filtered by."""
    choice, rows = stored.kind.choice(stored.suite), list(stored.found.rows)
    there = of_kind.columns_of(stored.kind, stored.suite)
    columns = [c for c in there if c.header and any(map(c.text, rows))]
    sheets = stored.kind.sheets(stored.found, every=True)
    judged = {row: sheet for sheet in sheets for row in sheet.rows}
    return {
        "head": [(column.title, column.kind, column.meaning) for column in columns],
        "results": [
            {
                "dataset": row.dataset,
                "chosen": "" if choice is None else row[choice.key],
                "cells": [
                    (column.text(row), _key(row, column.key), judged[row].marked(row, column))
                    for column in columns
                ],
            }
            for row in rows
        ],
    }


def _key(row: ResultRow, key: str) -> str | float:
    """Return what a cell sorts by: text as it reads, what is undefined last."""
    value = row[key]
    if isinstance(value, str):
        return value
    return float(value) if known(value) else _LAST


def _figures(stored: Stored) -> list[dict[str, Any]]:
    """Return the sections of figures, each image drawn on light and on dark ground."""
    fronts = None
    if "pareto" in stored.kind.figures:
        seeds = min(stored.suite.seeds, SEEDS_PARETO)
        fronts = pareto.pareto(stored.suite.model_copy(update={"seeds": seeds}))

    def draw(target: Path, look: str) -> list[Section]:
        return build.draw(stored, target, ["png"], look, notes=False, fronts=fronts).sections

    images, drawn = sections.on_both_grounds(draw)
    found = stored.found
    more: list[Section] = []
    if stored.kind.trains:
        more = rankings.sections(stored.suite, found.rankings, found.sentences)
    return sections.shown([*drawn, *more], images)


def _gate(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: expected what `nasbench-evo check --json` prints: {error}."
        ) from error
    if not isinstance(content, dict) or "passed" not in content:
        raise DataError(f"{path}: expected what `nasbench-evo check --json` prints.")
    return content
