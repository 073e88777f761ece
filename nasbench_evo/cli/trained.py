"""The end of `nasbench-evo run` for suites that train every candidate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_evo.execution import Report
    from nasbench_evo.results.summary import UnitRuns
    from nasbench_evo.results.trained import TrainedRow
    from nasbench_evo.suite import Suite


def conclude(
    suite: Suite, folder: Path, collected: list[UnitRuns], report: Report, as_json: bool
) -> tuple[dict[str, Any], dict[str, Any], list[Path]]:
    """Summarise and print runs that trained every candidate; return content, manifest, files."""
    from nasbench_evo.figures.suites import accuracy
    from nasbench_evo.results import manifest as report_files
    from nasbench_evo.results import trained

    runs = sum(len(unit.records) for unit in collected)
    rows = trained.summarise(suite, collected)
    content = trained.summary_json(suite, rows, collected)
    if not as_json:
        _print_trained(suite, rows, content)
    failed = len(report.failures)
    provenance = trained.manifest(suite, runs=runs, failed=failed, seconds=report.seconds)
    paths = report_files.write_summary(folder, rows, content)
    return content, provenance, [*paths, *accuracy.draw(suite, collected, folder / "accuracy")]


def _print_trained(suite: Suite, rows: list[TrainedRow], content: dict[str, Any]) -> None:
    """Print a table per data set at the last checkpoint."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    for dataset in suite.datasets:
        table = Table(
            title=f"{suite.space} on {dataset}: {suite.evaluations} evaluations",
            caption="seen: validation accuracy of the incumbent in its search (the best of many, "
            "so too high), mean and bootstrap interval; final: fresh trainings of what was found; "
            "P(better), p: against random search, Holm-corrected Mann-Whitney",
        )
        table.add_column("algorithm (preset)")
        names = ("n", "seen % [95%]", "rank", "final valid %", "final test %", "s/run", "P(better)")
        for name in (*names, "p"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            if row.dataset == dataset and row.evaluations == suite.checkpoints[-1]:
                table.add_row(*_trained_cells(row, suite.seeds))
        console.print(table)
    for note in content["notes"]:
        console.print(f"Note: {note}", soft_wrap=True)


def _trained_cells(row: TrainedRow, asked: int) -> list[str]:
    from nasbench_evo.results.summary import counted

    interval = "" if row.n < 2 else f" [{row.seen_low:.2f}, {row.seen_high:.2f}]"
    spread = "" if row.final_test_std is None else f" +- {row.final_test_std:.2f}"
    return [
        f"{row.algorithm} ({row.preset})",
        counted(row.n, asked),
        f"{row.seen_mean:.2f}{interval}",
        str(row.rank),
        "" if row.final_valid is None else f"{row.final_valid:.2f}",
        "" if row.final_test is None else f"{row.final_test:.2f}{spread}",
        "" if row.training_seconds is None else f"{row.training_seconds:.0f}",
        "" if row.improvement is None else f"{row.improvement:.3f}",
        "" if row.p_value is None else f"{row.p_value:.1e}",
    ]
