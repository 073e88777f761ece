"""Several trainings at a time: one process a slot, a slot being a device or a share of the CPU."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from nasbench_evo.lifetime import worker
from nasbench_evo.training.execution import check_device
from nasbench_evo.training.individuals import Job, Trained, TrainingPlan, train


class TrainingPool:
    """Trains groups of jobs; what they give does not depend on the number of slots.

    A slot is a device by torch's name, once for each process that shares it. One slot needs no
    process: it is this one. Raises InputError for a device that is not there.
    """

    def __init__(self, plan: TrainingPlan, slots: Sequence[str]) -> None:
        for device in set(slots):
            check_device(device)
        self.plan = plan
        self.slots = tuple(slots)
        self._executors: list[Any] = []

    def run(self, groups: Sequence[Sequence[Job]]) -> Iterator[tuple[int, list[Trained]]]:
        """Yield (number of the group, its results) as groups finish."""
        if len(self.slots) == 1:
            for i, group in enumerate(groups):
                yield i, train(self.plan, group, self.slots[0])
            return
        self._start()
        free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(len(self.slots)):
            free.put(slot)

        def work(group: Sequence[Job]) -> list[Trained]:
            slot = free.get()
            try:
                future = self._executors[slot].submit(train, self.plan, group, self.slots[slot])
                result: list[Trained] = future.result()
            finally:
                free.put(slot)
            return result

        with ThreadPoolExecutor(len(self.slots)) as threads:
            numbers: dict[Future[list[Trained]], int] = {
                threads.submit(work, group): i for i, group in enumerate(groups)
            }
            try:
                for done in as_completed(numbers):
                    yield numbers[done], done.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise

    def _start(self) -> None:
        while len(self._executors) < len(self.slots):
            self._executors.append(worker())

    def close(self) -> None:
        """End the processes, whatever they do."""
        for executor in self._executors:
            executor.shutdown(wait=True, kill_workers=True)
        self._executors = []
