"""Where runs are computed: in this process, in worker processes, on a cluster.

Every engine is a function that takes tasks and yields their outcomes as they finish. Only the
driver writes. What a run gives never depends on the engine, on the number of workers, or on the
order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from nasbench_evo.engines.tasks import (
    CLOCK,
    INCUMBENTS,
    NETWORK,
    REPORT,
    RETURNED,
    UNTAUGHT,
    Outcome,
    Task,
    execute,
    in_tasks,
)
from nasbench_evo.errors import InputError, unknown

Engine = Callable[[Sequence[Task], int], Iterator[Outcome]]
Look = Callable[[], None]  # called now and then while tasks run; it raises to end them


def serial(tasks: Sequence[Task], workers: int, look: Look | None = None) -> Iterator[Outcome]:
    """Run the tasks one after the other in this process."""
    waiting = deque(tasks)
    while waiting:
        if look is not None:
            look()
        outcome = execute(waiting.popleft())
        waiting.extendleft(reversed(outcome.rest))
        yield outcome


def processes(tasks: Sequence[Task], workers: int, look: Look | None = None) -> Iterator[Outcome]:
    """Run the tasks in `workers` processes of this machine."""
    from nasbench_evo.engines.driver import drive  # the engines' own imports are made when used
    from nasbench_evo.engines.local import LocalWorkers

    yield from drive(LocalWorkers(workers), tasks, look)


def dask(
    tasks: Sequence[Task],
    workers: int,
    look: Look | None = None,
    scheduler: str | None = None,
) -> Iterator[Outcome]:
    """Run the tasks on the workers of a Dask `scheduler`, e.g. "tcp://10.0.0.1:8786".

    Without one, on a cluster of `workers` processes on this machine. Raises Unsupported where Dask
    is not installed, InputError for a scheduler that does not answer and for workers that cannot
    be used (other versions, several threads), RunsFailed if the scheduler is lost.
    """
    from nasbench_evo.engines.driver import drive
    from nasbench_evo.engines.on_dask import DaskWorkers, require

    require()
    gpu = any(task.needs_gpu for task in tasks)
    yield from drive(DaskWorkers(workers, scheduler, gpu=gpu), tasks, look)


ENGINES: dict[str, Callable[..., Iterator[Outcome]]] = {
    "serial": serial,
    "processes": processes,
    "dask": dask,
}


def get(name: str, scheduler: str | None = None, look: Look | None = None) -> Engine:
    """Return the engine called `name`, on a `scheduler` for Dask; `look` is called as it runs.

    Raises InputError with the near miss if there is none, and for a scheduler with an engine that
    has none; Unsupported where Dask is not installed.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if name != "dask":
        if scheduler is not None:
            raise InputError(f"--scheduler needs --engine dask; got --engine {name}.")
        return partial(ENGINES[name], look=look)
    from nasbench_evo.engines.on_dask import require

    require()
    return partial(dask, look=look, scheduler=scheduler)


__all__ = [
    "CLOCK",
    "ENGINES",
    "INCUMBENTS",
    "NETWORK",
    "REPORT",
    "RETURNED",
    "UNTAUGHT",
    "Engine",
    "Outcome",
    "Task",
    "dask",
    "execute",
    "get",
    "in_tasks",
]
