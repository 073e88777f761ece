"""What fresh trainings say of the cells that searches found, and of the ranking by shared weights.

A cell that a search found is judged by trainings that no search has seen, beside the accuracy that
the table recorded of it. A ranking is held against the mean of several fresh trainings of each
probed cell: the truth has noise of its own, and more trainings have less of it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.analysis.rank_correlation import rank_correlation
from nasbench_evo.analysis.statistics import (
    Interval,
    StatisticsWarning,
    bootstrap_interval,
    flat,
    paired_difference_interval,
)
from nasbench_evo.files import csv_text, plain_fields, write_json, write_text
from nasbench_evo.randomness import stream
from nasbench_evo.results import measures
from nasbench_evo.results.labels import ON_TABLE
from nasbench_evo.results.measures import Measured, measured
from nasbench_evo.results.weight_sharing import wilcoxon_signed_rank
from nasbench_evo.spaces import Genotype, NASBench201, isomorphism

SHARED, TABLE = "shared weights", "table"
_TAUS = {"recalibrated": "fresh_tau", "running": "fresh_tau_running"}  # names of measures


class Final(NamedTuple):
    """The genotype that a run ended with."""

    label: str  # of the row
    searched: str  # SHARED or TABLE
    seed: int
    genotype: Genotype
    recorded: float  # validation accuracy in the truth table, percent: mean over its trials


class SharedRanking(NamedTuple):
    """Accuracies of the probed cells with the weights that a run ended with."""

    label: str
    seed: int
    epochs: int
    sampling: str  # how paths were drawn; empty where the search draws them itself
    batch_norm: str
    accuracies: tuple[float, ...]  # [probes], percent


class Training(NamedTuple):
    """A fresh training of a cell."""

    genotype: Genotype
    epochs: int
    trial: int
    valid_accuracy: float  # percent
    test_accuracy: float


@dataclass(frozen=True)
class Judged:
    """The cells that the runs of a row ended with, trained anew for `epochs`; percent.

    `fresh` is the mean over runs of the mean over trainings, with its 95% bootstrap interval over
    runs; `recorded` what the truth table says of the same cells.
    """

    label: str
    searched: str
    epochs: int
    runs: int
    trainings: int  # of each cell
    recorded: float
    fresh: Interval
    fresh_test: float


@dataclass(frozen=True)
class Difference:
    """The same search on shared weights and on the table, seed by seed: shared minus table."""

    label: str
    epochs: int
    n: int
    recorded: float  # by the accuracies that the table recorded: those that one side maximised
    fresh: Interval
    p: float  # Wilcoxon's signed-rank test of the fresh difference, two-sided


@dataclass(frozen=True)
class Agreement:
    """Tau-b of shared-weight accuracies with the mean of fresh trainings, mean over runs."""

    label: str
    epochs: int  # of the supernet
    sampling: str
    batch_norm: str
    truth_epochs: int
    truth_trainings: int
    cells: int
    runs: int
    tau: float
    low: float  # 95% bootstrap interval over cells, mean over runs of its ends
    high: float


@dataclass(frozen=True)
class Reference:
    """Agreement of fresh trainings with each other, over distinct isomorphism classes.

    A reference and no ceiling: shared weights may agree better with the mean of several trainings
    than two single trainings agree.
    """

    truth_epochs: int
    cells: int
    single: Interval  # tau-b of one training against another
    halves: Interval  # tau-b of the means of two halves of the trainings


@dataclass(frozen=True)
class Study:
    """All that is known of a suite's searches after fresh trainings."""

    dataset: str
    first_seed: int
    probes: Sequence[Genotype]
    finals: Sequence[Final]
    rankings: Sequence[SharedRanking]
    trainings: Sequence[Training]

    @property
    def lengths(self) -> list[int]:
        """The lengths of the fresh trainings, epochs."""
        return sorted({one.epochs for one in self.trainings})

    def fresh(self, genotype: Genotype, epochs: int, *, test: bool = False) -> list[float]:
        """Return the accuracies of a genotype's fresh trainings, percent, by trial."""
        key = (genotype, epochs)
        return [one.test_accuracy if test else one.valid_accuracy for one in self._by[key]]

    @cached_property
    def _by(self) -> Mapping[tuple[Genotype, int], list[Training]]:
        found: dict[tuple[Genotype, int], list[Training]] = {}
        for one in sorted(self.trainings, key=lambda one: one.trial):
            found.setdefault((one.genotype, one.epochs), []).append(one)
        return found

    def judged(self) -> list[Judged]:
        """Return every row of the suite at every length."""
        groups: dict[tuple[str, str], list[Final]] = {}
        for final in self.finals:
            groups.setdefault((final.label, final.searched), []).append(final)
        found = []
        for (label, searched), runs in groups.items():
            for epochs in self.lengths:
                values = [self.fresh(run.genotype, epochs) for run in runs]
                tests = [fmean(self.fresh(run.genotype, epochs, test=True)) for run in runs]
                found.append(
                    Judged(
                        label,
                        searched,
                        epochs,
                        len(runs),
                        min(map(len, values)),
                        fmean(run.recorded for run in runs),
                        _mean([fmean(v) for v in values]),
                        fmean(tests),
                    )
                )
        return found

    def differences(self) -> list[Difference]:
        """Return each search on shared weights beside the same one on the table."""
        found = []
        for label in dict.fromkeys(final.label for final in self.finals):
            sides = {
                side: {f.seed: f for f in self.finals if (f.label, f.searched) == (label, side)}
                for side in (SHARED, TABLE)
            }
            seeds = sorted(sides[SHARED].keys() & sides[TABLE].keys())
            if not seeds:
                continue
            shared, table = ([sides[side][seed] for seed in seeds] for side in (SHARED, TABLE))
            recorded = fmean(a.recorded - b.recorded for a, b in zip(shared, table, strict=True))
            for epochs in self.lengths:
                x, y = (
                    np.array([fmean(self.fresh(one.genotype, epochs)) for one in side])
                    for side in (shared, table)
                )
                fresh, p = _difference(x, y)
                found.append(Difference(label, epochs, len(seeds), recorded, fresh, p))
        return found

    def agreements(self) -> list[Agreement]:
        """Return tau-b of every row, BatchNorm mode and length of the truth."""
        groups: dict[tuple[str, int, str, str], list[SharedRanking]] = {}
        for one in self.rankings:
            key = (one.label, one.epochs, one.sampling, one.batch_norm)
            groups.setdefault(key, []).append(one)
        found = []
        for epochs in self.lengths:
            trials = [self.fresh(probe, epochs) for probe in self.probes]
            truth = np.array([fmean(values) for values in trials])
            for key, runs in groups.items():
                taus = [_tau(np.array(run.accuracies), truth) for run in runs]
                tau, low, high = (fmean(part) for part in zip(*taus, strict=True))
                n = min(map(len, trials))
                found.append(Agreement(*key, epochs, n, len(truth), len(runs), tau, low, high))
        return found

    def references(self) -> list[Reference]:
        """Return how well fresh trainings agree with each other, at each length."""
        classes: dict[Any, Genotype] = {}
        for probe in self.probes:
            classes.setdefault(isomorphism.canonical(probe), probe)
        found = []
        for epochs in self.lengths:
            rows = [self.fresh(probe, epochs) for probe in classes.values()]
            n = min(map(len, rows))
            values = np.array([row[:n] for row in rows])  # [cells, trials]
            half = n // 2
            halves = (values[:, :half].mean(axis=1), values[:, half : 2 * half].mean(axis=1))
            single = _tau(values[:, 0], values[:, 1])
            found.append(Reference(epochs, len(rows), single, _tau(*halves)))
        return found

    def measures(self) -> list[Measured]:
        """Return what is known of every run, see `results.measures`; N of a name are epochs."""
        values: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
        for final in self.finals:
            known = values.setdefault((final.label, final.searched), {})
            for epochs in self.lengths:
                fresh = fmean(self.fresh(final.genotype, epochs))
                known.setdefault(f"fresh@{epochs}", {})[final.seed] = fresh
        for epochs in self.lengths:
            truth = np.array([fmean(self.fresh(probe, epochs)) for probe in self.probes])
            for one in self.rankings:
                if one.batch_norm not in _TAUS:
                    continue
                known = values.setdefault((one.label, SHARED), {})
                tau = _tau(np.array(one.accuracies), truth, resamples=0).estimate
                known.setdefault(f"{_TAUS[one.batch_norm]}@{epochs}", {})[one.seed] = tau
        found = []
        for (label, searched), known in values.items():
            seeds = sorted({seed for some in known.values() for seed in some})
            row = label + (ON_TABLE if searched == TABLE else "")
            ordered = {
                name: [some.get(seed, math.nan) for seed in seeds] for name, some in known.items()
            }
            found.append(measured(row, self.dataset, self.first_seed, seeds, ordered))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what the study says, plain JSON; NaN is null."""
        return {
            "dataset": self.dataset,
            "probed_cells": len(self.probes),
            "judged": [_plain(one) for one in self.judged()],
            "differences": [_plain(one) for one in self.differences()],
            "agreements": [_plain(one) for one in self.agreements()],
            "references": [_plain(one) for one in self.references()],
        }


def sentences(study: Study) -> list[str]:
    """Return in words what the study shows, and no more."""
    found = []
    for one in study.differences():
        estimate, low, high = one.fresh
        single = math.isnan(low)
        interval = "" if single else f" [{low:+.2f}, {high:+.2f}]"
        how = "one seed: no interval" if single else f"n={one.n}, p={one.p:.2g}"
        found.append(
            f"{one.label}: shared minus table {one.recorded:+.2f} points by what the table "
            f"recorded, {estimate:+.2f}{interval} by fresh trainings of {one.epochs} epochs "
            f"({how})."
        )
    return found


def write(study: Study, folder: Path, name: str) -> list[Path]:
    """Write retrained.json and the values behind it, and replayed.json of the suite `name`."""
    space = NASBench201()
    named = space.format
    tables: dict[str, tuple[list[str], Iterable[Iterable[Any]]]] = {
        "retrained_trainings.csv": (
            ["arch", *Training._fields[1:]],
            [(named(one.genotype), *one[1:]) for one in study.trainings],
        ),
        "retrained_finals.csv": (
            ["algorithm", "searched", "seed", "arch", "recorded"],
            [(*one[:3], named(one.genotype), one.recorded) for one in study.finals],
        ),
        "retrained_shared.csv": (
            ["algorithm", "seed", "epochs", "sampling", "batch_norm", "arch", "accuracy"],
            [
                (*one[:5], named(probe), value)
                for one in study.rankings
                for probe, value in zip(study.probes, one.accuracies, strict=True)
            ],
        ),
    }
    paths = [write_text(folder / file, csv_text(*content)) for file, content in tables.items()]
    paths.append(measures.write(folder / measures.REPLAYED, name, study.measures()))
    return [write_json(folder / "retrained.json", study.to_json()), *paths]


def _plain(one: Any) -> dict[str, Any]:
    return plain_fields(flat(vars(one)))


def _tau(predicted: Array, truth: Array, resamples: int = 1000) -> Interval:
    with _quiet():  # what is not defined is NaN
        found = rank_correlation(predicted, truth, bootstrap=resamples)
    return found["kendall_tau"]


def _mean(values: Sequence[float]) -> Interval:
    if len(values) == 1:
        return Interval(values[0], math.nan, math.nan)
    with _quiet():
        return bootstrap_interval(values, rng=_rng())


def _difference(x: Array, y: Array) -> tuple[Interval, float]:
    """Return the mean of x - y with its interval, and p; of one seed neither is known."""
    if len(x) == 1:
        return Interval(float(x[0] - y[0]), math.nan, math.nan), math.nan
    with _quiet():
        return paired_difference_interval(x, y, rng=_rng()), wilcoxon_signed_rank(x - y)


def _quiet() -> Any:
    return warnings.catch_warnings(action="ignore", category=StatisticsWarning)


def _rng() -> np.random.Generator:
    return stream(0, "bootstrap of retrained cells").generator
