"""`nasbench-evo run`: carry a suite out, keep every finished run, and report."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.conclusion import conclude
from nasbench_evo.cli.console import out, polled, progress, say, times

if TYPE_CHECKING:
    from nasbench_evo.execution import Plan, Report
    from nasbench_evo.store import Store
    from nasbench_evo.suite import Suite


def run(
    suite: Annotated[str, typer.Argument(help="A suite file, or the name of a bundled one.")],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Seeds instead of the suite's number."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one a core).")
    ] = None,
    engine: Annotated[str, typer.Option(help="serial, processes or dask.")] = "processes",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Of --engine dask: its address (default: --workers processes here)."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Results folder (default results/SUITE; a changed number of "
            "seeds has its own, results/SUITE-seedsN).",
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard what the folder holds.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a folder with runs of other code.")
    ] = False,
    devices: Annotated[
        str | None,
        typer.Option(help="Devices of a suite that trains, e.g. cuda:0,cuda:1 (default: its own)."),
    ] = None,
    simulated_workers: Annotated[
        int | None,
        typer.Option(min=1, help="Replay the searches on K simulated workers, and on one."),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write every run's scalars too (extra: tensorboard)."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run.")] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Print notes and published figures too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Run a suite, or what is missing of it, and report.

    Finished runs are kept: after Ctrl-C or a crash the same command goes on where it stopped.
    Progress goes to stderr, results to stdout and to the results folder. With --simulated-workers
    the results are regret against hours of a simulated clock; no run is stored.
    """
    from nasbench_evo import engines, execution
    from nasbench_evo import suite as suites
    from nasbench_evo.cli import wallclock
    from nasbench_evo.errors import InputError

    chosen = suites.load(suites.find(suite), by_name=dry_run)
    changed = seeds is not None and seeds != chosen.seeds
    if seeds is not None:
        chosen = chosen.model_copy(update={"seeds": seeds})
    if devices is not None:
        chosen = _on_devices(chosen, devices.split(","))
    engines.get(engine, scheduler)  # a wrong name fails before anything is written
    if scheduler is not None and workers is not None:
        raise InputError("--workers is for this machine; a scheduler has its own workers.")
    if tensorboard:
        from nasbench_evo.report import export

        export.require_tensorboard()
    folder = folder or execution.folder_for(chosen, own_seeds=changed)
    if simulated_workers is not None:
        if dry_run or fresh or workers or tensorboard or engine != "processes":
            raise InputError("--simulated-workers goes with --seeds, --out and --json only.")
        wallclock.replay(chosen, simulated_workers, folder, as_json)
        return
    if dry_run:
        _describe(chosen, folder)
        return
    if suites.kind_of(chosen).trains and scheduler is None:
        _check_devices(chosen)  # before anything is written
    if suites.kind_of(chosen).shares_weights and len(chosen.devices) > 1 and engine != "processes":
        raise InputError(
            f"With --engine {engine} supernets train on one device; got "
            f"{', '.join(chosen.devices)}. --engine processes gives each run one of several."
        )
    again = shlex.join(["nasbench-evo", *(a for a in sys.argv[1:] if a != "--fresh")])
    with execution.opened(chosen, folder, fresh=fresh, strict=strict) as store:
        work = execution.plan(chosen, store)
        allowed = workers or execution.default_workers()
        if suites.kind_of(chosen).trains and scheduler is None:
            allowed = execution.shared_out(work, allowed, chosen.devices)
        report = _execute(work, store, engine, allowed, again, scheduler)
        conclude(
            chosen,
            folder,
            store,
            work,
            report,
            as_json=as_json,
            verbose=verbose,
            tensorboard=tensorboard,
        )


def _check_devices(suite: Suite) -> None:
    """Raise InputError for a device that is not there, or that rows cannot train on.

    Raises Unsupported where torch is missing.
    """
    from nasbench_evo.evaluators.specifications import check_devices
    from nasbench_evo.suite import units

    check_devices(suite.devices)
    for unit in units(suite):
        if unit.training is not None:
            unit.trainer()


def _on_devices(suite: Suite, devices: list[str]) -> Suite:
    from nasbench_evo.errors import InputError
    from nasbench_evo.evaluators.specifications import check_shared_devices
    from nasbench_evo.suite import kind_of

    if not kind_of(suite).trains:
        raise InputError(f"--devices is for suites that train; {suite.name} reads a table.")
    if kind_of(suite).shares_weights:
        check_shared_devices(devices)
    return suite.model_copy(update={"devices": devices})


def _describe(suite: Suite, folder: Path) -> None:
    """Print what a run would do, without touching the folder."""
    from nasbench_evo import execution
    from nasbench_evo.claim import read_by_name
    from nasbench_evo.errors import DataError
    from nasbench_evo.store import FILE, Store
    from nasbench_evo.suite import kind_of, units

    out(f"{suite.name}: {suite.description}")
    for unit in units(suite):
        out(f"  {unit.dataset:16} {unit.row.label}")
    _print_prices(suite)
    try:
        if (folder / FILE).exists():
            with Store(folder) as store:
                read_by_name(suite, store)
                work = execution.plan(suite, store)
        else:
            work = execution.plan(suite, None)
    except DataError as error:
        if not kind_of(suite).trains:
            raise
        runs = len(units(suite)) * suite.seeds
        out(f"{runs} runs{kind_of(suite).length(suite)}, into {folder}, once there is the data:")
        out(f"  {error}")
        return
    size = times(len(work.units) // len(suite.datasets), "row")
    size += f" x {times(len(suite.datasets), 'data set')} x {times(suite.seeds, 'seed')}"
    out(
        f"{size}{kind_of(suite).length(suite)} = "
        f"{work.total} runs, {work.done} done, {work.missing} to do, into {folder}"
    )


def _print_prices(suite: Suite) -> None:
    """Print what the rows of a suite that trains cost, all seeds of each."""
    from nasbench_evo.errors import DataError
    from nasbench_evo.suite import kind_of, price

    if not kind_of(suite).trains:
        return
    from nasbench_evo.training.price import emulated_precisions

    try:
        found = list(price.prices(suite))
    except DataError:
        return  # what is missing is said after this
    out(
        f"{'steps':>12}{'PFLOP':>11}{'10^6 kernels':>14}{'disk, MB':>10}{'h here':>10}{'h GPU':>10}"
    )
    for one in found:
        out(f"  {one.dataset:16} {one.row}")
        hours = one.seconds_here / 3600, one.seconds_gpu / 3600
        figures = one.flops / 1e15, one.kernels / 1e6, one.disk / 1e6, *hours
        out(f"{one.steps:>12,.0f}" + "".join(f"{value:>14.3g}" for value in figures))
    out(f"  All seeds ({suite.seeds}). Here: by a few steps in one process, networks one by one.")
    lacking = " and ".join(emulated_precisions())
    out(f"  On this processor steps in {lacking} are timed in fp32.")
    out(f"  GPU: assumed is {price.ASSUMED}.")


def _execute(
    work: Plan, store: Store, engine: str, workers: int, again: str, scheduler: str | None
) -> Report:
    """Run what is missing; an interruption says how to go on and exits."""
    from nasbench_evo import execution

    if work.done:
        say(f"Resuming: {work.done}/{work.total} done")
    started = time.monotonic()
    try:
        with _terminable(), _progress(work) as advance:
            report = execution.execute(
                work,
                store,
                engine=engine,
                workers=min(workers, len(work.tasks) or 1),
                progress=advance,
                scheduler=scheduler,
            )
    except KeyboardInterrupt as interrupt:
        code = 143 if interrupt.args else 130
        say(f"Interrupted. Every finished run is kept. To go on:\n  {again}")
        raise typer.Exit(code) from None
    report.seconds = time.monotonic() - started
    return report


@contextmanager
def _progress(work: Plan) -> Iterator[Callable[[int], None]]:
    """Show how far the runs are: of those that train, by what is trained in them so far."""
    from nasbench_evo import execution

    if not any(task.trains for task in work.tasks):
        with progress("runs", work.total, work.done) as advance:
            yield advance
        return
    label = "epochs" if all(task.unit.epochs for task in work.tasks if task.trains) else "trainings"
    with polled(label, lambda: execution.trained(work)):
        yield lambda runs: None


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt("SIGTERM") inside the block."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
