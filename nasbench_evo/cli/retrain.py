"""`nasbench-evo retrain`: fresh trainings of what a suite on shared weights found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_evo.cli.console import out, progress, say, tables

if TYPE_CHECKING:
    from nasbench_evo.results.retrained import Study

_LENGTHS = [10, 20]


def retrain(
    folder: Annotated[Path, typer.Argument(help="Results folder of a suite on supernets.")],
    epochs: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Length of the trainings; may be repeated (default 10 and 20)."),
    ] = None,
    cells: Annotated[int, typer.Option(min=3, help="Random cells that are ranked.")] = 64,
    trials: Annotated[int, typer.Option(min=2, help="Trainings of each final cell.")] = 5,
    probe_trials: Annotated[int, typer.Option(min=2, help="Trainings of each random cell.")] = 4,
    workers: Annotated[int, typer.Option(min=1, help="Processes a device.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print retrained.json.")] = False,
) -> None:
    """Train anew what the searches of a suite found, and hold its supernets against fresh truth.

    A cell that was chosen by its recorded accuracy is judged by other trainings; rankings by shared
    weights are compared with the mean of several trainings, at each length and with each kind of
    BatchNorm statistics. Writes retrained.json, the values behind it, and two figures. After an
    interruption the same command goes on.
    """
    from nasbench_evo import execution
    from nasbench_evo.figures import retrained as figures
    from nasbench_evo.replays import retrained as replay
    from nasbench_evo.results import folder as results
    from nasbench_evo.results import retrained as analysis

    stored = results.read(folder)
    lengths = sorted(set(epochs or _LENGTHS))
    asked = replay.Trainings(lengths, cells, trials, probe_trials, workers)
    with execution.writable(folder):
        with progress("trainings", replay.number(stored, asked), 0) as advance:
            study = replay.retrain(stored, asked, advance)
        paths = analysis.write(study, folder, stored.suite.name) + figures.draw(study, folder)
    if as_json:
        out(json.dumps(study.to_json(), indent=1))
    else:
        _print(study)
    say("Written:")
    for path in paths:
        say(f"  {path}")


def _print(study: Study) -> None:
    from rich.table import Table as Grid

    from nasbench_evo.results.retrained import sentences

    console = tables()
    grid = Grid(title="What searches ended with, trained anew", title_justify="left")
    for name in ("row", "searched on"):
        grid.add_column(name)
    for name in ("epochs", "runs", "recorded %", "fresh % [95%]", "fresh test %"):
        grid.add_column(name, justify="right", no_wrap=True)
    for one in study.judged():
        mean, low, high = one.fresh
        grid.add_row(
            one.label,
            one.searched,
            str(one.epochs),
            str(one.runs),
            f"{one.recorded:.2f}",
            f"{mean:.2f}" + ("" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"),
            f"{one.fresh_test:.2f}",
        )
    console.print(grid)
    for sentence in sentences(study):
        console.print(sentence, soft_wrap=True)
