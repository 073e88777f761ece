"""The end of `nasbench-evo run` for suites on supernets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_evo.execution import Report
    from nasbench_evo.results.summary import UnitRuns
    from nasbench_evo.results.supernet import SharedRow
    from nasbench_evo.suite import Suite

_TEXTS = {"algorithm (preset)", "searched on", "judged on"}
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
    from nasbench_evo.figures.suites import supernet as figures
    from nasbench_evo.results import manifest as report_files
    from nasbench_evo.results import ranking, trained
    from nasbench_evo.results import supernet as shared

    rankings = ranking.rankings(suite, collected)
    pairs = shared.pairs(suite, collected)
    rows = shared.summarise(suite, collected, rankings)
    content = shared.summary_json(suite, rows, collected, rankings, pairs)
    if not as_json:
        _print(suite, rows, content)
    runs, failed = sum(len(unit.records) for unit in collected), len(report.failures)
    provenance = trained.manifest(suite, runs=runs, failed=failed, seconds=report.seconds)
    paths = report_files.write_summary(folder, rows, content)
    if rankings:
        paths.append(ranking.write_rankings(folder / "rank_correlation.csv", content))
    return content, provenance, [*paths, *figures.draw(suite, collected, rankings, pairs, folder)]


def _print(suite: Suite, rows: list[SharedRow], content: dict[str, Any]) -> None:
    """Print a table per data set, then what the comparisons say."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    for dataset in suite.datasets:
        table = Table(title=f"{suite.space} supernet on {dataset}", caption=_CAPTION)
        lines = [_cells(row, suite) for row in rows if row.dataset == dataset]
        shown = [name for name in lines[0] if any(line[name] for line in lines)] if lines else []
        for name in shown:
            text = name in _TEXTS
            table.add_column(name, justify="left" if text else "right", no_wrap=not text)
        for line in lines:
            table.add_row(*(line[name] for name in shown))
        console.print(table)
    for text in content["sentences"]:
        console.print(text, soft_wrap=True)
    for note in content["notes"]:
        console.print(f"Note: {note}", soft_wrap=True)


def _cells(row: SharedRow, suite: Suite) -> dict[str, str]:
    """Return the texts of a row by column; a column that is empty in all rows is not shown."""
    from nasbench_evo.results.summary import counted

    spread = "" if row.final_test_std is None else f" +- {row.final_test_std:.2f}"
    return {
        "algorithm (preset)": f"{row.algorithm} ({row.preset})",
        "searched on": row.searched,
        "judged on": row.truth_dataset or "",
        "n": counted(row.n, suite.seeds),
        "seen %": _number(row.seen),
        "standalone %": _between(row.truth, row.truth_low, row.truth_high),
        "regret": _number(row.regret),
        "test %": _number(row.truth_test),
        "final test %": _number(row.final_test) + spread,
        "tau": _between(row.kendall_tau, row.tau_low, row.tau_high),
        "s/run": "" if row.search_seconds is None else f"{row.search_seconds:.0f}",
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _between(value: float | None, low: float | None, high: float | None) -> str:
    """Return a mean and its interval; without one (a single run) the mean alone."""
    if low is None or high is None or low != low:  # NaN
        return _number(value)
    return f"{_number(value)} [{low:.2f}, {high:.2f}]"
