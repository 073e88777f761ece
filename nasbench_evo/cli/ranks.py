"""`nasbench-evo ranks`: does a ranking of algorithms hold on other data sets and tables?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_evo.cli.console import out, say, sentence, tables

if TYPE_CHECKING:
    from nasbench_evo.results.ranks import Ranks


def ranks(
    folders: Annotated[list[Path], typer.Argument(help="Results folders of suites on tables.")],
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to (default: the first one).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print ranks.json.")] = False,
) -> None:
    """Rank the rows that several suites share on each of their data sets.

    Writes ranks.csv, ranks.json (Friedman's test, Nemenyi's critical difference, and what they say)
    and the critical-difference diagram. Other tables are held against the first folder's.
    """
    from nasbench_evo import execution
    from nasbench_evo.figures import critical_difference
    from nasbench_evo.results import ranks as results

    found = results.compare([block for path in folders for block in results.read(path)])
    target = folder or folders[0]
    with execution.writable(target):
        paths = results.write(found, target)
        paths += critical_difference.draw(found, target / "critical_difference")
    if as_json:
        out(json.dumps(results.summary(found), indent=1))
    else:
        _print(found)
    say("Written:")
    for path in paths:
        say(f"  {path}")


def _print(found: Ranks) -> None:
    from rich.table import Table as Grid

    from nasbench_evo.results import ranks as results

    grid = Grid(title="Average rank of mean regret, 1 the best", title_justify="left")
    head = ["row", "all", *found.by_table]
    for name in head:
        grid.add_column(name, justify="left" if name == "row" else "right", no_wrap=True)
    _, lines = results.table(found)
    for line in lines:
        grid.add_row(line[0], *(f"{value:.2f}" for value in line[1 : len(head)]))
    console = tables()
    console.print(grid)
    for text in results.sentences(found):
        sentence(console, text)
