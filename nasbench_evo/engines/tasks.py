"""A task is some seeds of one unit; `execute` runs it, in whatever process it is called."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.base import TEACHER, Evaluator
from nasbench_evo.evaluators.journal import run_folder
from nasbench_evo.evaluators.objective import reported
from nasbench_evo.evaluators.specifications import SupernetOptions
from nasbench_evo.evaluators.watched import Counter, Watched
from nasbench_evo.files import canonical
from nasbench_evo.incumbents import RULES, incumbent_accuracies, incumbents
from nasbench_evo.runner import Result, search
from nasbench_evo.store import Record
from nasbench_evo.suite import Unit

# Threads below the processes only get in each other's way.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# A task pays its start-up once, so cheap runs come many to a task; one of dear runs hands back what
# it has no time for, so that little is lost with a worker and none is idle at the end.
_SEEDS_PER_TASK = 100
_SECONDS_PER_TASK = 0.5
# Notes of a record that hold data.
REPORT = "report"  # the final trainings of a run
UNTAUGHT = "untaught"  # the same without the teacher that those had
NETWORK = "network"  # how big the network is that they trained
RETURNED = "returned"
INCUMBENTS = "incumbents"
CLOCK = "clock"  # simulated seconds at each point of the curve


@dataclass(frozen=True)
class Task:
    """Some seeds of one unit: batched so that start-up costs are paid once."""

    unit: Unit
    key: str
    seeds: tuple[int, ...]
    folder: Path | None = None  # for the journals of a unit that trains
    workers: int = 1  # processes a device, of a unit that trains
    seconds: float | None = None  # after which no further seed is begun; None: all are run

    @property
    def trains(self) -> bool:
        """Whether its runs train networks: minutes to days each, not milliseconds."""
        return self.unit.training is not None

    @property
    def shares_weights(self) -> bool:
        """Whether its runs train a supernet each, on one device."""
        return self.unit.epochs is not None

    def at(self, slot: int) -> Task:
        """Return the task as the worker of that number runs it: a supernet on a device of its own.

        That is one of those that the suite has; what comes out does not depend on which.
        """
        training = self.unit.training
        if not isinstance(training, SupernetOptions):
            return self
        device = training.devices[slot % len(training.devices)]
        return replace(self, unit=replace(self.unit, training=replace(training, devices=(device,))))

    @property
    def needs_gpu(self) -> bool:
        """Whether its runs train on a CUDA device."""
        training = self.unit.training
        return training is not None and any(d.startswith("cuda") for d in training.devices)


def in_tasks(unit: Unit, key: str, seeds: Sequence[int]) -> list[Task]:
    """Return the tasks of a unit that searches a table, each ended by what its runs cost."""
    starts = range(0, len(seeds), _SEEDS_PER_TASK)
    return [
        Task(unit, key, tuple(seeds[start : start + _SEEDS_PER_TASK]), seconds=_SECONDS_PER_TASK)
        for start in starts
    ]


@dataclass(frozen=True)
class Outcome:
    """What a task gave: finished runs, and the traceback of each run that failed.

    `task` has the seeds that were run, `rest` the others: those that its seconds did not suffice
    for, in halves, so that a worker without a task gets one of them.
    """

    task: Task
    records: list[Record]
    failures: list[tuple[int, str]]
    rest: tuple[Task, ...] = ()


def execute(task: Task) -> Outcome:
    """Run a task here: at least one seed, then those that its seconds suffice for.

    A run that raises is a failure of that run only; bad input is not.
    """
    started = time.monotonic()
    unit = task.unit
    evaluator = unit.trainer(task.folder, task.workers) if task.trains else unit.evaluator()
    records: list[Record] = []
    failures: list[tuple[int, str]] = []
    for done, seed in enumerate(task.seeds):
        if done and task.seconds is not None and time.monotonic() - started > task.seconds:
            ran = replace(task, seeds=task.seeds[:done])
            return Outcome(ran, records, failures, _rest(task, done))
        try:
            result = search(
                unit.row.configured,
                _watched(task, evaluator, seed),
                seed=seed,
                budget=unit.budget,
                incumbent=unit.row.incumbent,
            )
            curve, notes = _curve(task, result), _notes(task, result, seed)
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


def _rest(task: Task, done: int) -> tuple[Task, ...]:
    left = task.seeds[done:]
    half = (len(left) + 1) // 2
    return tuple(replace(task, seeds=seeds) for seeds in (left[:half], left[half:]) if seeds)


def _watched(task: Task, evaluator: Evaluator, seed: int) -> Evaluator:
    """Return the evaluator of a run, which counts beside its journal what is trained."""
    if task.unit.training is None or task.folder is None:
        return evaluator
    count = Counter(run_folder(task.folder, seed))
    return Watched(evaluator, count.add, shared=task.shares_weights)


def _curve(task: Task, result: Result) -> list[Any]:
    """Return the incumbent's curve, of trainings with the accuracy that it had then.

    An objective that knows the truth of a genotype says that instead.
    """
    if task.trains:
        return list(incumbent_accuracies(result.history, result.incumbent))
    if task.unit.objective is not None:
        evaluator = task.unit.evaluator()
        seen = incumbent_accuracies(result.history, result.incumbent)
        return [
            (spent, genotype, value if (true := reported(evaluator, genotype)) is None else true)
            for spent, genotype, value in seen
        ]
    return list(result.curve)


def _clock(task: Task, result: Result) -> list[float]:
    """Return the simulated seconds at each point of the curve."""
    if task.trains or task.unit.objective is not None:
        points: Any = incumbent_accuracies(result.history, result.incumbent, seconds=True)
    else:
        genotypes, accuracies, _, seconds, fractions, *_ = zip(*result.history, strict=True)
        points = incumbents(genotypes, accuracies, fractions, seconds, result.incumbent)
    return [seconds for seconds, *_ in points]


def _notes(task: Task, result: Result, seed: int) -> dict[str, Any]:
    """Return what is said of a run: remarks, and data beside the incumbent.

    `returned` is the genotype that the algorithm ended with, where it has a result of its own;
    `incumbents` the last incumbent by each rule; `clock` the simulated
    seconds at each point of the curve, where the budget is one in seconds.
    """
    notes = dict(result.notes)
    if task.unit.budget.seconds is not None:
        notes[CLOCK] = _clock(task, result)
    if result.returned is not None:
        notes[RETURNED] = result.returned
    notes[INCUMBENTS] = {rule: result.recommended(rule) for rule in RULES}
    if task.trains:
        trainer = task.unit.trainer(task.folder, task.workers)
        taught = TEACHER in result.notes
        final = trainer.report(result.genotype, seed, taught=taught)
        notes[REPORT] = [trained.plain() for trained in final]
        if taught:  # the same networks with the same seeds, to see what the teacher changes
            alone = trainer.report(result.genotype, seed)
            notes[UNTAUGHT] = [trained.plain() for trained in alone]
        if final:
            notes[NETWORK] = trainer.size(result.genotype)
    return notes


def ignore_interrupt() -> None:
    """Leave Ctrl-C, which a terminal sends to the whole group, to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
