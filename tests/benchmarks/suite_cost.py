"""What a suite costs as it grows: a queue of workers behind one driver, with measured times.

`python tests/benchmarks/suite_cost.py` prints the table of docs/distributed.md.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nasbench_evo.engines.tasks import Outcome, Task, execute

# Measured: see docs/distributed.md, "How the figures were made".
LOOKUP_SECONDS = 0.0035  # a run of 300 evaluations, CPU time, mean over the rows of nb201
DIGITS_SECONDS = 0.48  # a training of the suite training_digits
FULL_SECONDS = 1828.0  # a training of 200 epochs on cifar10, mean of the table
DRIVER_SECONDS = 0.008  # a task through driver and scheduler, stored on disk
SEEDS_PER_TASK = 20
WORKERS = (1, 10, 100, 1000)


def suite_seconds(
    durations: Sequence[float], workers: int, driver_seconds: float, ahead: int = 1
) -> float:
    """Return the seconds that tasks of `durations` take on `workers` behind one driver.

    The driver is busy for half of `driver_seconds` when it hands a task out and for half when it
    stores what came back, one thing after the other. Each worker is given `ahead` tasks in advance.
    """
    half = driver_seconds / 2
    free = [0.0] * workers  # when a worker has done all that it was given
    back: list[tuple[float, int]] = []  # (time, worker) of each task that is out
    clock = 0.0  # of the driver
    left = iter(durations)

    def hand_out(worker: int) -> None:
        nonlocal clock
        duration = next(left, None)
        if duration is not None:
            clock += half
            free[worker] = max(free[worker], clock) + duration
            heapq.heappush(back, (free[worker], worker))

    for _ in range(ahead):
        for worker in range(workers):
            hand_out(worker)
    while back:
        returned, worker = heapq.heappop(back)
        clock = max(clock, returned) + half
        hand_out(worker)
    return clock


@dataclass(frozen=True)
class Scenario:
    """A suite: rows x data sets x seeds, each run a number of evaluations."""

    name: str
    runs: int
    run_seconds: float
    runs_per_task: int
    ahead: int

    def durations(self) -> list[float]:
        """Return the seconds of each task; runs differ by half, as they do on digits."""
        spread = np.random.default_rng(0).lognormal(-0.11, 0.47, self.runs)  # mean 1, sd 0.5
        seconds = self.run_seconds * spread
        return [
            float(seconds[i : i + self.runs_per_task].sum())
            for i in range(0, self.runs, self.runs_per_task)
        ]


def _lookup(name: str, runs: int) -> Scenario:
    return Scenario(name, runs, LOOKUP_SECONDS, SEEDS_PER_TASK, 2)


SCENARIOS = (
    _lookup("lookup, 12 rows x 3 data sets x 500 seeds", 18_000),
    _lookup("the same with 10 times the seeds", 180_000),
    _lookup("the same with 10 times the rows as well", 1_800_000),
    Scenario("digits, 7 rows x 30 seeds x 40 trainings", 210, 40 * DIGITS_SECONDS, 1, 1),
    Scenario("digits, 28 rows x 100 seeds x 40 trainings", 2_800, 40 * DIGITS_SECONDS, 1, 1),
    Scenario("cifar10, 7 rows x 30 seeds x 300 trainings", 210, 300 * FULL_SECONDS, 1, 1),
    Scenario("cifar10, 28 rows x 100 seeds x 300 trainings", 2_800, 300 * FULL_SECONDS, 1, 1),
)


def duration(seconds: float) -> str:
    """Return seconds for people, two digits."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return (
                f"{seconds / size:,.2g} {unit}"
                if seconds / size < 10
                else f"{seconds / size:,.0f} {unit}"
            )
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def table() -> str:
    """Return the table of the page: time and share of the workers' time that is used."""
    head = "".join(f" {workers:,} worker{'s' * (workers > 1)} |" for workers in WORKERS)
    lines = [f"| suite | runs |{head}", "|---|---:|" + "---:|" * len(WORKERS)]
    for scenario in SCENARIOS:
        durations = scenario.durations()
        cells = []
        for workers in WORKERS:
            spent = suite_seconds(durations, workers, DRIVER_SECONDS, scenario.ahead)
            used = sum(durations) / (spent * workers)
            cells.append(f"{duration(spent)} ({used:.0%})")
        lines.append(f"| {scenario.name} | {scenario.runs:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@lru_cache(maxsize=1)
def _one(task: Task) -> Outcome:
    return execute(task)


def instant(task: Task, versions: object = None) -> Outcome:
    """Return an outcome as large as that of a real task, without its search."""
    (record,) = _one(Task(task.unit, task.key, (0,))).records
    return Outcome(task, [record._replace(seed=seed) for seed in task.seeds], [])


if __name__ == "__main__":
    print(table())
