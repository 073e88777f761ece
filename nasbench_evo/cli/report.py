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
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Serve a live page while the suite runs; Ctrl-C ends it."),
    ] = False,
    target: Annotated[
        Path | None,
        typer.Option("--out", help="File to write (default: report.html in the results folder)."),
    ] = None,
) -> None:
    """Write report.html into a results folder: one file that needs no network.

    Who won and by how much, tables that sort, interactive curves, the search space, single runs,
    figures, provenance. With --watch nothing is written: the page is at a printed address of this
    machine (127.0.0.1) and follows the runs as they are finished.
    """
    from nasbench_evo import execution
    from nasbench_evo.errors import InputError
    from nasbench_evo.report import page

    if watch:
        from nasbench_evo.report import watch as live

        if gate is not None or target is not None:
            raise InputError("--gate and --out are for a written report: leave --watch out.")
        live.serve(folder, runs=runs, announce=_announced)
        return
    there = nullcontext() if target is None else execution.writable(target.parent)
    with there, steps("report"):
        out(str(page.write(folder, runs=runs, gate=gate, target=target)))


def _announced(address: str) -> None:
    out(f"Live at {address} (this machine only). Ctrl-C ends it.")


def export(
    folder: Folder,
    latex: Annotated[
        bool, typer.Option("--latex", help="summary.tex: tables for the booktabs package.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="summary.md.")] = False,
    csv: Annotated[
        bool,
        typer.Option("--csv", help="runs.csv, and trajectories.csv: each change of an incumbent."),
    ] = False,
    parquet: Annotated[
        bool,
        typer.Option("--parquet", help="The summary, runs and trajectories (extra: parquet)."),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Scalars of every run (extra: tensorboard)."),
    ] = False,
) -> None:
    """Write a results folder's summary and runs for LaTeX, Markdown, CSV, Parquet, TensorBoard."""
    from nasbench_evo.errors import InputError
    from nasbench_evo.report import export as exports
    from nasbench_evo.results.folder import read

    chosen = [
        kind
        for kind, wanted in (
            (exports.write_latex, latex),
            (exports.write_markdown, markdown),
            (exports.write_csv, csv),
            (exports.write_parquet, parquet),
            (exports.write_tensorboard, tensorboard),
        )
        if wanted
    ]
    if not chosen:
        raise InputError(
            "Nothing to export: add --latex, --markdown, --csv, --parquet or --tensorboard."
        )
    stored = read(folder)
    for kind in chosen:
        for path in kind(stored):
            out(str(path))
