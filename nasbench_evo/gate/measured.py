"""What the gate measures: the runs of every unit as exact integers, and golden traces."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import lcm

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import engines, runner, tables
from nasbench_evo.engines import in_tasks
from nasbench_evo.errors import RunsFailed
from nasbench_evo.gate.cells import is_twin, seeds_of
from nasbench_evo.results.runs import Run, decode
from nasbench_evo.store import Record
from nasbench_evo.suite import Unit
from nasbench_evo.tables import Table

Integers = NDArray[np.int64]
Key = tuple[str, str]  # row label, data set

GOLDEN_SEEDS = 3  # traces kept of each unit, of the first seeds
SHOWN = 12  # genotypes kept of the start of a golden trace
BLOCK = 50  # evaluations between the prefix hashes of a golden trace


def _nothing() -> Integers:
    return np.empty(0, dtype=np.int64)


_SLACK = 1e-9  # as the runner's: fractions add up to just about whole evaluations


@dataclass(frozen=True)
class Scale:
    """Regret of every genotype of a data set in whole counts; `unit` percentage points each.

    Every mean accuracy is a count of images over at most T trials, so that counts over
    lcm(1..T) times the images are exact: equal runs are equal on every machine.
    """

    counts: Integers  # [G]
    unit: float


@dataclass(frozen=True)
class Sample:
    """The runs of a unit in seed order, as integers [n]; empty what was not measured.

    `final`: index of the final cell. `area`: the incumbent's regret summed over evaluations 1..E,
    counts. `returned`: index of what the algorithm ended with, empty if it has no result of its
    own. `seconds`: simulated. `changes`: how often there was a new incumbent. The last two say
    little of how good a search is, and much of whether it is the same.
    """

    final: Integers
    area: Integers
    returned: Integers = field(default_factory=_nothing)
    seconds: Integers = field(default_factory=_nothing)
    changes: Integers = field(default_factory=_nothing)

    def at(self, chosen: slice | Integers) -> Sample:
        """Return the chosen runs."""
        columns = {name: getattr(self, name) for name in MEASURES}
        return Sample(**{name: x[chosen] for name, x in columns.items() if len(x)})

    def head(self, n: int) -> Sample:
        """Return the first n runs."""
        return self.at(slice(n))

    def values(self, measure: str, regrets: Scale) -> Integers:
        """Return a measure as numbers: cells become their regret, counts."""
        of: Integers = getattr(self, measure)
        return regrets.counts[of] if measure in CELLS else of


MEASURES = ("final", "area", "returned", "seconds", "changes")
CELLS = ("final", "returned")  # measures that are indices of cells
QUALITY = ("final", "area", "returned")  # measures of which less is better


@dataclass(frozen=True)
class Trace:
    """A golden trace: its hash, its first genotypes, and hashes of its prefixes.

    `prefixes[k]` covers the genotypes of the first (k + 1) * BLOCK answers, so that a difference
    can be located.
    """

    seed: int
    sha256: str
    first: tuple[int, ...]  # genotype indices
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What was measured of a unit; `initial` is its sample stopped after the first population."""

    unit: Unit
    sample: Sample
    initial: Sample | None
    hashes: tuple[str, ...]  # of the trace of every run, as the engine computed it
    traces: tuple[Trace, ...]  # of the first seeds, computed again in this process
    runs: tuple[Run, ...] = ()  # decoded, for the summary
    first_seed: int = 0

    @property
    def key(self) -> Key:
        """Row label and data set."""
        return self.unit.row.label, self.unit.dataset


def scale(table: Table, dataset: str) -> Scale:
    """Return the exact regrets of a data set."""
    d = table.row(dataset)
    parts = lcm(*range(1, table.correct.shape[2] + 1))
    correct = np.where(table.present[d], table.correct[d], 0).sum(axis=1, dtype=np.int64)
    counts = correct * (parts // np.maximum(table.trials[d], 1))
    return Scale(counts.max() - counts, 100.0 / (parts * table.images[d]))


def length(unit: Unit) -> int:
    """Return the end of a unit's runs: evaluations, or seconds where they end them."""
    return int(unit.budget.seconds or unit.budget.evaluations or 0)


def sample(runs: Sequence[Run], unit: Unit, regrets: Scale, *, until: int | None = None) -> Sample:
    """Return the runs of a unit as integers; with `until`, what they had by that evaluation."""
    space = tables.load(unit.table).space
    end = length(unit)
    final, area = [], []
    for run in runs:
        points = [
            (max(1, int(np.ceil(spent - _SLACK))), space.index(point.genotype))
            for i, point in enumerate(run.curve)
            for spent in [point.spent if point.seconds is None else point.seconds]
            if not i or until is None or np.ceil(point.spent - _SLACK) <= until
        ]
        starts = np.array([1, *(start for start, _ in points[1:]), end + 1])
        cells = np.array([cell for _, cell in points])
        final.append(cells[-1])
        area.append(int(regrets.counts[cells] @ np.diff(starts)))
    ended = [space.index(run.returned) for run in runs if run.returned is not None]
    return Sample(
        final=np.array(final, dtype=np.int64),
        area=np.array(area, dtype=np.int64),
        returned=np.array(ended if len(ended) == len(runs) else (), dtype=np.int64),
        seconds=np.array([round(run.simulated_seconds) for run in runs], dtype=np.int64),
        changes=np.array([len(run.curve) for run in runs], dtype=np.int64),
    )


def trace(unit: Unit, seed: int) -> Trace:
    """Return the golden trace of a unit's seed, computed in this process."""
    evaluator = unit.evaluator()
    result = runner.search(
        unit.row.configured, evaluator, seed=seed, budget=unit.budget, incumbent=unit.row.incumbent
    )
    space = tables.load(unit.table).space
    genotypes = [answer.genotype for answer in result.history]
    ends = range(BLOCK, len(genotypes) + BLOCK, BLOCK)
    return Trace(
        seed=seed,
        sha256=result.trace_sha256,
        first=tuple(space.index(genotype) for genotype in genotypes[:SHOWN]),
        prefixes=tuple(hashlib.sha256(space.encode(genotypes[:n])).hexdigest()[:8] for n in ends),
    )


def measure(
    units: Sequence[Unit],
    seeds: range,
    *,
    engine: str = "processes",
    workers: int = 1,
    golden: int = GOLDEN_SEEDS,
    progress: Callable[[int], None] = lambda runs: None,
) -> dict[Key, Measured]:
    """Run every unit with its seeds and return what the gate needs of it.

    Golden traces are made of the first `golden` seeds; twins have none, and run the first seeds
    only (see `nasbench_evo.gate.cells`). `progress` is called with the number of runs that have
    finished. Raises RunsFailed with the first traceback if any run fails: a gate cannot leave
    runs out.
    """
    records = _records(units, seeds, engine, workers, progress)
    return {
        (unit.row.label, unit.dataset): _measured(
            unit, records[unit.key()], 0 if is_twin(unit) else golden
        )
        for unit in units
    }


def _measured(unit: Unit, records: Sequence[Record], golden: int) -> Measured:
    regrets = scale(tables.load(unit.table), unit.of_table)
    size = unit.row.configured.hyperparameters().get("population_size")
    runs = tuple(map(decode, records))
    return Measured(
        unit=unit,
        sample=sample(runs, unit, regrets),
        initial=sample(runs, unit, regrets, until=size) if size and not is_twin(unit) else None,
        hashes=tuple(record.trace_sha256 for record in records),
        traces=tuple(trace(unit, record.seed) for record in records[:golden]),
        runs=() if is_twin(unit) else runs,
        first_seed=records[0].seed,
    )


def _records(
    units: Sequence[Unit], seeds: range, engine: str, workers: int, progress: Callable[[int], None]
) -> dict[str, list[Record]]:
    """Return the records of every unit in seed order."""
    tasks = [task for unit in units for task in in_tasks(unit, unit.key(), seeds_of(unit, seeds))]
    records: defaultdict[str, list[Record]] = defaultdict(list)
    for outcome in engines.get(engine)(tasks, workers):
        if outcome.failures:
            seed, text = outcome.failures[0]
            unit = outcome.task.unit
            raise RunsFailed(f"{unit.row.label}, {unit.dataset}, seed {seed} failed:\n{text}")
        records[outcome.task.key] += outcome.records
        progress(len(outcome.records))
    return {key: sorted(runs, key=lambda record: record.seed) for key, runs in records.items()}
