"""A results folder for other programs: LaTeX, Markdown, CSV, Parquet, TensorBoard."""

from __future__ import annotations

import importlib
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.files import csv_text, replacing, write_text
from nasbench_evo.results.columns import ResultRow, Sheet
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.kind import Track
from nasbench_evo.results.runs import Run

# Of the keys of an answer, those that are a column of runs.parquet.
_RUN_KEYS = (
    "algorithm", "preset", "space", "evaluator", "dataset", "seed", "arch", "valid_accuracy",
    "test_accuracy", "regret", "rank", "evaluations", "simulated_seconds", "wall_seconds",
    "trace_sha256",
)  # fmt: skip
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
    """Return a booktabs table a data set, the best first; it and its ties are bold."""
    lines = ["% Needs \\usepackage{booktabs}. Made by: nasbench-evo export --latex"]
    for sheet in stored.kind.sheets(stored.found):
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption(stored, sheet))}}}",
        ]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(sheet.head) - 1)}}}", r"\toprule"]
        lines += [" & ".join(map(escape_latex, sheet.head)) + r" \\", r"\midrule"]
        lines += [
            " & ".join(_cells(sheet, row, escape_latex, r"\textbf{{{}}}")) + r" \\"
            for row in sheet.rows
        ]
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def markdown(stored: Stored) -> str:
    """Return a table a data set, the best first; it and its ties are bold."""
    lines = [f"# {escape_markdown(stored.suite.name)}", ""]
    for sheet in stored.kind.sheets(stored.found):
        lines += [escape_markdown(caption(stored, sheet)), ""]
        lines += ["| " + " | ".join(sheet.head) + " |", "|---|" + "---:|" * (len(sheet.head) - 1)]
        lines += [
            "| " + " | ".join(_cells(sheet, row, escape_markdown, "**{}**")) + " |"
            for row in sheet.rows
        ]
        lines.append("")
    return "\n".join(lines)


def caption(stored: Stored, sheet: Sheet) -> str:
    """Return the text above an exported table: what it is of, and how to read it."""
    return f"{stored.suite.name}, {sheet.title}. {stored.kind.meaning}".replace("*", "bold:")


def _cells(sheet: Sheet, row: ResultRow, escape: Callable[[str], str], bold: str) -> list[str]:
    """Return the cells of a row, escaped; what stands out is put into `bold`."""
    texts = [(escape(column.text(row)), sheet.marked(row, column)) for column in sheet.columns]
    return [bold.format(text) if marked else text for text, marked in texts]


def escape_markdown(text: str) -> str:
    """Return `text` with what Markdown would read as a table, emphasis, code or HTML made plain."""
    return "".join(f"\\{c}" if c in "\\|`*_<>" else c for c in text)


def write_latex(stored: Stored) -> list[Path]:
    """Write summary.tex; return its path."""
    return [write_text(stored.folder / "summary.tex", latex(stored))]


def write_markdown(stored: Stored) -> list[Path]:
    """Write summary.md; return its path."""
    return [write_text(stored.folder / "summary.md", markdown(stored))]


def write_csv(stored: Stored) -> list[Path]:
    """Write runs.csv (a row a run) and trajectories.csv (a row a change of the incumbent)."""
    paths = []
    for name, rows in (("runs", list(_runs(stored))), ("trajectories", list(_steps(stored)))):
        head = list(dict.fromkeys(key for row in rows for key in row))
        lines = [[row.get(key) for key in head] for row in rows]
        paths.append(write_text(stored.folder / f"{name}.csv", csv_text(head, lines)))
    return paths


def write_parquet(stored: Stored) -> list[Path]:
    """Write summary.parquet (a row a table row), runs.parquet and trajectories.parquet.

    Trajectories have a row for each change of a run's incumbent. Returns the paths; raises
    Unsupported without pyarrow.
    """
    arrow = _optional("pyarrow", "parquet")
    parquet = _optional("pyarrow.parquet", "parquet")
    contents = {
        "summary.parquet": [dict(row.values) for row in stored.found.rows],
        "runs.parquet": list(_runs(stored)),
        "trajectories.parquet": list(_steps(stored)),
    }
    for name, rows in contents.items():
        with replacing(stored.folder / name) as file:
            parquet.write_table(arrow.Table.from_pylist(rows), file)
    return [stored.folder / name for name in contents]


def _steps(stored: Stored) -> Iterator[dict[str, Any]]:
    """Yield where each run's incumbent changed: what was spent, and how good it is from then on.

    `evaluations` are full-training equivalents; simulated seconds are known where the budget is
    one in seconds. Accuracies in percent, regret in percentage points.
    """
    space = stored.kind.space(stored.suite)
    for runs in stored.collected:
        unit, row = runs.unit, runs.unit.row
        for run in runs.records:
            track = stored.kind.track(stored.suite, unit, run.seed)
            for point in run.curve:
                yield {
                    "algorithm": row.algorithm,
                    "preset": row.setting,
                    "dataset": unit.dataset,
                    "seed": run.seed,
                    "evaluations": point.spent,
                    "simulated_seconds": point.seconds,
                    "arch": space.format(point.genotype),
                    track.tag: track.value(point),
                    **{tag: value(point) for tag, value in track.also.items()},
                }


def _runs(stored: Stored) -> Iterator[dict[str, Any]]:
    """Yield what is known of each run; accuracies in percent, regret in percentage points."""
    for runs in stored.collected:
        for run in runs.records:
            found = stored.kind.answer(stored.suite, runs.unit, run)
            yield {
                **{key: getattr(found, key) for key in _RUN_KEYS},
                **stored.kind.facts(stored.suite, runs.unit, run),
            }


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
    for runs in stored.collected:
        for run in runs.records:
            track = stored.kind.track(stored.suite, runs.unit, run.seed)
            name = _safe(f"{runs.unit.dataset}/{runs.unit.row.label}/seed-{run.seed}")
            _write_scalars(boards, folder / name, _scalars(track, run))
    return [folder]


def _write_scalars(
    boards: ModuleType, folder: Path, scalars: Iterable[tuple[str, float, int]]
) -> None:
    """Write the scalars of a run beside its folder, and move the file there once it is whole."""
    for place in (folder, *folder.parents[:3]):  # of the run, its row, its data set, and all
        if place.is_symlink():
            raise InputError(f"{place} is a link; scalars are not written through it. Remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new.") as new:
        with boards.SummaryWriter(new) as writer:
            for tag, value, step in scalars:
                writer.add_scalar(tag, value, step)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        for file in Path(new).iterdir():
            file.replace(folder / file.name)


def _scalars(track: Track, run: Run) -> Iterator[tuple[str, float, int]]:
    """Yield tag, value and step of a run's incumbents, then of its fresh trainings."""
    for point in run.curve:
        value = track.value(point)
        if value is not None:
            yield track.tag, value, math.ceil(point.spent)
        for tag, more in track.also.items():
            yield tag, more(point), math.ceil(point.spent)
    for part in ("valid", "test") if run.final else ():
        mean = fmean(one[f"{part}_accuracy"] for one in run.final)
        yield f"final_{part}_accuracy", mean, math.ceil(run.evaluations)


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
