"""How the ranking by shared weights of a suite's runs agrees with the truth, epoch by epoch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.analysis.rank_correlation import RankCorrelation, rank_correlation
from nasbench_evo.analysis.statistics import StatisticsWarning
from nasbench_evo.evaluators import probing, specifications
from nasbench_evo.files import csv_text, write_text
from nasbench_evo.randomness import stream
from nasbench_evo.results import weight_sharing
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.results.weight_sharing import Curve
from nasbench_evo.spaces import Genotype, NASBench201, isomorphism
from nasbench_evo.suite import Suite, Unit
from nasbench_evo.suite.model import Truth
from nasbench_evo.tables import Table

Array = NDArray[np.float64]
_RESAMPLES = 300  # of the interval of each epoch's rank correlation
_MOST_CELLS = 1000  # cells: enough for a narrow interval, and quick


@dataclass(frozen=True)
class Ranking:
    """How the ranking of a unit's supernets came to agree with the truth, one curve a run.

    `predicted` and `truth` [n] are those of the first run's last epoch, percent.
    """

    unit: Unit
    genotypes: list[Genotype]
    seeds: list[int]
    curves: list[Curve]
    predicted: Array
    truth: Array


def final_genotypes(runs: UnitRuns) -> list[Genotype]:
    """Return what each run's algorithm ended with, in seed order: its own result, or what was
    recommended where it has none.
    """
    return [run.genotype if run.returned is None else run.returned for run in runs.records]


def standalone_accuracy(table: Table, dataset: str, genotypes: Sequence[Genotype]) -> Array:
    """Return the mean validation accuracy over the trials of each genotype, percent; [n]."""
    indices = [table.space.index(genotype) for genotype in genotypes]
    return np.asarray(table.mean_accuracy[table.row(dataset), indices])


def rankings(suite: Suite, collected: Sequence[UnitRuns]) -> list[Ranking]:
    """Return the ranking of each unit that measured a sample of cells along the way."""
    if suite.truth is None or suite.rank_correlation is None:
        return []
    with warnings.catch_warnings():  # what is not defined is an empty field
        warnings.simplefilter("ignore", StatisticsWarning)
        return [
            _ranking(suite.truth, runs)
            for runs in collected
            if runs.records and runs.unit.training is not None
        ]


def _ranking(truth: Truth, runs: UnitRuns) -> Ranking:
    table = tables.reported(truth.table)
    options_ = runs.unit.training
    if not isinstance(options_, specifications.SupernetOptions) or options_.probe is None:
        raise TypeError("Only a unit on a supernet with a probe has a ranking.")
    genotypes = probing.genotypes(table.space, options_.probe.cells)
    standalone = standalone_accuracy(table, truth.dataset or runs.unit.dataset, genotypes)
    known = np.isfinite(standalone)  # a table may lack some cells
    curves, last = [], standalone
    for run in runs.records:
        epochs = [epoch for epoch, _ in run.probes]
        rows = np.array([values for _, values in run.probes])
        curves.append(
            weight_sharing.correlation_curve(
                rows[:, known], standalone[known], epochs, bootstrap=_RESAMPLES
            )
        )
        last = rows[-1] if len(curves) == 1 else last
    kept = [genotype for genotype, ok in zip(genotypes, known, strict=True) if ok]
    seeds = [run.seed for run in runs.records]
    return Ranking(runs.unit, kept, seeds, curves, last[known], standalone[known])


def retest_reference(suite: Suite, dataset: str) -> RankCorrelation | None:
    """Return the agreement of two trials of the truth over cells that have two, or None.

    Of cells that compute the same there is one: they may share their trials. A prediction may agree
    better with the mean of several trials than one trial does with another.
    """
    if suite.truth is None:
        return None
    table = tables.reported(suite.truth.table)
    trials = table.valid_accuracy[table.row(suite.truth.dataset or dataset)]
    if trials.shape[1] < 2:
        return None
    known = np.flatnonzero(np.isfinite(trials[:, :2]).all(axis=1))
    if isinstance(table.space, NASBench201):
        known = known[isomorphism.distinct(known)]
    if len(known) < 3:
        return None
    rng = stream(0, "bootstrap of the rank correlation").generator
    chosen = known[rng.permutation(len(known))[:_MOST_CELLS]]
    first, second = trials[chosen, :2].T
    return rank_correlation(first, second, bootstrap=_RESAMPLES, rng=rng)


def write_rankings(path: Path, content: dict[str, Any]) -> Path:
    """Write the rank correlations of summary.json's `content` as CSV, one row an epoch."""
    rows = content["rank_correlation"]
    return write_text(path, csv_text(list(rows[0]), (row.values() for row in rows)))
