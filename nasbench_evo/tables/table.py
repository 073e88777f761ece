"""The lookup table type: benchmark results as arrays, whatever source they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.spaces import Genotype, IntegerSpace, NASBench201
from nasbench_evo.tables.metric import ACCURACY, Metric

DEFAULT_SPACE = NASBench201()
MISSING = np.uint16(65535)  # a trial that the source does not have; never imputed
# Accuracies of unknown origin are counts of this many: a millionth of a percentage point each.
FIXED_POINT = 100_000_000


def missing(dtype: np.dtype[Any]) -> int:
    """Return the count that stands for a missing trial: the largest of the integer type."""
    return int(np.iinfo(dtype).max)


_UNITS = ("s", "ms", "us", "h", "J", "mJ", "uJ", "kWh", "W", "mW", "KB", "MB", "GB", "K", "M", "G")


def unit(metric: str) -> str:
    """Return the unit that ends a metric's name, as in energy_mJ; empty where there is none."""
    last = metric.rpartition("_")[2]
    return last if last in _UNITS and "_" in metric else ""


@dataclasses.dataclass(frozen=True)
class Table:
    """Results of the genotypes of an integer space on some data sets, after one length of training.

    Axes: D data sets, G genotypes in the order of `space.index`, T trials, E epochs.
    Accuracies are stored as counts of correct validation images, which makes ties and means exact
    on every platform; where the number of images is unknown, as counts of `FIXED_POINT`. A
    genotype without any trial has NaN for its mean.
    """

    name: str
    label: str  # what the numbers are and are not, for reports
    sha256: str  # of the packed content; part of every run's key
    datasets: tuple[str, ...]  # [D]
    images: tuple[int, ...]  # [D] validation images behind each count
    correct: NDArray[np.unsignedinteger[Any]]  # [D, G, T]; the type's maximum where no trial
    train_seconds: NDArray[np.float64]  # [D, G] simulated seconds of one full training
    latency_seconds: NDArray[np.float64]  # [D, G] of one forward pass
    parameters: NDArray[np.int64]  # [D, G]
    valid_loss: NDArray[np.float64] | None = None  # [D, G, T] cross-entropy, nats
    test_accuracy: NDArray[np.float64] | None = None  # [D, G, T] percent; only reports read it
    # [D, G, T, E] percent after epoch e+1; NaN throughout where a data set has no curves
    valid_curve: NDArray[np.floating[Any]] | None = None
    valid_seconds: NDArray[np.float64] | None = None  # [D, G] of one pass over the validation set
    flops: NDArray[np.float64] | None = None  # [D, G] millions
    # [D, G] by name: what the source measured beside these, its unit behind the last underscore
    metrics: Mapping[str, NDArray[np.float64]] = dataclasses.field(default_factory=dict)
    # whose genotypes are the rows
    space: IntegerSpace = dataclasses.field(default_factory=lambda: DEFAULT_SPACE)
    metric: Metric = ACCURACY  # what was measured; `correct` counts its score
    measured: NDArray[np.float32] | None = None  # [D, G, T] the metric itself, where no accuracy
    infeasible: bool = False  # a genotype without a trial is a failure (0 %), not an error
    epochs: int | None = None  # of the full training behind `correct`; None where not known
    valid_split: tuple[str, ...] | None = None  # [D] the source's name of what `correct` counts
    test_split: tuple[str, ...] | None = None  # [D] the source's name of `test_accuracy`

    def __post_init__(self) -> None:
        d, g, t = self.correct.shape
        if g != self.space.size:
            raise InputError(f"{self.name}: {g} rows for {self.space.size} genotypes.")
        if d != len(self.datasets) or d != len(self.images):
            raise InputError(f"{self.name}: {d} rows of counts for data sets {self.datasets}.")
        shapes = {
            "train_seconds": (d, g),
            "latency_seconds": (d, g),
            "parameters": (d, g),
            "valid_seconds": (d, g),
            "flops": (d, g),
            "valid_loss": (d, g, t),
            "measured": (d, g, t),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InputError(f"{self.name}: {name} must be {shape}; got {array.shape}.")
        test = self.test_accuracy
        if test is not None and (test.ndim != 3 or test.shape[:2] != (d, g)):
            raise InputError(f"{self.name}: test_accuracy must be {(d, g)} + [trials].")
        curve = self.valid_curve
        if curve is not None and (curve.ndim != 4 or curve.shape[:3] != (d, g, t)):
            raise InputError(f"{self.name}: valid_curve must be {(d, g, t)} + [epochs].")

    def row(self, dataset: str) -> int:
        """Return the position of a data set on the first axis, or raise InputError."""
        if dataset not in self.datasets:
            raise unknown("data set", dataset, self.datasets)
        return self.datasets.index(dataset)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Which trials exist; [D, G, T]."""
        return np.asarray(self.correct != missing(self.correct.dtype))

    @cached_property
    def trials(self) -> NDArray[np.int64]:
        """Number of trials; [D, G]."""
        return np.asarray(self.present.sum(axis=2))

    @cached_property
    def valid_accuracy(self) -> NDArray[np.float64]:
        """Validation accuracy of each trial, percent; [D, G, T], NaN where missing."""
        images = np.array(self.images, dtype=np.float64)[:, None, None]
        return np.where(self.present, 100.0 * self.correct / images, np.nan)

    @cached_property
    def mean_accuracy(self) -> NDArray[np.float64]:
        """Mean validation accuracy over the trials, percent; [D, G].

        One division of exact integers, so that equal ratios are equal floats.
        """
        counts = np.where(self.present, self.correct, 0).sum(axis=2, dtype=np.int64)
        images = np.array(self.images)[:, None]
        whole = self.trials * images
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN where a genotype has no trial
            means = np.asarray(100 * counts / whole)
        if self.infeasible:
            there = np.asarray(self.trials.any(axis=1))[:, None]
            means = np.where(there & (self.trials == 0), 0.0, means)
        return means

    @cached_property
    def failure_seconds(self) -> NDArray[np.float64]:
        """Simulated seconds that an infeasible genotype costs: the mean of the others; [D]."""
        with np.errstate(invalid="ignore"):
            known = np.where(self.trials > 0, self.full_seconds, 0).sum(axis=1)
            return np.asarray(known / np.maximum((self.trials > 0).sum(axis=1), 1))

    @cached_property
    def mean_measured(self) -> NDArray[np.float64]:
        """Mean of the metric itself over the trials, in its unit; [D, G]."""
        if self.measured is None:
            return self.mean_accuracy
        total = np.where(self.present, self.measured, 0).sum(axis=2, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            means = np.asarray(total / self.trials)
        return np.where(self.trials == 0, self.metric.worst, means) if self.infeasible else means

    @cached_property
    def mean_test_accuracy(self) -> NDArray[np.float64] | None:
        """Mean test accuracy over the trials, percent; [D, G], NaN where there is none."""
        if self.test_accuracy is None:
            return None
        there = ~np.isnan(self.test_accuracy)
        total = np.where(there, self.test_accuracy, 0).sum(axis=2)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / there.sum(axis=2))

    @cached_property
    def quality(self) -> NDArray[np.float64]:
        """What reports rank genotypes by: mean validation accuracy, percent; [D, G].

        Of data sets that have a test accuracy only, that.
        """
        means = self.mean_accuracy
        tests = self.mean_test_accuracy
        if tests is None:
            return means
        searched = np.asarray(self.trials.any(axis=1))[:, None]
        return np.where(searched, means, tests)

    def known(self, dataset: str) -> NDArray[np.bool_]:
        """Return which genotypes have a result on a data set; [G]."""
        d = self.row(dataset)
        return np.asarray(
            ~np.isnan(self.quality[d]) if self.by_test(dataset) else self.trials[d] > 0
        )

    def single(self, dataset: str) -> int:
        """Return how many genotypes have one trial only on a data set."""
        return int((self.trials[self.row(dataset)] == 1).sum())

    def by_test(self, dataset: str) -> bool:
        """Return whether a data set has a test accuracy only, so that reports rank by it."""
        return not self.trials[self.row(dataset)].any()

    @cached_property
    def full_seconds(self) -> NDArray[np.float64]:
        """Simulated seconds of one full training and its validation; [D, G], 0 where unknown."""
        train = np.nan_to_num(self.train_seconds)
        return train if self.valid_seconds is None else train + np.nan_to_num(self.valid_seconds)

    def has_times(self, dataset: str) -> bool:
        """Return whether the data set has training times, which budgets in seconds need."""
        d = self.row(dataset)
        return not np.isnan(self.train_seconds[d][self.known(dataset)]).any()

    def has_curve(self, dataset: str) -> bool:
        """Return whether the data set has learning curves on its validation split."""
        if self.valid_curve is None:
            return False
        d = self.row(dataset)
        if not self.trials[d].any():
            return False
        g, t = np.argwhere(self.present[d])[0]
        return not np.isnan(self.valid_curve[d, g, t, 0])

    @cached_property
    def best(self) -> NDArray[np.float64]:
        """Highest `quality` of each data set, percent; [D]."""
        return np.asarray(np.nanmax(self.quality, axis=1))

    def regret(self, dataset: str, genotype: Genotype) -> float:
        """Return the best `quality` minus a cell's, percentage points."""
        d = self.row(dataset)
        return float(self.best[d] - self.quality[d, self.space.index(genotype)])

    def rank(self, dataset: str, genotype: Genotype) -> int:
        """Return 1 + the number of cells with a higher `quality`."""
        means = self.quality[self.row(dataset)]
        return 1 + int((means > means[self.space.index(genotype)]).sum())

    def mean_test(self, dataset: str, genotype: Genotype) -> float | None:
        """Return a cell's mean test accuracy, percent; None where there is none."""
        means = self.mean_test_accuracy
        return None if means is None else self._known(means, dataset, genotype)

    def size(self, dataset: str, genotype: Genotype) -> int | None:
        """Return a cell's number of parameters; None where it is not known."""
        number = int(self.parameters[self.row(dataset), self.space.index(genotype)])
        return None if number < 0 else number

    def latency(self, dataset: str, genotype: Genotype) -> float | None:
        """Return the seconds of a cell's forward pass; None where they are not known."""
        return self._known(self.latency_seconds, dataset, genotype)

    def _known(self, values: NDArray[np.float64], dataset: str, genotype: Genotype) -> float | None:
        value = float(values[self.row(dataset), self.space.index(genotype)])
        return None if np.isnan(value) else value

    def protocol(self, dataset: str) -> str:
        """Return what a report's accuracies are: splits and epochs, for people."""
        d = self.row(dataset)
        valid = self.valid_split[d] if self.valid_split else "validation"
        test = self.test_split[d] if self.test_split else ""
        length = "" if self.epochs is None else f" after {self.epochs} epochs"
        return f"validation: {valid or 'none'}{length}; test: {test or 'none'}"

    def require_times(self, dataset: str) -> None:
        """Raise InputError unless the data set has the times that a budget in seconds needs."""
        if not self.has_times(dataset):
            raise InputError(
                f"The table {self.name} has no training times of {dataset}: give the budget in "
                "evaluations."
            )
