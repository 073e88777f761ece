"""Ablations: which hyper-parameter a suite varies, what each level changes, and how to say it.

A factor is one entry of a suite whose `grid` has levels, or several entries of one algorithm that
differ. Levels are compared with the reference, the level that the preset would have, on the same
seeds; the intervals of one factor and data set hold together (Bonferroni).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import algorithms
from nasbench_evo.algorithms.generations import Generational
from nasbench_evo.analysis import statistics
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.external import is_outside
from nasbench_evo.names import in_files
from nasbench_evo.randomness import stream
from nasbench_evo.results.on_table import regret_curves, returned_regrets
from nasbench_evo.results.rows import BASELINE
from nasbench_evo.results.runs import UnitRuns, used
from nasbench_evo.suite import Entry, Suite, rows

Array = NDArray[np.float64]
CONFIDENCE = 0.95
_NEITHER = "neither (zeta = eta = 0)"
_TERMS = {"eta": "L1 only (eta = 0)", "zeta": "L2 only (zeta = 0)"}  # EG-NAS, Eq. 7


@dataclass(frozen=True)
class Level:
    """One setting of a factor: the varied values, a short text, and the row it stands for."""

    values: tuple[Any, ...]
    text: str
    row: str  # label of the suite's row


@dataclass(frozen=True)
class Factor:
    """Rows of one algorithm that differ in the hyper-parameters `names` only."""

    algorithm: str
    preset: str  # with the values that all levels share
    names: tuple[str, ...]
    levels: tuple[Level, ...]
    reference: int  # the preset's own level; the first where the preset's is not among them

    @property
    def key(self) -> str:
        """Return a name for files, such as "eigen_paper_primary_step"; of letters that all take."""
        preset = self.preset.split(",")[0]
        parts = (self.shown, preset, *(self.names or ("variants",)))
        return in_files("_".join(parts))

    @property
    def shown(self) -> str:
        """What people are told of the algorithm: what an outside class calls itself."""
        outside = is_outside(self.algorithm)
        return algorithms.get(self.algorithm).name if outside else self.algorithm

    @property
    def generational(self) -> Generational | None:
        """What figures by generation say of the algorithm; None where it has no generations."""
        return algorithms.get(self.algorithm).generational

    @property
    def crossed(self) -> bool:
        """Whether two hyper-parameters vary in all combinations."""
        axes = [{level.values[i] for level in self.levels} for i in range(len(self.names))]
        return len(axes) == 2 and math.prod(map(len, axes)) == len(self.levels)

    @cached_property
    def title(self) -> str:
        """What varies, in words."""
        documented = algorithms.get(self.algorithm).__dataclass_fields__
        docs = [f"{name}: {documented[name].metadata['doc']}" for name in self.names]
        return "; ".join(docs) or "variants"


@dataclass(frozen=True)
class Effect:
    """What one level changes in the mean regret against the reference, on paired seeds.

    `difference` (percentage points, negative is better) has a simultaneous 95% interval over the
    `comparisons` of its factor and data set; `regret` and `reference_regret` are means over the
    `n` seeds; `p_better` is the probability that a run beats one of the reference.
    """

    factor: str
    dataset: str
    level: str
    reference: str
    evaluations: float | None  # the most of a run; None: a budget in seconds ends it
    n: int
    regret: float
    reference_regret: float
    difference: Interval
    p_better: float
    comparisons: int

    @property
    def judgement(self) -> str:
        """Say "lowers", "raises" or "leaves" (no difference shown)."""
        if self.difference.high < 0:
            return "lowers"
        return "raises" if self.difference.low > 0 else "leaves"


def factors(suite: Suite) -> list[Factor]:
    """Return the factors of a suite: none for one that only compares algorithms."""
    labels = iter(rows(suite))
    found: list[Factor] = []
    single: dict[str, list[tuple[Entry, str]]] = {}
    for entry in suite.rows:
        grid = list(itertools.product(*entry.grid.values()))
        mine = [next(labels).label for _ in grid]
        if len(grid) > 1:
            found.append(_of_grid(entry, grid, mine))
        else:
            single.setdefault(entry.algorithm, []).append((entry, mine[0]))
    for algorithm, entries in single.items():
        presets = {entry.preset for entry, _ in entries}
        if len(entries) > 1 and len(presets) == 1 and any(entry.set for entry, _ in entries):
            found.append(_of_variants(algorithm, entries))
    return found


def _of_grid(entry: Entry, grid: list[tuple[Any, ...]], labels: list[str]) -> Factor:
    names = tuple(entry.grid)
    cls = algorithms.get(entry.algorithm)
    plain = cls.configure(entry.preset, entry.set).hyperparameters()
    usual = tuple(plain[name] for name in names)
    levels = tuple(
        Level(
            values, ", ".join(f"{n} = {show(v)}" for n, v in zip(names, values, strict=True)), row
        )
        for values, row in zip(grid, labels, strict=True)
    )
    reference = grid.index(usual) if usual in grid else 0
    shared = ", ".join(
        [cls.preset_name(entry.preset), *(f"{k}={show(v)}" for k, v in entry.set.items())]
    )
    return Factor(entry.algorithm, shared, names, levels, reference)


def _of_variants(algorithm: str, entries: list[tuple[Entry, str]]) -> Factor:
    """Return the factor of rows that each set something else; the first is the reference."""
    shared = set.intersection(*(set(entry.set.items()) for entry, _ in entries))
    levels = []
    for entry, label in entries:
        own = {k: v for k, v in entry.set.items() if (k, v) not in shared}
        terms = [_TERMS[k] for k, v in own.items() if k in _TERMS and v == 0]
        terms = [_NEITHER] if len(terms) == len(_TERMS) else terms
        changes = terms or [f"{k} = {show(v)}" for k, v in own.items()]
        levels.append(Level((), ", ".join(changes), label))
    split = any(level.text in _TERMS.values() for level in levels)
    whole = "L1 and L2" if split else "unchanged"
    levels = [level if level.text else replace(level, text=whole) for level in levels]
    preset = algorithms.get(algorithm).preset_name(entries[0][0].preset)
    text = ", ".join([preset, *(f"{k}={show(v)}" for k, v in sorted(shared))])
    return Factor(algorithm, text, (), tuple(levels), 0)


def show(value: Any) -> str:
    """Return a hyper-parameter's value for people: 0.3, 100, on, off, zeros."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return "; ".join(value)
    return f"{value:g}" if isinstance(value, float | int) else str(value)


class Runs:
    """The final regrets of a suite's rows, by row label and data set."""

    def __init__(self, suite: Suite, collected: Sequence[UnitRuns]) -> None:
        self.suite = suite
        self.units: Mapping[tuple[str, str], UnitRuns] = {
            (runs.unit.row.label, runs.unit.dataset): runs for runs in collected if runs.records
        }
        self._final: dict[tuple[str, str], Array] = {}

    def final(self, label: str, dataset: str) -> Array:
        """Return the regret of each run at the end, in seed order; [n], empty without runs."""
        key = (label, dataset)
        if key not in self.units:
            return np.empty(0)
        if key not in self._final:
            self._final[key] = regret_curves(self.units[key], [self.suite.end])[:, 0]
        return self._final[key]

    def ended(self, label: str, dataset: str) -> Array:
        """Return the regret of what each run's algorithm itself ended with, in seed order; [n].

        Empty where the algorithm does not say that.
        """
        runs = self.units.get((label, dataset))
        ended = np.empty(0) if runs is None else returned_regrets(runs, dataset)
        return np.empty(0) if np.isnan(ended).any() else ended

    def seeds(self, label: str, dataset: str) -> list[int]:
        """Return the seeds that have a finished run."""
        key = (label, dataset)
        return [run.seed for run in self.units[key].records] if key in self.units else []

    def matched(self, labels: Sequence[str], dataset: str) -> list[Array]:
        """Return the final regrets of several rows over the seeds that all of them finished."""
        values = [
            dict(zip(self.seeds(label, dataset), self.final(label, dataset), strict=True))
            for label in labels
        ]
        shared = sorted(set.intersection(*(set(some) for some in values)))
        return [np.array([some[seed] for seed in shared]) for some in values]

    def spent(self, label: str, dataset: str) -> float:
        """Return the mean of what a run used: evaluations, or seconds where they end it."""
        runs = self.units[label, dataset]
        return float(np.mean([used(runs, run) for run in runs.records]))

    def baseline(self, dataset: str) -> UnitRuns | None:
        """Return the runs of random search, if the suite has them."""
        for (_, d), runs in self.units.items():
            if d == dataset and runs.unit.row.algorithm == BASELINE:
                return runs
        return None


def effects(factor: Factor, runs: Runs) -> list[Effect]:
    """Return the effect of every level but the reference, on every data set.

    Only seeds that both have finished are compared; a level without two such seeds has none.
    """
    found = []
    for dataset in runs.suite.datasets:
        others = [level for i, level in enumerate(factor.levels) if i != factor.reference]
        for level in others:
            effect = _effect(factor, level, dataset, runs, len(others))
            if effect:
                found.append(effect)
    return found


def _effect(
    factor: Factor, level: Level, dataset: str, runs: Runs, comparisons: int
) -> Effect | None:
    reference = factor.levels[factor.reference]
    a, b = runs.matched([level.row, reference.row], dataset)
    if len(a) < 2:
        return None
    return Effect(
        factor=factor.key,
        dataset=dataset,
        level=level.text,
        reference=reference.text,
        evaluations=runs.suite.budget.evaluations,
        n=len(a),
        regret=float(a.mean()),
        reference_regret=float(b.mean()),
        difference=paired(a, b, comparisons),
        p_better=statistics.probability_of_improvement(a, b),
        comparisons=comparisons,
    )


def paired(a: Array, b: Array, comparisons: int = 1) -> Interval:
    """Return mean(a) - mean(b) over pairs [n] with an interval that holds for all comparisons."""
    rng = stream(0, "bootstrap of the ablation").generator
    with warnings.catch_warnings():  # equal runs: a difference of no width is right
        warnings.simplefilter("ignore", statistics.StatisticsWarning)
        return statistics.paired_difference_interval(
            a, b, confidence=1 - (1 - CONFIDENCE) / comparisons, resamples=4000, rng=rng
        )
