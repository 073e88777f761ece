"""The end of `nasbench-evo run` for suites on supernets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_evo.analysis.shared import SharedRow
    from nasbench_evo.analysis.summary import UnitRuns
    from nasbench_evo.execution import Report
    from nasbench_evo.suite import Suite

_CAPTION = (
    "seen: the best that the search saw, with shared weights; standalone: mean validation "
    "accuracy of the final cells in the truth table, with its bootstrap 95% interval; final: fresh "
    "trainings of what was found; tau: Kendall's tau-b of shared against standalone accuracy after "
    "the last epoch, and the interval of its mean over seeds"
)


def conclude(
    suite: Suite, folder: Path, collected: list[UnitRuns], report: Report, as_json: bool
) -> tuple[dict[str, Any], dict[str, Any], list[Path]]:
    """Summarise and print runs on shared weights; return content, manifest, files."""
    from nasbench_evo.analysis import report as report_files
    from nasbench_evo.analysis import shared, shared_ranking, trained
    from nasbench_evo.figures import shared as figures

    rankings = shared_ranking.rankings(suite, collected)
    pairs = shared.pairs(suite, collected)
    rows = shared.summarise(suite, collected, rankings)
    content = shared.summary_json(suite, rows, collected, rankings, pairs)
    if not as_json:
        _print(suite, rows, content)
    runs, failed = sum(len(unit.records) for unit in collected), len(report.failures)
    provenance = trained.manifest(suite, runs=runs, failed=failed, seconds=report.seconds)
    paths = report_files.write_summary(folder, rows, content)
    if rankings:
        paths.append(shared_ranking.write_rankings(folder / "rank_correlation.csv", content))
    return content, provenance, [*paths, *figures.draw(suite, collected, rankings, pairs, folder)]


def _print(suite: Suite, rows: list[SharedRow], content: dict[str, Any]) -> None:
    """Print a table per data set, then what the comparisons say."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    names = ("n", "seen %", "standalone %", "regret", "test %", "final test %", "tau", "s/run")
    for dataset in suite.datasets:
        table = Table(title=f"{suite.space} supernet on {dataset}", caption=_CAPTION)
        table.add_column("algorithm (preset)")
        table.add_column("searched on")
        if suite.truth is not None:
            table.add_column("judged on")
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            if row.dataset == dataset:
                table.add_row(*_cells(row, suite))
        console.print(table)
    for text in content["sentences"]:
        console.print(text, soft_wrap=True)
    for note in content["notes"]:
        console.print(f"Note: {note}", soft_wrap=True)


def _cells(row: SharedRow, suite: Suite) -> list[str]:
    from nasbench_evo.analysis.summary import counted

    judged = [row.truth_dataset or ""] if suite.truth is not None else []
    return [
        f"{row.algorithm} ({row.preset})",
        row.searched,
        *judged,
        counted(row.n, suite.seeds),
        _number(row.seen),
        _between(row.truth, row.truth_low, row.truth_high),
        _number(row.regret),
        _number(row.truth_test),
        _number(row.final_test)
        + ("" if row.final_test_std is None else f" +- {row.final_test_std:.2f}"),
        _between(row.kendall_tau, row.tau_low, row.tau_high),
        "" if row.search_seconds is None else f"{row.search_seconds:.0f}",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _between(value: float | None, low: float | None, high: float | None) -> str:
    """Return a mean and its interval; without one (a single run) the mean alone."""
    if low is None or high is None or low != low:  # NaN
        return _number(value)
    return f"{_number(value)} [{low:.2f}, {high:.2f}]"
