"""Carrying a suite out in a results folder: what is done is kept, what is missing is run."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench_evo import engines
from nasbench_evo.claim import CHECKPOINTS, MANIFEST, Place, codes, opened, writable
from nasbench_evo.engines import Outcome, Task, in_tasks
from nasbench_evo.evaluators.journal import run_folder
from nasbench_evo.evaluators.watched import Counter
from nasbench_evo.files import RESULTS
from nasbench_evo.store import Store
from nasbench_evo.suite import Suite, Unit, units

FAILURES = "failures.log"  # what went wrong in the runs that are missing


@dataclass(frozen=True)
class Plan:
    """What a suite needs in a folder: all its units by key, and the tasks still to do."""

    units: dict[str, Unit]
    tasks: list[Task]
    total: int  # runs
    done: int

    @property
    def missing(self) -> int:
        """Runs still to do."""
        return self.total - self.done


@dataclass
class Report:
    """What happened: new runs, and failures as (row label, data set, seed, traceback)."""

    finished: int = 0
    seconds: float = 0.0
    code: list[dict[str, Any]] = field(default_factory=list)  # that made the runs: see claim.codes
    failures: list[tuple[str, str, int, str]] = field(default_factory=list)


def seeds(suite: Suite) -> range:
    """Return the seeds of a suite."""
    return range(suite.first_seed, suite.first_seed + suite.seeds)


def plan(suite: Suite, store: Store | None) -> Plan:
    """Return what is done in the store (nothing, if there is none) and what is to do."""
    every = {unit.key(): unit for unit in units(suite)}
    tasks: list[Task] = []
    done = 0
    for key, unit in every.items():
        stored = store.seeds(key) if store else set()
        missing = [seed for seed in seeds(suite) if seed not in stored]
        done += suite.seeds - len(missing)
        if unit.training is not None:  # a run is long: each is a task of its own
            own = None if store is None else journals(store.path.parent, key)
            tasks += [Task(unit, key, (seed,), own) for seed in missing]
            continue
        tasks += in_tasks(unit, key, missing)
    return Plan(every, tasks, len(every) * suite.seeds, done)


def journals(folder: Path, key: str) -> Path:
    """Return where the runs of a unit that trains keep their journals and checkpoints."""
    return (folder / CHECKPOINTS / key[:16]).absolute()  # a worker may have another folder


def execute(
    work: Plan,
    store: Store,
    *,
    engine: str,
    workers: int,
    progress: Callable[[int], None],
    scheduler: str | None = None,
) -> Report:
    """Run the tasks of a plan and store each outcome as it comes.

    `progress` is called with the number of runs of each stored outcome; `scheduler` is that of a
    Dask engine. Whatever interrupts this, the outcomes stored so far stay. Failures are written to
    failures.log beside the store; those of an earlier execution are gone: it was tried again.
    """
    store.add_units({key: unit.describe() for key, unit in work.units.items()})
    report = Report(code=codes(store))
    (store.path.parent / FAILURES).unlink(missing_ok=True)
    place = Place(store.path.parent)
    outcomes = engines.get(engine, scheduler, place.check)(work.tasks, workers)
    try:
        for outcome in outcomes:
            place.check()
            _keep(outcome, store, report)
            progress(len(outcome.task.seeds))
    finally:
        close = getattr(outcomes, "close", None)
        if close is not None:
            close()
    place.check()
    return report


def _keep(outcome: Outcome, store: Store, report: Report) -> None:
    store.add(outcome.records)
    report.finished += len(outcome.records)
    task = outcome.task
    if task.trains and task.folder is not None:
        for record in outcome.records:
            folder = run_folder(task.folder, record.seed)
            Counter(folder).add(math.inf)  # a search may end before its budget
            if not task.shares_weights:  # journals stay; weights are needed no more
                for file in folder.glob("*.pt"):
                    file.unlink(missing_ok=True)
    if outcome.failures:
        _log(outcome, store.path.parent / FAILURES, report)


def _log(outcome: Outcome, file: Path, report: Report) -> None:
    unit = outcome.task.unit
    with file.open("a", encoding="utf-8") as log:
        for seed, trace in outcome.failures:
            report.failures.append((unit.row.label, unit.dataset, seed, trace))
            log.write(f"FAILED {unit.row.label}, {unit.dataset}, seed {seed}\n{trace.rstrip()}\n\n")


def trained(work: Plan) -> tuple[float, float]:
    """Return how many trainings, or epochs of shared weights, the tasks have done, of how many.

    What runs that go on have trained is counted beside their journals.
    """
    tasks = [task for task in work.tasks if task.folder is not None]  # others read a table
    lengths = [task.unit.epochs or task.unit.budget.evaluations or 0 for task in tasks]
    going = [
        min(Counter.read(run_folder(task.folder, task.seeds[0])), length)
        for task, length in zip(tasks, lengths, strict=True)
        if task.folder is not None
    ]
    return sum(going), sum(lengths)


def shared_out(work: Plan, workers: int, devices: Sequence[str]) -> int:
    """Return how many runs of trainings go at a time, and give each run its share of processes.

    On CPUs runs go side by side; what is left over trains the individuals of each. On other
    devices supernets go side by side, one a device, and other runs one after the other, each with
    one process a device.
    """
    if list(devices) != ["cpu"]:
        shared = all(task.shares_weights or not task.trains for task in work.tasks)
        return max(1, min(workers, len(devices))) if shared else 1
    side_by_side = max(1, min(workers, len(work.tasks)))
    share = max(1, workers // side_by_side)
    work.tasks[:] = [dataclasses.replace(task, workers=share) for task in work.tasks]
    return side_by_side


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder_for(suite: Suite, *, own_seeds: bool) -> Path:
    """Return the default results folder: another number of seeds gets a folder of its own."""
    suffix = f"-seeds{suite.seeds}" if own_seeds else ""
    return RESULTS / f"{suite.name}{suffix}"


__all__ = [
    "FAILURES", "MANIFEST", "Plan", "Report", "codes", "default_workers", "execute", "folder_for",
    "journals", "opened", "plan", "seeds", "shared_out", "writable",
]  # fmt: skip
