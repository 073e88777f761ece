"""Where runs are computed: in this process, or in worker processes. Only the driver writes.

Every engine is a function that takes tasks and yields their outcomes as they finish. What a run
gives never depends on the engine, on the number of workers, or on the order.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.runner import Result, incumbent_accuracies, search
from nasbench_evo.store import Record, canonical
from nasbench_evo.suite import Unit

# Threads below the processes only get in each other's way.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
REPORT = "report"  # the note that holds the final trainings of a run, as JSON
_QUEUED_PER_WORKER = 4  # tasks handed out ahead, so that no worker waits


@dataclass(frozen=True)
class Task:
    """Some seeds of one unit: batched so that start-up costs are paid once."""

    unit: Unit
    key: str
    seeds: tuple[int, ...]
    folder: Path | None = None  # for the journals of a unit that trains
    workers: int = 1  # processes a device, of a unit that trains


@dataclass(frozen=True)
class Outcome:
    """What a task gave: finished runs, and the traceback of each run that failed."""

    task: Task
    records: list[Record]
    failures: list[tuple[int, str]]


def execute(task: Task) -> Outcome:
    """Run a task here. A run that raises is a failure of that run only; bad input is not."""
    training = task.unit.training is not None
    evaluator = task.unit.trainer(task.folder, task.workers) if training else task.unit.evaluator()
    records, failures = [], []
    for seed in task.seeds:
        try:
            result = search(task.unit.row.configured, evaluator, seed=seed, budget=task.unit.budget)
            curve, notes = (
                _reported(task, result, seed) if training else (result.curve, result.notes)
            )
        except InputError:
            raise
        except Exception:
            failures.append((seed, traceback.format_exc()))
            continue
        records.append(
            Record(
                unit=task.key,
                seed=seed,
                genotype=canonical(result.genotype),
                evaluations=result.evaluations,
                simulated_seconds=result.simulated_seconds,
                trace_sha256=result.trace_sha256,
                wall_seconds=result.wall_seconds,
                curve=canonical(curve),
                notes=canonical(notes),
            )
        )
    return Outcome(task, records, failures)


def _reported(task: Task, result: Result, seed: int) -> tuple[list[Any], dict[str, str]]:
    """Return curve and notes of a run of trainings: with accuracies, and the final trainings."""
    final = task.unit.trainer(task.folder, task.workers).report(result.genotype, seed)
    plain = [{**asdict(trained), "curve": None} for trained in final]
    return incumbent_accuracies(result.history), {**result.notes, REPORT: canonical(plain)}


def serial(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    """Run the tasks one after the other in this process."""
    yield from map(execute, tasks)


def processes(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    """Run the tasks in `workers` processes; yield outcomes as they finish.

    Closing the iterator early (an error, Ctrl-C) ends the workers.
    """
    from loky.process_executor import ProcessPoolExecutor  # imported late: only used here

    executor = ProcessPoolExecutor(
        max_workers=workers, initializer=_ignore_interrupt, env=_ONE_THREAD
    )
    waiting = iter(tasks)
    running: set[Future[Outcome]] = set()
    try:
        while True:
            for task in waiting:
                running.add(executor.submit(execute, task))
                if len(running) >= workers * _QUEUED_PER_WORKER:
                    break
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        executor.shutdown(wait=True, kill_workers=bool(running))


def _ignore_interrupt() -> None:
    """Leave Ctrl-C, which a terminal sends to the whole group, to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


ENGINES: dict[str, Callable[[Sequence[Task], int], Iterator[Outcome]]] = {
    "serial": serial,
    "processes": processes,
}


def get(name: str) -> Callable[[Sequence[Task], int], Iterator[Outcome]]:
    """Return the engine called `name`; raise InputError with the near miss if there is none."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]
