"""The end of `nasbench-evo run`: tables for people, files, and what was written where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.cli.console import out, say, sentence, tables

if TYPE_CHECKING:
    from nasbench_evo.execution import Plan, Report
    from nasbench_evo.results.columns import Sheet
    from nasbench_evo.results.kinds import Findings, Kind
    from nasbench_evo.store import Store
    from nasbench_evo.suite import Suite


def conclude(
    suite: Suite,
    folder: Path,
    store: Store,
    work: Plan,
    report: Report,
    *,
    as_json: bool,
    verbose: bool,
    tensorboard: bool,
) -> None:
    """Write the report files, print the tables and say where everything is.

    Raises RunsFailed where runs failed, after the others are reported.
    """
    from nasbench_evo.errors import RunsFailed
    from nasbench_evo.results import kinds
    from nasbench_evo.results.runs import collect

    collected = collect(suite, store)
    if not any(unit.records for unit in collected):
        raise RunsFailed(f"All {len(report.failures)} runs failed:\n{report.failures[0][3]}")
    kind = kinds.of(suite)
    found = kind.find(suite, collected)
    if as_json:
        out(json.dumps(kind.summary(found), indent=1))
    else:
        show(kind, found, verbose=verbose)
    paths = _write(kind, found, folder, report, tensorboard=tensorboard)
    spent = sum(run.evaluations for unit in collected for run in unit.records)
    say(
        f"{report.finished} new runs in {report.seconds:.1f} s; {found.runs} runs, {spent:,.0f} "
        f"evaluations in all. Written:"
    )
    for path in paths:
        say(f"  {path}")
    if report.failures:
        raise _failed(folder, work, report)


def _write(
    kind: Kind, found: Findings, folder: Path, report: Report, *, tensorboard: bool
) -> list[Path]:
    """Write summary, figures and, last of all, the manifest; return the paths."""
    from nasbench_evo.figures.suites import overview
    from nasbench_evo.results import manifest, measures, ranking
    from nasbench_evo.results.folder import Stored

    content = kind.summary(found)
    paths = manifest.write_summary(folder, found.rows, content)
    paths.append(measures.write(folder / measures.FILE, found.suite.name, kind.measures(found)))
    if found.rankings:
        paths.append(ranking.write_rankings(folder / "rank_correlation.csv", content))
    paths += overview.first(found, folder)
    provenance = manifest.manifest(
        found.suite,
        runs=found.runs,
        failed=len(report.failures),
        seconds=report.seconds,
        more=kind.provenance(found.suite),
    )
    provenance["code"] = report.code
    paths.append(manifest.write_manifest(folder, provenance))
    if tensorboard:
        from nasbench_evo.report import export

        stored = Stored(folder, found.suite, list(found.collected), content, provenance)
        paths += export.write_tensorboard(stored)
    return paths


def _failed(folder: Path, work: Plan, report: Report) -> Exception:
    from nasbench_evo.errors import RunsFailed
    from nasbench_evo.execution import FAILURES

    label, dataset, seed, trace = report.failures[0]
    return RunsFailed(
        f"{len(report.failures)} of {work.total} runs failed; the others are stored and "
        f"reported with their number n. All: {folder / FAILURES}. First: {label}, {dataset}, "
        f"seed {seed}:\n{trace}"
    )


def show(kind: Kind, found: Findings, *, verbose: bool) -> None:
    """Print a table per data set, the best row first, and who won.

    With `verbose` how to read the tables, notes and comparisons follow.
    """

    console = tables()
    for sheet in kind.sheets(found):
        console.print(_table(sheet, console.width))
        sentence(console, f"{kind.verdict(found, sheet)}\n")
    if verbose:
        for text in (kind.meaning, *found.sentences, *kind.notes(found)):
            sentence(console, text)
        return
    for text in (*kind.headlines(found), *kind.warnings(found)):
        sentence(console, text)
    console.print("* best or tied with it. --verbose: how to read this, notes, published figures.")


def _table(sheet: Sheet, width: int) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from nasbench_evo.results.columns import GAP

    fitted = sheet.fitted(width)
    table = Table(
        title=sheet.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0),
        show_edge=False, pad_edge=False,
    )  # fmt: skip
    for column in fitted.columns:
        table.add_column(
            column.title,
            justify="left" if column.kind == "text" else "right",
            no_wrap=column.kind == "number",
        )
    for row in fitted.rows:
        best = "bold" if row["best"] else None
        table.add_row(*(column.text(row) for column in fitted.columns), style=best)
    return table
