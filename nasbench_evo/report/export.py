"""A results folder for other programs: LaTeX, Markdown, Parquet, TensorBoard."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

from nasbench_evo import tables
from nasbench_evo.errors import Unsupported
from nasbench_evo.files import write_text
from nasbench_evo.report import export_tables
from nasbench_evo.results import runs as run_curves
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.summary import UnitRuns, regrets
from nasbench_evo.store import Record

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def escape_latex(text: str) -> str:
    """Return `text` with everything that LaTeX would read as a command made plain."""
    return "".join(_LATEX.get(character, character) for character in text).replace("±", r"$\pm$")


def latex(stored: Stored) -> str:
    """Return a booktabs table a data set; the best value of what rows are sorted by is bold."""
    lines = ["% Needs \\usepackage{booktabs}. Made by: nasbench-evo export --latex"]
    for sheet in export_tables.sheets(stored):
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(sheet.caption)}}}",
        ]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(sheet.head) - 1)}}}", r"\toprule"]
        lines += [" & ".join(map(escape_latex, sheet.head)) + r" \\", r"\midrule"]
        for i, line in enumerate(sheet.lines):
            cells = [escape_latex(cell) for cell in line]
            bold = [rf"\textbf{{{c}}}" if (i, j) in sheet.best else c for j, c in enumerate(cells)]
            lines.append(" & ".join(bold) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def markdown(stored: Stored) -> str:
    """Return a table a data set; the best value of what rows are sorted by is bold."""
    lines = [f"# {escape_markdown(stored.suite.name)}", ""]
    for sheet in export_tables.sheets(stored):
        lines += [escape_markdown(sheet.caption), ""]
        lines += ["| " + " | ".join(sheet.head) + " |", "|---|" + "---:|" * (len(sheet.head) - 1)]
        for i, line in enumerate(sheet.lines):
            cells = [escape_markdown(cell) for cell in line]
            bold = [f"**{c}**" if (i, j) in sheet.best else c for j, c in enumerate(cells)]
            lines.append("| " + " | ".join(bold) + " |")
        lines.append("")
    return "\n".join(lines)


def escape_markdown(text: str) -> str:
    """Return `text` with what Markdown would read as a table, emphasis, code or HTML made plain."""
    return "".join(f"\\{c}" if c in "\\|`*_<>" else c for c in text)


def write_latex(stored: Stored) -> list[Path]:
    """Write summary.tex; return its path."""
    return [write_text(stored.folder / "summary.tex", latex(stored))]


def write_markdown(stored: Stored) -> list[Path]:
    """Write summary.md; return its path."""
    return [write_text(stored.folder / "summary.md", markdown(stored))]


def write_parquet(stored: Stored) -> list[Path]:
    """Write summary.parquet (a row a table row) and runs.parquet (a row a run); return the paths.

    Raises Unsupported without pyarrow.
    """
    arrow = _optional("pyarrow", "parquet")
    parquet = _optional("pyarrow.parquet", "parquet")
    contents = {
        "summary.parquet": [dataclasses.asdict(row) for row in export_tables.rows_of(stored)],
        "runs.parquet": list(_runs(stored)),
    }
    for name, rows in contents.items():
        parquet.write_table(arrow.Table.from_pylist(rows), stored.folder / name)
    return [stored.folder / name for name in contents]


def _runs(stored: Stored) -> Iterator[dict[str, Any]]:
    """Yield what is known of each run; accuracies in percent, regret in percentage points."""
    of_unit = _looked_up if stored.suite.evaluator == "lookup" else _trained
    for unit in stored.collected:
        for record, result in of_unit(stored, unit):
            yield {
                "algorithm": unit.unit.row.algorithm,
                "preset": unit.unit.row.preset,
                "dataset": unit.unit.dataset,
                "seed": record.seed,
                **result,
                "evaluations": record.evaluations,
                "simulated_seconds": record.simulated_seconds,
                "wall_seconds": record.wall_seconds,
                "trace_sha256": record.trace_sha256,
            }


def _looked_up(stored: Stored, runs: UnitRuns) -> Iterator[tuple[Record, dict[str, Any]]]:
    table = tables.reported(runs.unit.table)
    regret = regrets(table, runs.unit.dataset)
    for record in runs.records:
        genotype = tuple(json.loads(record.genotype))
        index = table.space.index(genotype)
        yield record, {"arch": table.space.format(genotype), "regret": float(regret[index])}


def _trained(stored: Stored, runs: UnitRuns) -> Iterator[tuple[Record, dict[str, Any]]]:
    space = run_curves.space_of(stored.suite)
    for run in run_curves.of_unit(stored, runs.unit, runs.records):
        final = {
            f"final_{part}": fmean(one[f"{part}_accuracy"] for one in run.final)
            if run.final
            else None
            for part in ("valid", "test")
        }
        yield (
            run.record,
            {
                "on_table": run.on_table,
                "arch": space.format(run.genotype),
                "seen": None if run.on_table else run.curve[-1][1],
                "standalone": run.standalone,
                **final,
                "final_trainings": len(run.final),
            },
        )


def require_tensorboard() -> ModuleType:
    """Return what writes scalars; raise Unsupported, naming the extra, where it is missing."""
    return _optional("tensorboardX", "tensorboard")


def write_tensorboard(stored: Stored) -> list[Path]:
    """Write each run's incumbent as scalars, a folder a run; return the folder of all.

    The step is the number of evaluations, rounded up. On a table: regret and mean accuracy. Where
    networks are trained: the accuracy as the search saw it, and at the end the mean accuracies of
    the final trainings. What an earlier export wrote of a run is replaced. Raises Unsupported
    without tensorboardX.
    """
    boards = require_tensorboard()
    folder = stored.folder / "tensorboard"
    scalars = _regrets if stored.suite.evaluator == "lookup" else _accuracies
    for unit in stored.collected:
        for record, points in scalars(stored, unit):
            name = _safe(f"{unit.unit.dataset}/{unit.unit.row.label}/seed-{record.seed}")
            for old in (folder / name).glob("events.out.tfevents.*"):
                old.unlink()
            with boards.SummaryWriter(str(folder / name)) as writer:
                for tag, value, step in points:
                    writer.add_scalar(tag, value, step)
    return [folder]


Scalars = Iterator[tuple[Record, list[tuple[str, float, int]]]]  # tag, value, step


def _regrets(stored: Stored, runs: UnitRuns) -> Scalars:
    table = tables.reported(runs.unit.table)
    best = float(table.best[table.row(runs.unit.dataset)])
    regret = regrets(table, runs.unit.dataset)
    for record in runs.records:
        points = []
        for step, index in _steps(json.loads(record.curve), table.space):
            points.append(("regret", float(regret[index]), step))
            points.append(("valid_accuracy", best - float(regret[index]), step))
        yield record, points


def _accuracies(stored: Stored, runs: UnitRuns) -> Scalars:
    for run in run_curves.of_unit(stored, runs.unit, runs.records):
        tag = "standalone_accuracy" if run.on_table else "valid_accuracy_as_seen"
        points = [(tag, value, math.ceil(spent)) for spent, value in run.curve]
        end = math.ceil(run.record.evaluations)
        for part in ("valid", "test") if run.final else ():
            mean = fmean(one[f"{part}_accuracy"] for one in run.final)
            points.append((f"final_{part}_accuracy", mean, end))
        yield run.record, points


def _steps(curve: Sequence[tuple[float, Sequence[int]]], space: Any) -> list[tuple[int, int]]:
    return [(math.ceil(spent), space.index(tuple(genotype))) for spent, genotype in curve]


def _safe(name: str) -> str:
    """Return a relative path without characters that mean something to a file system."""
    parts = ("".join(c if c.isalnum() or c in "-_=." else "_" for c in p) for p in name.split("/"))
    return "/".join(part.strip(".") or "_" for part in parts)


def _optional(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unsupported(
            f"This export needs {module.partition('.')[0]} ({error}). Run: "
            f"pip install 'nasbench-evo[{extra}]'"
        ) from error
