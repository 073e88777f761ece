"""What sharing weights does to a search: its final cells and ranking beside those of a table.

A search is run twice with the same seed, once on shared weights and once on a table of standalone
trainings, and both final genotypes are judged by their standalone accuracies (percent).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.analysis.rank_correlation import RankCorrelation, rank_correlation
from nasbench_evo.analysis.statistics import (
    Interval,
    StatisticsWarning,
    bootstrap_interval,
    caution,
    flat,
    paired_difference_interval,
    wilson_interval,
)
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.spaces import Genotype, NASBench201, Space, isomorphism

_RANDOM_PAIRS = 10_000  # the standard error of their mean distance is about 0.01 genes
_RANDOM_MEANS = 10_000
_LEVEL = 0.05  # of the test
_BIASED = (
    "That is no measure of shared weights: the search of the table maximised these very "
    "accuracies. Train both sides' genotypes anew (nasbench-evo retrain)."
)

Curve = list[tuple[int, RankCorrelation]]  # (epoch, ...)


class Match(TypedDict):
    """How far apart two genotypes are."""

    exact: bool
    isomorphic: bool | None  # None where the space has no canonical form
    edit_distance: int  # genes that differ


def match(space: Space, a: Genotype, b: Genotype) -> Match:
    """Return how far apart two genotypes are; nested genotypes are compared value by value.

    Raises InputError for genotypes with unequal numbers of genes.
    """
    genes, others = list(_genes(a)), list(_genes(b))
    if len(genes) != len(others):
        raise InputError(
            f"An edit distance needs as many genes in both; got {len(genes)} and {len(others)}, "
            f"in {a!r} and {b!r}."
        )
    known = isinstance(space, NASBench201)
    return {
        "exact": genes == others,
        "isomorphic": isomorphism.canonical(a) == isomorphism.canonical(b) if known else None,
        "edit_distance": sum(x != y for x, y in zip(genes, others, strict=True)),
    }


def _genes(genotype: Genotype) -> Iterator[Any]:
    for gene in genotype:
        if isinstance(gene, tuple):
            yield from _genes(gene)
        else:
            yield gene


def chance_distance(space: Space, n: int, rng: Stream) -> Interval:
    """Return the mean edit distance of random genotypes and where 95% of means of n pairs lie.

    Estimated from pairs as the space samples them.
    """
    drawn = space.sample(rng, 2 * _RANDOM_PAIRS)
    twos = zip(drawn[:_RANDOM_PAIRS], drawn[_RANDOM_PAIRS:], strict=True)
    distances = np.array([match(space, a, b)["edit_distance"] for a, b in twos], dtype=np.float64)
    means = rng.generator.choice(distances, (_RANDOM_MEANS, n)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(distances.mean()), float(low), float(high))


@dataclass(frozen=True)
class PairedSearches:
    """Final genotypes of n seeds, searched on shared weights and on a table, with 95% intervals.

    Accuracies are standalone, percent; intervals are bootstrap intervals of means over seeds (BCa),
    those of shares are Wilson's.
    """

    n: int
    exact: Interval  # share of seeds with the same genotype
    isomorphic: Interval | None  # share with isomorphic genotypes; None where that is not known
    edit_distance: Interval  # mean number of genes that differ
    chance: Interval  # that mean for random genotypes, and where 95% of such means lie
    shared: Interval  # mean accuracy of what was found with shared weights
    table: Interval  # mean accuracy of what was found with the table
    difference: Interval  # mean of shared minus table, percentage points
    p: float  # two-sided Wilcoxon signed-rank test of the differences
    accuracies: tuple[tuple[float, float], ...]  # [n] (shared, table)

    def to_json(self) -> dict[str, Any]:
        """Return a flat record with `<name>`, `<name>_low`, `<name>_high` for intervals."""
        return flat(vars(self))


def paired(
    space: Space,
    shared: Sequence[Genotype],
    table: Sequence[Genotype],
    shared_accuracy: ArrayLike,
    table_accuracy: ArrayLike,
    *,
    bootstrap: int = 2000,
    rng: Stream,
) -> PairedSearches:
    """Compare final genotypes [n] of searches on shared weights and on a table, seed by seed.

    The accuracies [n] are standalone, percent. Where all seeds are equal an interval has no width.
    Raises InputError unless all four have n >= 1 elements and the accuracies are finite.
    """
    x = np.asarray(shared_accuracy, dtype=np.float64)
    y = np.asarray(table_accuracy, dtype=np.float64)
    n = len(shared)
    _check_pairs(n, len(table), x, y)
    matches = [match(space, a, b) for a, b in zip(shared, table, strict=True)]
    same = [m["isomorphic"] for m in matches]
    with warnings.catch_warnings():  # equal seeds, for instance all alike, are a finding
        warnings.simplefilter("ignore", StatisticsWarning)
        mean = partial(bootstrap_interval, resamples=bootstrap, rng=rng.generator)
        return PairedSearches(
            n=n,
            exact=wilson_interval(sum(m["exact"] for m in matches), n),
            isomorphic=None if None in same else wilson_interval(same.count(True), n),
            edit_distance=mean([m["edit_distance"] for m in matches]),
            chance=chance_distance(space, n, rng),
            shared=mean(x),
            table=mean(y),
            difference=paired_difference_interval(x, y, resamples=bootstrap, rng=rng.generator),
            p=wilcoxon_signed_rank(x - y),
            accuracies=tuple(zip(x.tolist(), y.tolist(), strict=True)),
        )


def _check_pairs(n: int, m: int, x: Array, y: Array) -> None:
    """Raise InputError unless n and m genotypes and accuracies x and y are of the same seeds."""
    if n < 1 or m != n or x.shape != (n,) or y.shape != (n,):
        raise InputError(
            "Paired searches need one genotype and one accuracy a seed from each, got "
            f"{n} and {m} genotypes, accuracies {x.shape} and {y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("Some accuracies are NaN: leave out the seeds without a standalone one.")


def wilcoxon_signed_rank(differences: ArrayLike) -> float:
    """Return the two-sided p value of Wilcoxon's signed-rank test of differences [n].

    Zeros are left out; if all are zero there is nothing to rank and p is 1. Exact for n <= 13 and,
    without ties, n <= 50. Differences that are not finite give NaN with a `StatisticsWarning`.
    """
    d = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(d).all():
        caution("The differences hold NaN or infinity: p NaN.")
        return math.nan
    if not d.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(d[d != 0]).pvalue)


def sentence(result: PairedSearches, name: str = "The search") -> str:
    """Return in words what the numbers support, and no more; `name` is the subject."""
    return " ".join((_of_accuracy(result, name), _of_matches(result), _of_distance(result)))


def _of_accuracy(result: PairedSearches, name: str) -> str:
    estimate, low, high = result.difference
    if result.n == 1:
        return (
            f"{name} found with shared weights a genotype of {result.shared.estimate:.2f} % "
            f"standalone accuracy and with the table one of {result.table.estimate:.2f} % (one "
            f"seed). {_BIASED}"
        )
    shared, table = (f"{mean.estimate:.2f} %" for mean in (result.shared, result.table))
    found = (
        f"{name} found with shared weights genotypes of {shared} standalone accuracy and with the "
        f"table {table}: a difference of {estimate:+.2f} points [{low:+.2f}, {high:+.2f}], "
        f"n={result.n}, p={result.p:.2g} (Wilcoxon signed-rank)."
    )
    unequal = sum(a != b for a, b in result.accuracies)
    smallest = 2.0 ** (1 - unequal)  # all differences of one sign
    if not unequal:
        return f"{found} Both are equally accurate in every seed."
    if result.p < _LEVEL and high < 0:
        return f"{found} {_BIASED}"
    if result.p < _LEVEL and low > 0:
        return f"{found} Shared weights found better genotypes here."
    if smallest >= _LEVEL:
        return f"{found} With {unequal} unequal seeds p cannot be below {smallest:.2g}: undecided."
    return f"{found} No difference is shown."


def _of_matches(result: PairedSearches) -> str:
    def count(share: Interval) -> str:
        return f"{round(share.estimate * result.n)} of {result.n} seeds"

    text = f"Both ended with the same genotype in {count(result.exact)}"
    if result.isomorphic is not None:
        text += f" and with isomorphic ones in {count(result.isomorphic)}"
    return text + "."


def _of_distance(result: PairedSearches) -> str:
    estimate, low, high = result.edit_distance
    chance = result.chance
    text = (
        f"They differ in {estimate:.1f} genes on average [{low:.1f}, {high:.1f}], random ones in "
        f"{chance.estimate:.1f} (95% of means of n={result.n}: {chance.low:.1f} to "
        f"{chance.high:.1f}): "
    )
    if estimate < chance.low:
        return text + "closer than chance."
    if estimate > chance.high:
        return text + "further apart than chance."
    return text + "not told from chance."


def correlation_curve(
    predicted: ArrayLike,
    truth: ArrayLike,
    epochs: Sequence[int],
    *,
    top: Sequence[float] = (0.5, 0.1, 0.01),
    k: int = 10,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Curve:
    """Compare predicted [epochs, n] with truth [n] at each of `epochs`.

    Every epoch is judged on the same resamples, so that an epoch's figures depend neither on the
    other epochs nor on how many there are. Options and errors are those of `rank_correlation`;
    raises InputError also where the number of epochs is not that of the rows.
    """
    rows = np.asarray(predicted, dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(epochs):
        raise InputError(
            f"Expected one row of predictions for each of {len(epochs)} epochs; got {rows.shape}."
        )
    curve = []
    for epoch, row in zip(epochs, rows, strict=True):
        rng = stream(seed, "bootstrap of the rank correlation").generator
        figures = rank_correlation(row, truth, top=top, k=k, bootstrap=bootstrap, rng=rng)
        curve.append((epoch, figures))
    return curve
