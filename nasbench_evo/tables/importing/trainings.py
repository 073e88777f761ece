"""All trainings of one length on one training set, as arrays: what every import ends in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Series = tuple[str, str]  # split, metric
Floats = NDArray[np.floating[Any]]

COSTS = ("train_seconds", "parameters", "flops", "latency_seconds")


class Trial(NamedTuple):
    """One training. S series, E epochs; NaN where the source has nothing."""

    seed: int
    series: tuple[Series, ...]  # [S]
    curves: NDArray[np.float32]  # [S, E]; a series that exists at the end only has NaN before
    last: NDArray[np.float64]  # [S] after the last epoch
    train_seconds: float  # of the whole training
    seconds: Mapping[str, float]  # split -> seconds of one pass over it
    parameters: float  # millions
    flops: float  # millions
    latency: float  # seconds


@dataclasses.dataclass(frozen=True)
class Trainings:
    """N genotypes, T trials in the order of their seeds, E epochs; NaN where there is nothing."""

    cells: NDArray[np.int64]  # [N] rising rows of the table
    seeds: NDArray[np.int64]  # [N, T]; -1 where there is no trial
    last: Mapping[Series, Floats]  # [N, T] after the last epoch
    curves: Mapping[Series, Floats]  # [N, T, E]; series that have one
    costs: Mapping[str, Floats]  # [N, T]: COSTS, and metrics of the source by name
    seconds: Mapping[str, Floats]  # split -> [N, T] of one pass over it

    def splits(self) -> set[str]:
        """Return the splits that have an accuracy."""
        return {split for split, metric in self.last if metric == "accuracy"}

    def spread(self, series: Series, size: int) -> NDArray[np.float64]:
        """Return a series' last values with a row for each of `size` genotypes; [G, T]."""
        result = np.full((size, self.seeds.shape[1]), np.nan)
        if series in self.last:
            result[self.cells] = self.last[series]
        return result

    def mean(self, values: Floats | None, size: int) -> NDArray[np.float64]:
        """Return the means [G] over the trials of values [N, T] that are known."""
        result = np.full(size, np.nan)
        if values is not None:
            known = ~np.isnan(values)
            number = known.sum(axis=1)
            total = np.where(known, values, 0).sum(axis=1)
            result[self.cells] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return result


def of_trials(cells: Mapping[int, Sequence[Trial]]) -> Trainings:
    """Return the arrays of trials by genotype, those of a genotype in seed order."""
    order = sorted(cells)
    flat = [(n, t, trial) for n, i in enumerate(order) for t, trial in enumerate(cells[i])]
    shape = (len(order), max(map(len, cells.values())))
    length = max(trial.curves.shape[1] for _, _, trial in flat)
    seeds = np.full(shape, -1, dtype=np.int64)
    costs = {name: np.full(shape, np.nan) for name in COSTS}
    last: dict[Series, Floats] = {}
    curves: dict[Series, Floats] = {}
    seconds: dict[str, Floats] = {}
    for series in sorted({series for _, _, trial in flat for series in trial.series}):
        last[series] = np.full(shape, np.nan)
        curves[series] = np.full((*shape, length), np.nan, dtype=np.float32)
    for n, t, trial in flat:
        seeds[n, t] = trial.seed
        facts = (trial.train_seconds, trial.parameters, trial.flops, trial.latency)
        for name, value in zip(COSTS, facts, strict=True):
            costs[name][n, t] = value
        for split, time in trial.seconds.items():
            seconds.setdefault(split, np.full(shape, np.nan))[n, t] = time
        for s, series in enumerate(trial.series):
            last[series][n, t] = trial.last[s]
            curves[series][n, t] = trial.curves[s]
    whole = {name: c for name, c in curves.items() if length > 1 and not np.isnan(c[:, :, 0]).all()}
    return Trainings(np.array(order, np.int64), seeds, last, whole, costs, seconds)
