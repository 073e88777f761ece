"""The README does not lie: its examples run, its table is the committed summary."""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SUMMARY = ROOT / "results" / "nb201" / "summary.csv"


def results_table() -> str:
    """Return the README's table as Markdown, made from the committed summary."""
    with SUMMARY.open() as file:
        rows = [row for row in csv.DictReader(file) if row["evaluations"] == "300"]
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    cells = {(row["algorithm"], row["preset"], row["dataset"]): row for row in rows}
    lines = ["| algorithm (preset) | " + " | ".join(datasets) + " |", "|---|" + "---|" * 3]
    for algorithm, preset in dict.fromkeys((row["algorithm"], row["preset"]) for row in rows):
        shown = []
        for dataset in datasets:
            row = cells[algorithm, preset, dataset]
            mean, low, high = (
                float(row[key]) for key in ("mean_regret", "regret_low", "regret_high")
            )
            shown.append(f"{mean:.2f} [{low:.2f}, {high:.2f}]")
        lines.append(f"| {algorithm} ({preset}) | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def test_the_results_are_the_committed_summary() -> None:
    assert results_table() in README, f"paste this into README.md:\n{results_table()}"


def test_the_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    assert len(blocks[0].splitlines()) < 12
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102  # our own README
