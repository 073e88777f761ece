"""One self-contained HTML page for a results folder: tables, figures, every run, provenance."""

from __future__ import annotations

import base64
import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nasbench_evo import tables
from nasbench_evo.analysis import comparison, pareto, report
from nasbench_evo.analysis.ablation_stored import Stored, read
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.analysis.summary import SummaryRow, UnitRuns, counted
from nasbench_evo.errors import DataError
from nasbench_evo.figures import build
from nasbench_evo.store import Record
from nasbench_evo.suite import Suite, require_table
from nasbench_evo.tables.packed import write_atomically

FILE = "report.html"
DRILL = 50  # runs of a row that the page lets one look into, by default
SEEDS_PARETO = 20  # runs of a row that are repeated for the Pareto fronts
_LOOKS = ("paper", "dark")


def write(folder: Path, *, runs: int = DRILL, gate: Path | None = None) -> Path:
    """Write report.html into a results folder; return its path.

    `runs` is how many runs of a row can be looked into; `gate` a file that `nasbench-evo check
    --json` printed. Raises InputError and DataError.
    """
    stored = read(folder)
    require_table(stored.suite)
    text = render(stored, runs=runs, gate=_gate(gate))
    path = folder / FILE
    write_atomically(path, text.encode())
    return path


def render(stored: Stored, *, runs: int = DRILL, gate: dict[str, Any] | None = None) -> str:
    """Return the page as text. The same folder gives the same text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nasbench_evo.figures"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(
        suite=stored.suite,
        description=stored.suite.description,
        table=tables.reported(stored.suite.table),
        head=HEAD,
        results=_results(stored),
        notes=report.notes(stored.suite, stored.collected),
        sections=_figures(stored),
        published=_published(stored),
        published_note=comparison.NOTE,
        published_columns=comparison.COLUMNS,
        gate=gate,
        manifest=stored.manifest,
        command=command(stored.suite),
        suite_text=json.dumps(stored.suite.model_dump(), indent=1),
        data=_data(stored, runs),
        total=sum(len(unit.records) for unit in stored.collected),
        drill=runs,
    )


def command(suite: Suite) -> str:
    """Return the exact command that makes the runs again."""
    return f"nasbench-evo run {shlex.quote(suite.name)} --seeds {suite.seeds}"


def _results(stored: Stored) -> list[dict[str, Any]]:
    """Return the rows of the result table at every checkpoint as texts with their sort keys."""
    return [
        {
            "dataset": row.dataset,
            "evaluations": row.evaluations,
            "cells": _cells(row, stored.suite.seeds),
        }
        for row in stored.rows
    ]


HEAD = (
    ("algorithm (preset)", "text", "The row of the suite."),
    ("data set", "text", "Data set of the table."),
    ("evaluations", "number", "Full-training equivalents spent."),
    ("n", "number", "Finished runs; 27/30 where some are missing."),
    ("accuracy %", "number", "Mean and standard deviation over runs of the found cell's mean."),
    ("regret", "number", "Mean regret in percentage points."),
    ("95% interval", "number", "Bootstrap interval of the mean regret."),
    ("median", "number", "Median regret."),
    ("IQM", "number", "Interquartile mean of the regret."),
    ("rank", "number", "Of the mean regret on this data set at this checkpoint."),
    ("P(better)", "number", "Probability that a run is better than one of random search."),
    ("p", "number", "Mann-Whitney against random search, Holm-corrected."),
)


def _cells(row: SummaryRow, asked: int) -> list[tuple[str, str | float]]:
    """Return (shown text, sort key) for each column of HEAD; what is undefined sorts last."""
    single = math.isnan(row.std_accuracy)
    spread = "" if single else f" ± {row.std_accuracy:.3f}"
    interval = (
        "" if math.isnan(row.regret_low) else f"{row.regret_low:.3f} to {row.regret_high:.3f}"
    )
    last = 1e300
    return [
        (f"{row.algorithm} ({row.preset})", f"{row.algorithm} ({row.preset})"),
        (row.dataset, row.dataset),
        (str(row.evaluations), row.evaluations),
        (counted(row.n, asked), row.n),
        (f"{row.mean_accuracy:.3f}{spread}", row.mean_accuracy),
        (f"{row.mean_regret:.3f}", row.mean_regret),
        (interval, last if math.isnan(row.regret_low) else row.regret_low),
        (f"{row.median_regret:.3f}", row.median_regret),
        (f"{row.iqm_regret:.3f}", row.iqm_regret),
        (str(row.rank), row.rank),
        ("", last) if row.improvement is None else (f"{row.improvement:.3f}", row.improvement),
        ("", last) if row.p_value is None else (f"{row.p_value:.1e}", row.p_value),
    ]


def _figures(stored: Stored) -> list[dict[str, Any]]:
    """Return the sections of figures, each image drawn on light and on dark ground."""
    seeds = min(stored.suite.seeds, SEEDS_PARETO)
    fronts = pareto.pareto(stored.suite.model_copy(update={"seeds": seeds}))
    with TemporaryDirectory() as name:
        images: dict[str, dict[str, str]] = {}
        for look in _LOOKS:
            target = Path(name) / look
            target.mkdir()
            made = build.draw(stored, target, ["png"], look, notes=False, fronts=fronts)
            sections = made.sections
            for path in target.glob("*.png"):
                images.setdefault(path.stem, {})[look] = _data_uri(path)
    return [
        {
            "title": section.title,
            "figures": [(images[file], caption) for file, caption in section.figures],
            "said": section.said,
            "table": section.table,
        }
        for section in sections
    ]


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


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


def _gate(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected what `nasbench-evo check --json` prints: {error}."
        ) from error
    if not isinstance(content, dict) or "passed" not in content:
        raise DataError(f"{path}: expected what `nasbench-evo check --json` prints.")
    return content


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


def _unit(unit: UnitRuns) -> dict[str, Any]:
    """Return what names a unit, and the command that repeats one of its runs but for the seed."""
    row, budget = unit.unit.row, unit.unit.budget
    preset, *changes = row.preset.split(", ")
    parts = ["nasbench-evo", "search", row.algorithm, "--dataset", unit.unit.dataset]
    parts += ["--preset", preset] if preset != "paper" else []
    for change in changes:
        name, _, value = change.partition("=")
        parts += ["--set", f"{name}={value.lower() if value in ('True', 'False') else value}"]
    parts += ["--evaluations", f"{budget.evaluations:g}"] if budget.evaluations else []
    parts += ["--simulated-seconds", f"{budget.seconds:g}"] if budget.seconds else []
    return {"label": row.label, "dataset": unit.unit.dataset, "command": shlex.join(parts)}
