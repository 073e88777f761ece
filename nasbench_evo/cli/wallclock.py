"""`nasbench-evo run --simulated-workers K`: a suite's searches against a simulated clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.cli.console import out, progress, say, tables

if TYPE_CHECKING:
    from nasbench_evo.replays.wallclock import WallclockRow
    from nasbench_evo.suite import Suite


def replay(suite: Suite, workers: int, folder: Path, as_json: bool) -> None:
    """Search on 1 and on `workers` simulated workers; write and print regret against hours."""
    from nasbench_evo.execution import writable
    from nasbench_evo.figures import wallclock as figures
    from nasbench_evo.replays import wallclock
    from nasbench_evo.suite import units

    wallclock.require_times(suite)
    numbers = sorted({1, workers})
    total = len(units(suite)) * len(numbers) * suite.seeds
    with writable(folder):
        with progress("simulated", total, 0) as advance:
            rows = wallclock.wallclock(suite, numbers, advance)
        target = folder / f"wallclock-{workers}"
        csv = folder / f"{target.name}.csv"
        wallclock.write(rows, csv)
        paths = [csv, *figures.draw(rows, target)]
    if as_json:
        out(json.dumps([row._asdict() for row in rows], indent=1))
    else:
        _print(rows)
    say("Written:")
    for path in paths:
        say(f"  {path}")


def _print(rows: list[WallclockRow]) -> None:
    """Print the end of every curve."""
    from rich.table import Table

    table = Table(
        title="Regret at the end of the simulated clock",
        caption="regret in percentage points with its bootstrap 95% interval; busy: part of the "
        "workers' time that they trained",
    )
    table.add_column("data set")
    table.add_column("algorithm (preset)")
    for name in ("workers", "n", "regret [95%]", "busy"):
        table.add_column(name, justify="right", no_wrap=True)
    last = {(row.dataset, row.algorithm, row.preset, row.workers): row for row in rows}
    for row in last.values():
        interval = "" if row.n < 2 else f" [{row.regret_low:.3f}, {row.regret_high:.3f}]"
        table.add_row(
            row.dataset,
            f"{row.algorithm} ({row.preset})",
            str(row.workers),
            str(row.n),
            f"{row.mean_regret:.3f}{interval}",
            f"{100 * row.busy:.0f} %",
        )
    tables().print(table)
