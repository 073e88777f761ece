"""Stored runs, decoded: the only place that reads the JSON of a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.engines import CLOCK, INCUMBENTS, REPORT
from nasbench_evo.evaluators import probing
from nasbench_evo.spaces import Genotype
from nasbench_evo.spaces.base import frozen
from nasbench_evo.store import Record, Store
from nasbench_evo.suite import Suite, Unit, units
from nasbench_evo.tables import Table

_SLACK = 1e-9  # a point of a curve may have been rounded
_ONCE_TEXT = (REPORT, *probing.DATA)  # notes that older records hold as JSON inside JSON


class Point(NamedTuple):
    """Where the incumbent of a run changed.

    `spent` in full-training equivalents; `seen` is its accuracy as the search saw it, percent,
    None where a table was searched, which stores none; `seconds` is the simulated time, None where
    the budget is none in seconds.
    """

    spent: float
    genotype: Genotype
    seen: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """One finished run.

    `notes` are remarks in plain values. What a run measured along the way lies beside them:
    `final` are fresh trainings of what it found (as `training.individuals.Trained` has them),
    `fitness` is [epoch, highest, mean, lowest] of each epoch of a supernet, `probes` is
    [epoch, [accuracy of each probed genotype]], and `data` any other list or mapping by name.
    """

    unit: str
    seed: int
    genotype: Genotype
    curve: tuple[Point, ...]
    evaluations: float
    simulated_seconds: float
    wall_seconds: float
    trace_sha256: str
    notes: Mapping[str, Any]
    final: Sequence[Mapping[str, Any]] = ()
    fitness: Sequence[Sequence[float]] = ()
    probes: Sequence[tuple[int, Sequence[float]]] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seen(self) -> float | None:
        """Accuracy of the last incumbent as the search saw it, percent."""
        return self.curve[-1].seen

    @property
    def returned(self) -> Genotype | None:
        """What the algorithm itself ended with, where it says so."""
        value = self.data.get("returned")
        return None if value is None else frozen(value)

    def recommended(self, rule: str) -> Genotype | None:
        """Return the last incumbent by a rule, "seen" or "mean"; None where no record says it.

        Runs of earlier versions know only that of the rule that they were run with.
        """
        value = self.data.get(INCUMBENTS, {}).get(rule)
        return None if value is None else frozen(value)


@dataclass(frozen=True)
class UnitRuns:
    """The finished runs of a unit, in seed order."""

    unit: Unit
    records: list[Run]

    @property
    def judges(self) -> list[Table]:
        """The table that judges each run."""
        return self.unit.judges([run.seed for run in self.records])


def decode(record: Record) -> Run:
    """Return what a stored record says; records of earlier versions too."""
    notes: dict[str, Any] = json.loads(record.notes)
    for name in _ONCE_TEXT:
        if isinstance(notes.get(name), str):
            notes[name] = json.loads(notes[name])
    data: dict[str, Any] = {
        name: value for name, value in notes.items() if isinstance(value, list | dict)
    }
    return Run(
        unit=record.unit,
        seed=record.seed,
        genotype=frozen(json.loads(record.genotype)),
        curve=_curve(json.loads(record.curve), notes.pop(CLOCK, None)),
        evaluations=record.evaluations,
        simulated_seconds=record.simulated_seconds,
        wall_seconds=record.wall_seconds,
        trace_sha256=record.trace_sha256,
        notes={name: value for name, value in notes.items() if name not in data},
        final=data.pop(REPORT, ()),
        fitness=data.pop(probing.FITNESS, ()),
        probes=data.pop(probing.NOTE, ()),
        data=data,
    )


def _curve(points: Sequence[Any], clock: Sequence[float] | None) -> tuple[Point, ...]:
    """Return a stored curve; `clock` has the simulated seconds of each point."""
    times: Sequence[float | None] = clock or [None] * len(points)
    return tuple(
        Point(spent, frozen(genotype), seen[0] if seen else None, seconds)
        for (spent, genotype, *seen), seconds in zip(points, times, strict=True)
    )


def collect(suite: Suite, store: Store) -> list[UnitRuns]:
    """Return the stored runs of every unit of a suite, of its seeds only."""
    wanted = range(suite.first_seed, suite.first_seed + suite.seeds)
    return [
        UnitRuns(unit, [decode(run) for run in store.runs(unit.key()) if run.seed in wanted])
        for unit in units(suite)
    ]


def counted(finished: int, asked: int) -> str:
    """Return a number of runs for a table; as 27/30 where fewer finished than were asked for."""
    return str(finished) if finished >= asked else f"{finished}/{asked}"


def shortfalls(suite: Suite, collected: Sequence[UnitRuns]) -> list[str]:
    """Return a sentence for each unit with fewer finished runs than the suite asks for."""
    return [
        f"{runs.unit.row.label} on {runs.unit.dataset}: {len(runs.records)} of {suite.seeds} runs "
        + ("finished, and every figure is of those." if runs.records else "finished: no row.")
        for runs in collected
        if len(runs.records) < suite.seeds
    ]


def curves(
    runs: UnitRuns, points: Sequence[float], value: Callable[[Point], float | None]
) -> Array:
    """Return `value` of each run's incumbent at each point; [n, points].

    Points are evaluations, or simulated seconds where the unit's budget is one. A point before the
    first evaluation takes the first incumbent.
    """
    ends = np.asarray(points) + _SLACK
    found = np.empty((len(runs.records), len(points)))
    for i, run in enumerate(runs.records):
        at = np.array(spent_at(runs, run)).searchsorted(ends, side="right") - 1
        found[i] = np.array([value(point) for point in run.curve], dtype=float)[np.maximum(at, 0)]
    return found


def spent_at(runs: UnitRuns, run: Run) -> list[float]:
    """Return what had been spent at each point of a run, in the unit of its budget."""
    if runs.unit.budget.seconds is None:
        return [point.spent for point in run.curve]
    return [point.spent if point.seconds is None else point.seconds for point in run.curve]


def used(runs: UnitRuns, run: Run) -> float:
    """Return what a run spent in all, in the unit of its budget."""
    return run.evaluations if runs.unit.budget.seconds is None else run.simulated_seconds


def as_seen(point: Point) -> float | None:
    """Return the accuracy of an incumbent as its search saw it, percent."""
    return point.seen


def without_data(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the remarks among a result's notes: what is neither a list nor a mapping."""
    return {name: value for name, value in notes.items() if not isinstance(value, list | dict)}


def apart(runs: UnitRuns) -> Array:
    """Return in how many genes what every second run found differs from what the next found; [n].

    NaN for the others, and where genotypes differ in length.
    """
    found = [run.genotype for run in runs.records]
    differ = np.full(len(found), np.nan)
    for i, (one, other) in enumerate(zip(found[::2], found[1::2], strict=False)):
        if len(one) == len(other):
            differ[2 * i] = sum(a != b for a, b in zip(one, other, strict=True))
    return differ
