"""What happened inside a run, generation by generation.

A lookup run keeps no journal: its seed is the record. Here runs are repeated from their seeds with
a recorder in between, and each repetition must have the SHA-256 of the stored trace.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.generations import Birth, Exchange, Generation
from nasbench_evo.errors import DataError
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Note, Search
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.runner import search
from nasbench_evo.suite import Unit
from nasbench_evo.telling import tell

Array = NDArray[np.float64]


class Recorder(Algorithm):
    """An algorithm that behaves like another and remembers every completed exchange.

    The request that the budget cut short is not among them.
    """

    name = "recorder"
    paper = "none"

    def __init__(self, inner: Algorithm) -> None:
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "exchanges", [])

    def search(self, space: Any, rng: Stream) -> Search:
        """Pass requests and answers on and keep them."""
        inner: Algorithm = self.inner  # type: ignore[attr-defined]
        exchanges: list[Exchange] = self.exchanges  # type: ignore[attr-defined]
        generator = inner.search(space, rng)
        answers: Any = None
        while True:
            try:
                request = generator.send(answers)
            except StopIteration:
                return
            answers = yield request
            if not isinstance(request, Note):
                exchanges.append((request, answers or []))


def exchanges(unit: Unit, seed: int, expected_sha256: str | None = None) -> list[Exchange]:
    """Return the completed exchanges of a run, repeated from its seed.

    Raises DataError if the trace is not the stored one: the code or the table has changed since.
    """
    recorder = Recorder(unit.row.configured)
    result = search(recorder, unit.evaluator(), seed=seed, budget=unit.budget)
    if expected_sha256 is not None and result.trace_sha256 != expected_sha256:
        raise DataError(
            f"{unit.row.label}, {unit.dataset}, seed {seed}: the repeated trace "
            f"{result.trace_sha256[:16]} is not the stored {expected_sha256[:16]}. The code has "
            "changed since the run: repeat the suite with --fresh."
        )
    found: list[Exchange] = recorder.exchanges  # type: ignore[attr-defined]
    return found


def generations(unit: Unit, seed: int, expected_sha256: str | None = None) -> list[Generation[int]]:
    """Return the completed generations of a run, individuals as numbers in the table.

    Empty for algorithms without generations.
    """
    index = tables.reported(unit.table).space.index
    steps = exchanges(unit, seed, expected_sha256)
    return [
        replace(found, champion=index(found.champion), members=tuple(map(index, found.members)))
        for found in unit.row.configured.read_generations(steps)
    ]


def of_runs(runs: UnitRuns, most: int = 100) -> list[list[Generation[int]]]:
    """Return the generations of the first `most` stored runs, checked against their traces."""
    found = [
        generations(runs.unit, record.seed, record.trace_sha256) for record in runs.records[:most]
    ]
    tell(f"generations of {runs.unit.row.label} on {runs.unit.dataset}")
    return found


def births(unit: Unit, seed: int) -> list[tuple[str, float, float]]:
    """Return (kind, parents' mean accuracy, child's) of a run; true means, percent.

    Empty for algorithms that do not tell their parents.
    """
    born: list[Birth] = []
    recorder = unit.row.configured.recording(born)
    if recorder is None:
        return []
    search(recorder, unit.evaluator(), seed=seed, budget=unit.budget)
    table = tables.reported(unit.table)
    means, index = table.quality[table.row(unit.dataset)], table.space.index
    found: list[tuple[str, float, float]] = []
    for kind, parents, child in born:
        mean = float(np.mean([means[index(parent)] for parent in parents]))
        found.append((kind, mean, float(means[index(child)])))
    return found
