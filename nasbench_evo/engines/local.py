"""Workers on this machine: loky's processes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from loky.process_executor import BrokenProcessPool

from nasbench_evo.engines.tasks import ONE_THREAD, Outcome, Task, execute
from nasbench_evo.lifetime import worker


@dataclass
class _Slot:
    executor: Any = None
    out: set[Future[Outcome]] = field(default_factory=set)


class LocalWorkers:
    """Processes of this machine, one executor each: one that dies takes only its own tasks."""

    lost: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, number: int) -> None:
        self._slots = [_Slot() for _ in range(number)]

    def slots(self) -> int:
        """Return the number of processes."""
        return len(self._slots)

    def submit(self, task: Task) -> Future[Outcome]:
        """Hand a task to the process with the fewest, in a new process where it has died."""
        slot = min(self._slots, key=lambda slot: len(slot.out))
        task = task.at(self._slots.index(slot))
        try:
            future = self._executor(slot).submit(execute, task)
        except BrokenProcessPool:
            slot.executor.shutdown(wait=False)
            slot.executor = None
            future = self._executor(slot).submit(execute, task)
        slot.out.add(future)
        future.add_done_callback(slot.out.discard)
        return future  # type: ignore[no-any-return]  # loky is not typed

    def _executor(self, slot: _Slot) -> Any:
        if slot.executor is None:
            slot.executor = worker(ONE_THREAD)
        return slot.executor

    def close(self, *, kill: bool) -> None:
        """End the processes; `kill`: also in the middle of a task."""
        started = [slot.executor for slot in self._slots if slot.executor is not None]
        with ThreadPoolExecutor(len(started) or 1) as threads:  # one after the other takes long
            for executor in started:
                threads.submit(executor.shutdown, wait=True, kill_workers=kill)
