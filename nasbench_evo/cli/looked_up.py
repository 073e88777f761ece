"""The end of `nasbench-evo run` for suites on a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_evo.execution import Report
    from nasbench_evo.results.summary import SummaryRow, UnitRuns
    from nasbench_evo.suite import Suite


def conclude(
    suite: Suite, folder: Path, collected: list[UnitRuns], report: Report, as_json: bool
) -> tuple[dict[str, Any], dict[str, Any], list[Path]]:
    """Summarise and print runs on a table; return content, manifest, files."""
    from nasbench_evo.figures.suites import regret
    from nasbench_evo.results import manifest as reports
    from nasbench_evo.results import summary

    runs = sum(len(unit.records) for unit in collected)
    rows = summary.summarise(suite, collected)
    content = reports.summary_json(suite, rows, collected)
    if not as_json:
        _print_tables(suite, rows, content)
    failed = len(report.failures)
    provenance = reports.manifest(suite, runs=runs, failed=failed, seconds=report.seconds)
    paths = reports.write_summary(folder, rows, content)
    return content, provenance, [*paths, *regret.draw(suite, collected, folder / "regret")]


def _print_tables(suite: Suite, rows: list[SummaryRow], content: dict[str, Any]) -> None:
    """Print a table per data set at the last checkpoint, and the published rows beside ours."""
    from rich.console import Console
    from rich.table import Table

    from nasbench_evo.results import comparison

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    for dataset in suite.datasets:
        best = content["best_mean_accuracy"][dataset]
        table = Table(
            title=f"{dataset}: {suite.evaluations} evaluations, best mean accuracy {best:.3f} %",
            caption="accuracy: mean +- std of the found cells' mean over trials; regret in "
            "percentage points with its bootstrap 95% interval; P(better), p: against random "
            "search, Holm-corrected Mann-Whitney",
        )
        table.add_column("algorithm (preset)")
        for name in ("n", "accuracy %", "regret [95%]", "median", "IQM", "rank", "P(better)", "p"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            if row.dataset == dataset and row.evaluations == suite.checkpoints[-1]:
                table.add_row(*_cells(row, suite.seeds))
        for row_ in (r for r in content["published"] if r["dataset"] == dataset):
            spread = "" if row_["std"] is None else f" +- {row_['std']:.2f}"
            runs = "?" if row_["runs"] is None else str(row_["runs"])
            table.add_row(
                f"published: {row_['method']}",
                runs,
                f"{row_['mean']:.2f}{spread}",
                f"{best - row_['mean']:.3f}",
                *[""] * 5,
                style="dim",
            )
        console.print(table)
    for sentence in comparison.of_summary(suite, rows):
        console.print(sentence, soft_wrap=True)
    for note in content["notes"]:
        console.print(f"Note: {note}", soft_wrap=True)


def _cells(row: SummaryRow, asked: int) -> list[str]:
    from nasbench_evo.results.summary import counted

    interval = "" if row.n < 2 else f" [{row.regret_low:.3f}, {row.regret_high:.3f}]"
    spread = "" if row.n < 2 else f" +- {row.std_accuracy:.3f}"
    return [
        f"{row.algorithm} ({row.preset})",
        counted(row.n, asked),
        f"{row.mean_accuracy:.3f}{spread}",
        f"{row.mean_regret:.3f}{interval}",
        f"{row.median_regret:.3f}",
        f"{row.iqm_regret:.3f}",
        str(row.rank),
        "" if row.improvement is None else f"{row.improvement:.3f}",
        "" if row.p_value is None else f"{row.p_value:.1e}",
    ]
