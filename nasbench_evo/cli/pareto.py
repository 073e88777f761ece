"""`nasbench-evo pareto` and `search --objective`: accuracy against what a cell costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.console import out, progress, say, tables

if TYPE_CHECKING:
    from nasbench_evo.algorithms.base import Algorithm
    from nasbench_evo.replays.pareto import VolumeRow
    from nasbench_evo.results.answer import Answer, Asked
    from nasbench_evo.runner import Result
    from nasbench_evo.tables import Table


def pareto(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a bundled one.")],
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds instead of the suite's number.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Results folder (default results/SUITE).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw the Pareto fronts of accuracy against parameters, FLOPs and latency of a suite.

    The searches are repeated from their seeds, and every cell that they evaluated counts. Writes
    pareto.csv, pareto-hypervolume.csv and a figure.
    """
    from nasbench_evo import execution
    from nasbench_evo import suite as suites
    from nasbench_evo.figures import pareto as figures
    from nasbench_evo.replays import pareto as analysis

    chosen = suites.load(suites.find(suite))
    changed = seeds is not None and seeds != chosen.seeds
    if seeds is not None:
        chosen = chosen.model_copy(update={"seeds": seeds})
    folder = folder or execution.folder_for(chosen, own_seeds=changed)
    suites.require_table(chosen)
    with execution.writable(folder):
        with progress("searches", len(suites.units(chosen)) * chosen.seeds, 0) as advance:
            fronts = analysis.pareto(chosen, advance)
        paths = analysis.write(fronts, folder)
        paths += figures.draw(chosen, fronts, folder / "pareto")
    if as_json:
        content = {key: [row._asdict() for row in rows] for key, rows in fronts._asdict().items()}
        out(json.dumps(content, indent=1))
    else:
        _print_volumes(fronts.volumes)
    say("Written:")
    for path in paths:
        say(f"  {path}")


def _print_volumes(rows: list[VolumeRow]) -> None:
    from rich.table import Table as Grid

    grid = Grid(
        title="Accuracy against cost: what single runs reach",
        caption="hypervolume of a run's visited cells as a part of the whole table's; mean with "
        "its bootstrap 95% interval",
    )
    for name in ("data set", "cost", "algorithm (preset)"):
        grid.add_column(name)
    for name in ("n", "cells", "hypervolume % [95%]"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        low, high = 100 * row.share_low, 100 * row.share_high
        interval = "" if row.n < 2 else f" [{low:.2f}, {high:.2f}]"
        grid.add_row(
            row.dataset,
            row.objective,
            f"{row.algorithm} ({row.preset})",
            str(row.n),
            f"{row.visited:.0f}",
            f"{100 * row.mean_share:.2f}{interval}",
        )
    tables().print(grid)


def several(
    asked: Asked, table: Table, objective: str
) -> tuple[Algorithm, Callable[[Result], dict[str, Any]]]:
    """Return an algorithm with NSGA-II's selection, and what makes details of its result.

    The non-dominated set is chosen by what the search saw; `table` says what its cells are.
    """
    from nasbench_evo.algorithms import nsga2
    from nasbench_evo.evaluators.lookup import INFEASIBLE
    from nasbench_evo.replays import pareto as analysis

    names = analysis.objectives(objective, table)
    costs = analysis.cost_function(table, asked.dataset, names)
    algorithm = nsga2.NSGA2(asked.algorithm, costs)

    def finish(result: Result) -> dict[str, Any]:
        d, space = table.row(asked.dataset), table.space
        answered = [answer for answer in result.history if answer.source != INFEASIBLE]
        members = [
            {
                "genotype": list(member.genotype),
                "arch": space.format(member.genotype),
                "seen_accuracy": member.seen,
                "valid_accuracy": float(table.mean_accuracy[d, space.index(member.genotype)]),
                "test_accuracy": table.mean_test(asked.dataset, member.genotype),
                **dict(zip(names, member.costs, strict=True)),
            }
            for member in nsga2.non_dominated(answered, costs)
        ]
        return {
            "selection": algorithm.name,
            "objectives": [analysis.ACCURACY, *names],
            "units": {name: analysis.label(name) for name in names},
            "non_dominated": members,
        }

    return algorithm, finish


def show_set(found: Answer) -> None:
    """Print the non-dominated set of a search for several objectives."""
    from nasbench_evo.replays.pareto import label

    members, names = found.details["non_dominated"], list(found.details["units"])
    out(
        f"{found.algorithm} ({found.preset}) with NSGA-II, {found.dataset}, "
        f"seed {found.seed}: {len(members)} cells that no other dominates, by what the "
        f"search saw in {found.evaluations:g} full trainings\n"
    )
    columns = ["seen %", "mean %", *(label(name) for name in names), "cell"]
    out("  ".join(f"{column:>{max(8, len(column))}}" for column in columns))
    for member in members:
        values = [member["seen_accuracy"], member["valid_accuracy"], *(member[n] for n in names)]
        cells = [
            f"{value:>{max(8, len(column))}.3f}"
            for value, column in zip(values, columns, strict=False)
        ]
        out("  ".join([*cells, member["arch"]]))
    out(f"\n  mean: over the table's trials; {found.details['reported']}")
    out(f"  trace SHA-256  {found.trace_sha256}")
