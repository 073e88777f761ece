"""Put the figures of benchmark runs into docs/performance.md.

`tox -e bench` calls this after the benchmarks: with all of them, or with some
(`tox -e bench -- -k NAME`). The figures are kept in docs/performance.json, so that a run of some
replaces theirs and leaves the others; those that no longer exist are dropped. The page's table is
made of that file and stands between two markers.
"""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, TypedDict

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs"
PAGE = DOCS / "performance.md"
FIGURES = DOCS / "performance.json"
BEGIN = "<!-- begin: performance_page.py -->"
END = "<!-- end -->"


class Row(TypedDict):
    """One benchmark: its median, what it reported, and where that was measured."""

    median_seconds: float
    figures: dict[str, Any]
    measured: str


def existing() -> set[str]:
    """Return the functions of this folder that time something, as file::function."""
    return {
        f"{file.stem}::{node.name}"
        for file in FOLDER.glob("test_*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if "benchmark" in (argument.arg for argument in node.args.args)
    }


def function(name: str) -> str:
    """Return the function of a benchmark: its name without the parameters."""
    return name.partition("[")[0]


def rows(report: dict[str, Any]) -> dict[str, Row]:
    """Return the rows of a report of pytest-benchmark, by file::function[parameters]."""
    machine = report["machine_info"]
    measured = (
        f"{machine['cpu'].get('brand_raw', machine['machine'])}, Python "
        f"{machine['python_version']}, {report['datetime'][:10]}"
    )
    return {
        f"{Path(b['fullname'].partition('::')[0]).stem}::{b['name']}": Row(
            median_seconds=b["stats"]["median"], figures=b["extra_info"], measured=measured
        )
        for b in report["benchmarks"]
    }


def merged(old: dict[str, Row], new: dict[str, Row]) -> dict[str, Row]:
    """Return all rows of the benchmarks that exist, new before old, in order of their names.

    A function's rows are replaced together: its parameters may have changed.
    """
    renewed = {function(name) for name in new}
    kept = {name: row for name, row in old.items() if function(name) not in renewed}
    there = existing()
    every = {name: row for name, row in (kept | new).items() if function(name) in there}
    return dict(sorted(every.items(), key=lambda item: function(item[0])))


def seconds(value: float) -> str:
    """Return a duration with its unit, three digits."""
    factor, unit = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
    return f"{value * factor:.3g} {unit}"


def text(value: Any) -> str:
    """Return a figure as it is shown."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(name: str, group: dict[str, Row]) -> list[str]:
    """Return the Markdown of one function's rows: a column for each figure."""
    figures = list(dict.fromkeys(key for row in group.values() for key in row["figures"]))
    with_parameters = any("[" in key for key in group)
    head = (["case"] if with_parameters else []) + ["median", *figures]
    lines = [f"### {name.replace('::', ': ')}", "", line(head), "|---" * len(head) + "|"]
    for key, row in group.items():
        cells = [key.partition("[")[2].removesuffix("]")] if with_parameters else []
        cells += [seconds(row["median_seconds"])]
        cells += [text(row["figures"].get(figure, "")) for figure in figures]
        lines.append(line(cells))
    where = "; ".join(sorted({row["measured"] for row in group.values()}))
    return [*lines, "", f"({where})", ""]


def rendered(every: dict[str, Row]) -> str:
    """Return the Markdown of all rows."""
    groups: defaultdict[str, dict[str, Row]] = defaultdict(dict)
    for name, row in every.items():
        groups[function(name)][name] = row
    return "\n".join(part for name, group in groups.items() for part in table(name, group))


def page(old: str, every: dict[str, Row]) -> str:
    """Return the page with its table made anew."""
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} needs the lines {BEGIN} and {END}, in this order.")
    return f"{before}{BEGIN}\n\n{rendered(every)}\n{END}{after}"


def main(reports: list[str]) -> None:
    """Take in reports, the last one counting, and write the file of figures and the page."""
    every: dict[str, Row] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for path in reports:
        every = merged(every, rows(json.loads(Path(path).read_text())))
    FIGURES.write_text(json.dumps(every, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), every), encoding="utf-8")
    missing = sorted(existing() - {function(name) for name in every})
    print(f"{len(every)} rows. Benchmarks without one: {', '.join(missing) or 'none'}.")


if __name__ == "__main__":
    main(sys.argv[1:])
