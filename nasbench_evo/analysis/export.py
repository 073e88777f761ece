"""A results folder for other programs: LaTeX, Markdown, Parquet, TensorBoard."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from nasbench_evo import tables
from nasbench_evo.analysis.ablation_stored import Stored
from nasbench_evo.analysis.summary import SummaryRow, counted, regrets
from nasbench_evo.errors import Unsupported
from nasbench_evo.tables.packed import write_atomically

_HEAD = ("algorithm (preset)", "n", "accuracy (%)", "regret (points)", "P(better)", "p")
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def last_rows(stored: Stored, dataset: str) -> list[SummaryRow]:
    """Return the rows of a data set at the last checkpoint, best mean regret first."""
    last = stored.suite.checkpoints[-1]
    rows = [row for row in stored.rows if (row.dataset, row.evaluations) == (dataset, last)]
    return sorted(rows, key=lambda row: row.mean_regret)


def _cells(row: SummaryRow, asked: int) -> tuple[str, ...]:
    spread = "" if math.isnan(row.std_accuracy) else f" ± {row.std_accuracy:.2f}"
    interval = (
        "" if math.isnan(row.regret_low) else f" [{row.regret_low:.3f}, {row.regret_high:.3f}]"
    )
    return (
        f"{row.algorithm} ({row.preset})",
        counted(row.n, asked),
        f"{row.mean_accuracy:.2f}{spread}",
        f"{row.mean_regret:.3f}{interval}",
        "" if row.improvement is None else f"{row.improvement:.3f}",
        "" if row.p_value is None else f"{row.p_value:.1e}",
    )


def _caption(stored: Stored, dataset: str) -> str:
    return (
        f"{stored.suite.name}, {dataset}, {stored.suite.checkpoints[-1]} evaluations. Validation "
        "accuracy of the found cells: mean ± standard deviation over n runs; regret: mean with its "
        "95% bootstrap interval; P(better) and p (Mann-Whitney, Holm-corrected): against random "
        "search."
    )


def escape_latex(text: str) -> str:
    """Return `text` with everything that LaTeX would read as a command made plain."""
    return "".join(_LATEX.get(character, character) for character in text).replace("±", r"$\pm$")


def latex(stored: Stored) -> str:
    """Return a booktabs table a data set; the best mean regret is bold."""
    lines = ["% Needs \\usepackage{booktabs}. Made by: nasbench-evo export --latex"]
    for dataset in stored.suite.datasets:
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(_caption(stored, dataset))}}}",
        ]
        lines += [r"\begin{tabular}{lrrrrr}", r"\toprule"]
        lines += [" & ".join(map(escape_latex, _HEAD)) + r" \\", r"\midrule"]
        for row in last_rows(stored, dataset):
            cells = [escape_latex(cell) for cell in _cells(row, stored.suite.seeds)]
            if row.rank == 1:
                cells[3] = rf"\textbf{{{cells[3]}}}"
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def markdown(stored: Stored) -> str:
    """Return a table a data set; the best mean regret is bold."""
    lines = [f"# {escape_markdown(stored.suite.name)}", ""]
    for dataset in stored.suite.datasets:
        lines += [escape_markdown(_caption(stored, dataset)), ""]
        lines += ["| " + " | ".join(_HEAD) + " |", "|---|" + "---:|" * (len(_HEAD) - 1)]
        for row in last_rows(stored, dataset):
            cells = [escape_markdown(cell) for cell in _cells(row, stored.suite.seeds)]
            if row.rank == 1:
                cells[3] = f"**{cells[3]}**"
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def escape_markdown(text: str) -> str:
    """Return `text` with what Markdown would read as a table, emphasis, code or HTML made plain."""
    return "".join(f"\\{c}" if c in "\\|`*_<>" else c for c in text)


def write_latex(stored: Stored) -> list[Path]:
    """Write summary.tex; return its path."""
    return _text(stored.folder / "summary.tex", latex(stored))


def write_markdown(stored: Stored) -> list[Path]:
    """Write summary.md; return its path."""
    return _text(stored.folder / "summary.md", markdown(stored))


def _text(path: Path, text: str) -> list[Path]:
    write_atomically(path, text.encode())
    return [path]


def write_parquet(stored: Stored) -> list[Path]:
    """Write summary.parquet (a row a table row) and runs.parquet (a row a run); return the paths.

    Raises Unsupported without pyarrow.
    """
    arrow = _optional("pyarrow", "parquet")
    parquet = _optional("pyarrow.parquet", "parquet")
    contents = {
        "summary.parquet": [dataclasses.asdict(row) for row in stored.rows],
        "runs.parquet": _runs(stored),
    }
    for name, rows in contents.items():
        parquet.write_table(arrow.Table.from_pylist(rows), stored.folder / name)
    return [stored.folder / name for name in contents]


def _runs(stored: Stored) -> list[dict[str, Any]]:
    found = []
    for unit in stored.collected:
        table = tables.reported(unit.unit.table)
        regret = regrets(table, unit.unit.dataset)
        for record in unit.records:
            genotype = tuple(json.loads(record.genotype))
            found.append(
                {
                    "algorithm": unit.unit.row.algorithm,
                    "preset": unit.unit.row.preset,
                    "dataset": unit.unit.dataset,
                    "seed": record.seed,
                    "arch": table.space.format(genotype),
                    "regret": float(regret[table.space.index(genotype)]),
                    "evaluations": record.evaluations,
                    "simulated_seconds": record.simulated_seconds,
                    "wall_seconds": record.wall_seconds,
                    "trace_sha256": record.trace_sha256,
                }
            )
    return found


def write_tensorboard(stored: Stored) -> list[Path]:
    """Write the regret and accuracy of each run's incumbent as scalars; return the folder.

    The step is the number of evaluations, rounded up. Raises Unsupported without tensorboardX.
    """
    boards = _optional("tensorboardX", "tensorboard")
    folder = stored.folder / "tensorboard"
    for unit in stored.collected:
        table = tables.reported(unit.unit.table)
        best = float(table.best[table.row(unit.unit.dataset)])
        regret = regrets(table, unit.unit.dataset)
        for record in unit.records:
            name = _safe(f"{unit.unit.dataset}/{unit.unit.row.label}/seed-{record.seed}")
            with boards.SummaryWriter(str(folder / name)) as writer:
                for step, index in _steps(json.loads(record.curve), table.space):
                    writer.add_scalar("regret", float(regret[index]), step)
                    writer.add_scalar("valid_accuracy", best - float(regret[index]), step)
    return [folder]


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
