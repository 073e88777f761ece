"""The one way in which tasks go to workers, on this machine or on a cluster, and come back.

A worker may die: killed, out of memory, a crash below Python, a machine that is gone. What it had
in flight gets a strike and is submitted again. A task of several seeds is taken apart first, so
that a seed that kills its workers fails alone, at its third strike. While a task with a strike is
waiting or out, no worker is given a task ahead: a death then has one culprit.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import Protocol

from nasbench_evo import __version__
from nasbench_evo.engines.tasks import Outcome, Task
from nasbench_evo.errors import InputError, NasbenchEvoError, RunsFailed

CONNECTION_LOST = (
    "The connection to the scheduler was lost. Every finished run is kept: the same command goes "
    "on once the scheduler is back."
)
STRIKES = 3  # workers that a run may cost
_AHEAD = 2  # lookups a worker: one at work and one at hand, so that it never waits
_LOOK_AGAIN = 2.0  # seconds after which workers that joined are noticed


class Workers(Protocol):
    """Processes that execute tasks, behind futures as in concurrent.futures."""

    lost: tuple[type[BaseException], ...]
    """What a future raises whose worker died with its task in flight."""

    def slots(self) -> int:
        """Return how many tasks can run at a time; it may change."""

    def submit(self, task: Task) -> Future[Outcome]:
        """Hand out a task; to a worker without one, where there is one."""

    def close(self, *, kill: bool) -> None:
        """End what this object started; `kill`: also in the middle of a task."""


@dataclass(frozen=True)
class _Attempt:
    task: Task
    strikes: int = 0


def drive(
    workers: Workers, tasks: Sequence[Task], look: Callable[[], None] | None = None
) -> Iterator[Outcome]:
    """Yield the outcomes of `tasks` as they finish, those lost with a worker after all.

    `look` is called every few seconds while nothing finishes; what it raises ends the workers.

    Closing the iterator early (an error, Ctrl-C) ends the workers. Whatever else a task raises,
    bad input for one, is raised here; RunsFailed if the connection to a cluster is lost.
    """
    flight = _Flight(workers, tasks)
    try:
        while flight.fill():
            back = flight.wait()
            if back is None:
                if look is not None:
                    look()
                continue
            attempt, future = back
            try:
                outcome = future.result()
            except workers.lost as error:
                yield from flight.strike(attempt, error)
            except CancelledError as error:
                raise RunsFailed(CONNECTION_LOST) from error
            except Exception as error:
                raise _explained(error) from error.__cause__
            else:
                flight.more(outcome.rest)
                yield outcome
    finally:
        workers.close(kill=bool(flight.out))


def _explained(error: Exception) -> Exception:
    """Return what a task raised; in words if it is a module that is not there."""
    missing = error if isinstance(error, ImportError) else error.__cause__
    if isinstance(error, NasbenchEvoError) or not isinstance(missing, ImportError):
        return error
    return InputError(
        f"A task cannot be loaded ({missing}). The scheduler and every worker need nasbench-evo "
        f"{__version__}, as here, and your own algorithms on their PYTHONPATH."
    )


class _Flight:
    """What is waiting and what is out."""

    def __init__(self, workers: Workers, tasks: Sequence[Task]) -> None:
        self.out: dict[Future[Outcome], _Attempt] = {}
        self._workers = workers
        self._fresh = deque(tasks)
        # Trainings are long: a worker that is free early takes the next, wherever it is.
        self._ahead = 1 if any(task.trains for task in tasks) else _AHEAD
        self._suspects: deque[_Attempt] = deque()  # have a strike and wait
        self._suspects_out = 0
        self._done: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()

    def fill(self) -> bool:
        """Submit what the workers have room for; return whether anything is out."""
        slots = max(1, self._workers.slots())
        while True:
            careful = self._suspects or self._suspects_out
            if len(self.out) >= slots * (1 if careful else self._ahead):
                break
            attempt = self._next()
            if attempt is None:
                break
            future = self._workers.submit(attempt.task)
            self.out[future] = attempt
            self._suspects_out += attempt.strikes > 0
            future.add_done_callback(self._done.put)
        return bool(self.out)

    def _next(self) -> _Attempt | None:
        if self._suspects:
            return self._suspects.popleft()
        return _Attempt(self._fresh.popleft()) if self._fresh else None

    def more(self, tasks: Sequence[Task]) -> None:
        """Queue what a task has handed back, before what is not begun."""
        self._fresh.extendleft(reversed(tasks))

    def wait(self) -> tuple[_Attempt, Future[Outcome]] | None:
        """Return one that has come back; None after a while without one."""
        try:
            future = self._done.get(timeout=_LOOK_AGAIN)
        except queue.Empty:
            return None
        attempt = self.out.pop(future)
        self._suspects_out -= attempt.strikes > 0
        return attempt, future

    def strike(self, attempt: _Attempt, error: BaseException) -> Iterator[Outcome]:
        """Queue a lost task again, in parts; yield a failed outcome for one that is out."""
        task, strikes = attempt.task, attempt.strikes + 1
        if strikes >= STRIKES:
            text = f"The worker died each of the {strikes} times that this ran.\n{error}"
            yield Outcome(task, [], [(seed, text) for seed in task.seeds])
            return
        parts = [replace(task, seeds=(seed,)) for seed in task.seeds]
        self._suspects.extend(_Attempt(part, strikes) for part in parts)
