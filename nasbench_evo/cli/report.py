"""`nasbench-evo report` and `nasbench-evo export`: results for people and for other programs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from nasbench_evo.cli.console import out, steps

Folder = Annotated[Path, typer.Argument(help="Results folder of a suite.")]


def report(
    folder: Folder,
    runs: Annotated[
        int, typer.Option(min=1, help="Runs of a row that the page lets one look into.")
    ] = 50,
    gate: Annotated[
        Path | None, typer.Option(help="What `nasbench-evo check --json` printed, as a file.")
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--out", help="File to write (default: report.html in the results folder)."),
    ] = None,
) -> None:
    """Write report.html into a results folder: one file that needs no network.

    Tables that sort, figures, single runs, provenance; of suites on a table published numbers too.
    """
    from nasbench_evo import execution
    from nasbench_evo.report import page

    there = nullcontext() if target is None else execution.writable(target.parent)
    with there, steps("report"):
        out(str(page.write(folder, runs=runs, gate=gate, target=target)))


def export(
    folder: Folder,
    latex: Annotated[
        bool, typer.Option("--latex", help="summary.tex: tables for the booktabs package.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="summary.md.")] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="summary.parquet and runs.parquet (extra: parquet).")
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Scalars of every run (extra: tensorboard)."),
    ] = False,
) -> None:
    """Write a results folder's summary for LaTeX, Markdown, Parquet or TensorBoard."""
    from nasbench_evo.errors import InputError
    from nasbench_evo.report import export as exports
    from nasbench_evo.results.folder import read

    chosen = [
        kind
        for kind, wanted in (
            (exports.write_latex, latex),
            (exports.write_markdown, markdown),
            (exports.write_parquet, parquet),
            (exports.write_tensorboard, tensorboard),
        )
        if wanted
    ]
    if not chosen:
        raise InputError("Nothing to export: add --latex, --markdown, --parquet or --tensorboard.")
    stored = read(folder)
    for kind in chosen:
        for path in kind(stored):
            out(str(path))
