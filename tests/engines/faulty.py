"""An algorithm that kills its own process, for suites that must survive it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nasbench_evo.algorithms.base import Algorithm, Search, parameter
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.requests import Evaluate
from nasbench_evo.spaces.base import Space

FOLDER = "NASBENCH_EVO_TEST_FAULTS"  # without this variable the algorithm is harmless
SUITE = """
name = "faulty"
datasets = ["cifar10"]
seeds = {seeds}
evaluations = 20
checkpoints = [20]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "faulty:Faulty"
set = {{ guilty = {guilty}, deaths = {deaths}, pause = {pause} }}
"""


@dataclass(frozen=True)
class Faulty(Algorithm):
    """Random search whose process dies by SIGKILL for one seed, or for all."""

    name: ClassVar[str] = "faulty"
    paper: ClassVar[str] = "none"
    presets: ClassVar = {"paper": {}}

    guilty: int = parameter(-1, "the seed that kills; -1: none, -2: all", low=-2)
    deaths: int = parameter(1000, "times that it does", low=0)
    pause: float = parameter(0.0, "seconds an evaluation", low=0)

    def search(self, space: Space, rng: Stream) -> Search:
        if FOLDER in os.environ:
            self._misbehave(Path(os.environ[FOLDER]), rng.random())
        else:
            rng.random()
        while True:
            time.sleep(self.pause)
            yield Evaluate(space.sample(rng, 1))

    def _misbehave(self, folder: Path, drawn: float) -> None:
        (folder / f"worker-{os.getpid()}").touch()
        if self.guilty != -2 and drawn != stream(max(0, self.guilty), "algorithm").random():
            return
        if self.guilty != -1 and len(list(folder.glob(f"death-{drawn}-*"))) < self.deaths:
            (folder / f"death-{drawn}-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def workers(folder: Path) -> Iterator[int]:
    """Yield the processes that have run the algorithm and are alive."""
    for file in folder.glob("worker-*"):
        pid = int(file.name.partition("-")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        yield pid
