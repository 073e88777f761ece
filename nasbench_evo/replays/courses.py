"""What single runs did, answer by answer: repeated from their seeds, checked against the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import runner, tables
from nasbench_evo.algorithms.stand_ins import StandIn
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.runner import Result


class Course(NamedTuple):
    """The answers of one run in their order; n of them.

    `seconds` is the simulated time on one worker.
    """

    seed: int
    spent: NDArray[np.float64]  # [n] full-training equivalents after each answer
    seconds: NDArray[np.float64]  # [n] after each answer
    genotypes: NDArray[np.int64]  # [n] rows of the table


def of_runs(runs: UnitRuns, most: int) -> list[Course]:
    """Return the courses of the first `most` stored runs of a unit on a table.

    None where they cannot be repeated: the algorithm is known by name only, or the code has
    changed since, so that a repetition would not have the stored trace.
    """
    unit = runs.unit
    if isinstance(unit.row.configured, StandIn):
        return []
    index = tables.reported(unit.table).space.index
    evaluator, found = unit.evaluator(), []
    for run in runs.records[:most]:
        result = runner.search(unit.row.configured, evaluator, seed=run.seed, budget=unit.budget)
        if result.trace_sha256 != run.trace_sha256:
            return []
        found.append(_course(run.seed, result, [index(a.genotype) for a in result.history]))
    return found


def _course(seed: int, result: Result, genotypes: Sequence[int]) -> Course:
    spent = np.cumsum([answer.cost for answer in result.history])
    seconds = np.cumsum([answer.cost_seconds for answer in result.history])
    return Course(seed, spent, seconds, np.array(genotypes, dtype=np.int64))


def visited(course: Course) -> NDArray[np.int64]:
    """Return the rows of the table that a run evaluated, also in part; sorted, distinct."""
    return np.unique(course.genotypes)


def seconds_at(course: Course, spent: Sequence[float]) -> NDArray[np.float64]:
    """Return the simulated seconds at which so many full-training equivalents had been spent."""
    at = np.searchsorted(course.spent, np.asarray(spent) - 1e-9)
    return np.asarray(course.seconds[np.minimum(at, len(course.seconds) - 1)])
