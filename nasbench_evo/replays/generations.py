"""What happened inside a run, generation by generation.

Runs are repeated with a recorder in between, and each repetition must have the SHA-256 of the
stored trace. A run on a table is searched again from its seed; a run that trained reads its
journal, and trains nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.generations import Birth, Exchange, Generation
from nasbench_evo.errors import DataError
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.evaluators.journal import FILE, run_folder
from nasbench_evo.execution import journals
from nasbench_evo.randomness import Stream
from nasbench_evo.replays.judge import Judge, judge
from nasbench_evo.requests import BudgetSpent, Note, Search
from nasbench_evo.results import measures
from nasbench_evo.results.measures import Measured
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.runner import search
from nasbench_evo.spaces import Genotype
from nasbench_evo.suite import Unit
from nasbench_evo.telling import tell

PRINTED = (0, 1, 2, 3, 5, 8, 10, 20, 30, 40, 50)  # generations of Genetic CNN's Table 1
_LATE = 5  # the last fifth of the generations is late
_FEWEST = 5  # births of a run for a correlation


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
        step: Callable[[], Any] = partial(generator.send, None)
        while True:
            try:
                request = step()
            except StopIteration as end:
                return end.value
            try:
                answers = yield request
            except BudgetSpent as spent:  # it may end with what it kept its share for
                step = partial(generator.throw, spent)
                continue
            if not isinstance(request, Note):
                exchanges.append((request, answers or []))
            step = partial(generator.send, answers)

    def kept_share(self, evaluations: float | None) -> float:
        """Keep what the other keeps for its end."""
        inner: Algorithm = self.inner  # type: ignore[attr-defined]
        return inner.kept_share(evaluations)


def exchanges(
    unit: Unit,
    seed: int,
    expected_sha256: str | None = None,
    born: list[Birth] | None = None,
    evaluator: Evaluator | None = None,
) -> list[Exchange]:
    """Return the completed exchanges of a run, repeated with `evaluator` (None: the unit's own).

    Parents and children are added to `born`, where the algorithm tells them. Raises DataError if
    the trace is not the stored one: the code or the table has changed since.
    """
    inner = None if born is None else unit.row.configured.recording(born)
    recorder = Recorder(inner or unit.row.configured)
    result = search(recorder, evaluator or unit.evaluator(), seed=seed, budget=unit.budget)
    if expected_sha256 is not None and result.trace_sha256 != expected_sha256:
        raise DataError(
            f"{unit.row.label}, {unit.dataset}, seed {seed}: the repeated trace "
            f"{result.trace_sha256[:16]} is not the stored {expected_sha256[:16]}. The code has "
            "changed since the run: repeat the suite with --fresh."
        )
    found: list[Exchange] = recorder.exchanges  # type: ignore[attr-defined]
    return found


Born = tuple[str, float, float]  # kind, parents' mean accuracy, child's; as judged, percent


@dataclass(frozen=True)
class Replayed:
    """A run that was repeated: its generations, and what its exchanges say, by measure."""

    seed: int
    generations: list[Generation[Genotype]]  # empty without any
    measures: Mapping[str, float]  # see `results.measures`
    births: Sequence[Born]  # empty for algorithms that do not tell their parents


@dataclass(frozen=True)
class Repeated:
    """Runs of a unit that were repeated, and who judges their individuals."""

    runs: UnitRuns
    judge: Judge
    replayed: Sequence[Replayed]

    @property
    def generations(self) -> list[list[Generation[Genotype]]]:
        """The generations of each run that has any."""
        return [one.generations for one in self.replayed if one.generations]


def of_runs(runs: UnitRuns, most: int, folder: Path) -> Repeated:
    """Repeat the first `most` stored runs, each checked against its trace.

    Runs that trained are those of the results `folder` whose journals are still there.
    """
    unit, records = runs.unit, runs.records[:most]
    evaluator: Evaluator
    if unit.training is None:
        evaluator = unit.evaluator()
    else:
        own = journals(folder, unit.key())
        evaluator = unit.trainer(own)
        records = [run for run in records if (run_folder(own, run.seed) / FILE).is_file()]
    born: list[list[Birth]] = [[] for _ in records]
    steps = [
        exchanges(unit, run.seed, run.trace_sha256, births, evaluator)
        for run, births in zip(records, born, strict=True)
    ]
    judged = judge(unit, evaluator, steps)
    found = [
        _replayed(unit, judged, run.seed, known, births)
        for run, known, births in zip(records, steps, born, strict=True)
    ]
    tell(f"generations of {unit.row.label} on {unit.dataset}")
    return Repeated(runs, judged, found)


def replay(unit: Unit, seed: int, expected_sha256: str | None = None) -> Replayed:
    """Return the completed generations of a run on a table and what is measured of them."""
    born: list[Birth] = []
    steps = exchanges(unit, seed, expected_sha256, born)
    return _replayed(unit, judge(unit, unit.evaluator(), [steps]), seed, steps, born)


def _replayed(
    unit: Unit, judged: Judge, seed: int, steps: list[Exchange], born: Sequence[Birth]
) -> Replayed:
    configured = unit.row.configured
    found = configured.read_generations(steps)
    known = dict(configured.measures(steps))
    if found:
        known |= _of_generations(found, judged)
    births = _accuracies(judged, born)
    if births:
        known["parents"] = correlation(births)
    return Replayed(seed, found, known, births)


def _of_generations(found: Sequence[Generation[Genotype]], judged: Judge) -> dict[str, float]:
    """Return statistics of chosen generations, what one costs, and how good late champions are."""
    known: dict[str, float] = {}
    for number in PRINTED:
        if number < len(found):
            known[f"average@{number}"] = float(np.mean(found[number].fitness))
            known[f"highest@{number}"] = float(np.max(found[number].fitness))
    late = found[-max(1, len(found) // _LATE) :]
    known["champion"] = float(np.mean([judged.accuracy(one.champion) for one in late]))
    if len(found) > 1:
        known["generation_cost"] = (found[-1].spent - found[0].spent) / (len(found) - 1)
    return known


def measured(repeated: Repeated, label: str, first_seed: int) -> Measured:
    """Return what replayed.json holds of the runs of a unit, of one at least."""
    found = repeated.replayed
    names = dict.fromkeys(name for one in found for name in one.measures)
    values = {name: [one.measures.get(name) for one in found] for name in names}
    seeds = [one.seed for one in found]
    return measures.measured(label, repeated.runs.unit.dataset, first_seed, seeds, values)


def _accuracies(judged: Judge, born: Sequence[Birth]) -> list[Born]:
    """Return the births whose child and parents are judged: a budget may end before a child is."""
    found: list[Born] = []
    for kind, parents, child in born:
        mean = float(np.mean([judged.accuracy(parent) for parent in parents]))
        if math.isfinite(value := judged.accuracy(child)) and math.isfinite(mean):
            found.append((kind, mean, value))
    return found


def correlation(born: Sequence[Born]) -> float:
    """Return Spearman's correlation of parents' accuracy with children's.

    NaN for fewer than 5 births and where either does not vary.
    """
    from scipy.stats import ConstantInputWarning, spearmanr

    if len(born) < _FEWEST:
        return math.nan
    _, parents, children = zip(*born, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(parents, children).statistic)
