"""How far one ranking of genotypes can be trusted to stand for another.

`rank_correlation(predicted, truth)` compares, for example, shared-weight accuracies with standalone
ones. The retest reference of its figures is the same function between two trials of the truth. It
is no upper limit: a prediction may agree better with the mean of several trials.

A bootstrap resample is a count for each genotype, so every figure is computed for all resamples at
once from counts [n, r]; the figure of the data themselves is the one whose counts are all 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_evo.analysis.bootstrap import Array, resample_counts
from nasbench_evo.analysis.statistics import UNDEFINED, Interval, caution
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream

Indices = NDArray[np.intp]

_BLOCK = 512  # items compared pair by pair: a product is faster than sums there


@dataclass(frozen=True)
class RankCorrelation:
    """The agreement of two rankings of n genotypes: name -> estimate and bootstrap interval.

    Names: kendall_tau (tau-b), spearman, pearson, weighted_tau (Vigna 2015, additive hyperbolic),
    tau_top<percent> (tau-b among the best by truth), precision_at_<k>, best_predicted_truth,
    best_predicted_regret (both in the unit of truth) and best_predicted_percentile (percent of
    genotypes whose truth is not above that of the predicted best).
    """

    n: int
    figures: Mapping[str, Interval]

    def __getitem__(self, name: str) -> Interval:
        return self.figures[name]

    def to_json(self) -> dict[str, float | None]:
        """Return a flat record with `<name>`, `<name>_low`, `<name>_high`; NaN becomes None."""
        record: dict[str, float | None] = {"n": self.n}
        for name, interval in self.figures.items():
            for suffix, value in zip(("", "_low", "_high"), interval, strict=True):
                record[name + suffix] = None if math.isnan(value) else value
        return record


class Threshold(NamedTuple):
    """A cut through a ranking: how many were asked for, are inside, and share the value at it."""

    name: str
    asked: int
    inside: int  # with all that tie with the last of them
    tied: int

    @property
    def cuts_a_tie(self) -> bool:
        """Whether equal values stand on both sides of the place that was asked for."""
        return self.inside > self.asked


def thresholds(
    predicted: ArrayLike, truth: ArrayLike, *, top: Sequence[float], k: int
) -> list[Threshold]:
    """Return the cuts behind `rank_correlation`'s figures, exactly: top fractions and the k best.

    A top fraction takes all that tie with its last member; of the k best, those that tie at the
    k-th place count with equal shares of the places that are left.
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(truth, dtype=float)
    asked = [(f"top{100 * f:g}", y, math.ceil(round(f * len(y), 9))) for f in top]
    asked += [(f"truth_top_{k}", y, k), (f"predicted_top_{k}", x, k)]
    found = []
    for name, values, n in asked:
        if n <= len(values):
            last = np.partition(values, len(values) - n)[len(values) - n]
            inside, tied = int((values >= last).sum()), int((values == last).sum())
            found.append(Threshold(name, n, inside, tied))
    return found


def rank_correlation(
    predicted: ArrayLike,
    truth: ArrayLike,
    *,
    top: Sequence[float] = (0.5, 0.1, 0.01),
    k: int = 10,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
) -> RankCorrelation:
    """Compare predicted [n] with truth [n], higher better in both, one element a genotype.

    Ties never depend on the order of the input: a top fraction takes in all that tie with its
    last member, and precision and the predicted best are expectations over breaking ties at
    random. Intervals are percentiles over `bootstrap` resamples of genotypes (0: none, NaN), drawn
    from `rng` (None: a fixed stream, the same figures each time).
    Constant or non-finite input gives NaN everywhere, and a figure that n is too small for gives
    NaN, each with a `StatisticsWarning`. Raises InputError for fewer than 3 genotypes, lengths
    that differ, what is no number, or parameters out of range.
    """
    x, y = _numbers("predicted", predicted), _numbers("truth", truth)
    rng = stream(0, "bootstrap of the rank correlation").generator if rng is None else rng
    _check(x, y, top, k, bootstrap, confidence)
    pairs = _Pairs(x, y, tuple(top), k)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        caution("Predicted or true values hold NaN or infinity: every figure is NaN.")
        return RankCorrelation(len(x), dict.fromkeys(pairs.figures, UNDEFINED))
    if (x == x[0]).all() or (y == y[0]).all():
        caution("Predicted or true values are constant: every figure is NaN.")
        return RankCorrelation(len(x), dict.fromkeys(pairs.figures, UNDEFINED))
    estimates = pairs.evaluate(np.ones((len(x), 1)))
    blocks = [pairs.evaluate(c.astype(np.float64)) for c in resample_counts(len(x), bootstrap, rng)]
    figures = {}
    for name, estimate in estimates.items():
        boot = np.concatenate([np.empty(0), *(block[name] for block in blocks)])
        figures[name] = _percentile_interval(float(estimate[0]), boot, confidence)
    undefined = [name for name, interval in figures.items() if math.isnan(interval.estimate)]
    if undefined:
        caution(f"{len(x)} genotypes are too few, or too tied, for {', '.join(undefined)}: NaN.")
    return RankCorrelation(len(x), figures)


def _numbers(name: str, values: ArrayLike) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} holds numbers, one a genotype; got {values!r:.60}.") from None


def _check(
    x: Array, y: Array, top: Sequence[float], k: int, bootstrap: int, confidence: float
) -> None:
    """Raise InputError for what cannot be compared."""
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise InputError(
            "Rank correlation needs 3 or more genotypes with a predicted and a true value each, "
            f"got shapes {x.shape} and {y.shape}; keep only the genotypes that both sides have."
        )
    if not all(0 < f <= 1 for f in top) or k < 1 or bootstrap < 0 or not 0 < confidence < 1:
        raise InputError(
            f"Expected 0 < top <= 1, k >= 1, bootstrap >= 0, 0 < confidence < 1; got top={top}, "
            f"k={k}, bootstrap={bootstrap}, confidence={confidence}. The top 10% is 0.1."
        )


def _percentile_interval(estimate: float, boot: Array, confidence: float) -> Interval:
    """Return the interval of the resamples in which the figure is defined."""
    boot = boot[~np.isnan(boot)]
    if math.isnan(estimate) or not len(boot):
        return Interval(estimate, math.nan, math.nan)
    low, high = np.quantile(boot, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


class _Levels:
    """The distinct values of a sample, highest first: each item's level, and sums by level."""

    def __init__(self, values: Array) -> None:
        # negated, so that level 0 is the best
        distinct, code = np.unique(-values, return_inverse=True)
        self.values: Array = -distinct
        self.code: Indices = code
        self.order: Indices = np.argsort(code, kind="stable")
        self.starts: Indices = np.searchsorted(code[self.order], np.arange(len(distinct)))

    def total(self, of_items: Array) -> Array:
        """Return the sums [levels, r] of of_items [n, r]."""
        return np.add.reduceat(of_items[self.order], self.starts, axis=0)


class _Counted:
    """Two samples under counts [n, r]: what several figures need, each computed once."""

    def __init__(self, x: _Levels, y: _Levels, counts: Array) -> None:
        self.x, self.y, self.counts = x, y, counts
        self.n = counts.sum(axis=0)
        self.x_sizes, self.y_sizes = x.total(counts), y.total(counts)

    @cached_property
    def concordance(self) -> Array:
        """For each item, concordant minus discordant partners [n, r].

        Items stand in the order of x. Those of one small block are compared pair by pair; then
        blocks are merged, their halves compared by running sums in the order of y: n log n sums
        in all. Whole numbers up to n are exact in float32.
        """
        x, y = self.x.code, self.y.code
        # Ties of x stand in the order of y: taken for ordered pairs at first, corrected below.
        order = np.lexsort((y, x))
        counts = self.counts[order].astype(np.float32)
        total = np.zeros_like(counts)
        width, ranks = _BLOCK, y[order]
        small = ranks.astype(np.float32)  # exact, as levels are below 2**24
        later = np.sign(np.arange(width)[:, np.newaxis] - np.arange(width)).astype(np.float32)
        for i in range(0, len(order), width):
            part = slice(i, i + width)
            signs = small[part, np.newaxis] - small[part]
            np.sign(signs, out=signs)
            # Left of the diagonal a partner comes before the item in x, right of it after.
            signs *= later[: len(signs), : len(signs)]
            np.matmul(signs, counts[part], out=total[part])
        while width < len(order):
            _merge(ranks, counts, width, total)
            width *= 2
        # Pairs that tie in x were taken for concordant: every one of them that differs in y.
        _, pair = np.unique(np.stack([x, y]), axis=1, return_inverse=True)
        both = _Levels(-pair.ravel().astype(np.float64))
        tied = self.x_sizes[x] - both.total(self.counts)[both.code]
        out = np.empty_like(self.counts)
        out[order] = total
        return out - tied

    @cached_property
    def tau(self) -> Array:
        """Kendall's tau-b [r]: pairs tied in one sample count in the other's norm only."""
        # Both the sum below and these count each pair from both its sides. Copies of one item tie
        # in both.
        x = self.n**2 - (self.x_sizes**2).sum(axis=0)
        y = self.n**2 - (self.y_sizes**2).sum(axis=0)
        return _ratio((self.counts * self.concordance).sum(axis=0), np.sqrt(x * y))

    def weighted_tau(self) -> Array:
        """Vigna's tau [r]: a pair weighs 1/rank + 1/rank, averaged over ranking by x and by y."""
        # 1 + 1/2 + ... + 1/i at position i: copies of an item take ranks in a row, whose weights
        # are a difference of two of these.
        harmonic = np.append(0.0, np.cumsum(1.0 / np.arange(1, self.n.max() + 1)))
        apart_x = self.n - self.x_sizes[self.x.code]
        apart_y = self.n - self.y_sizes[self.y.code]
        taus = []
        for keys in ((self.y.code, self.x.code), (self.x.code, self.y.code)):
            order = np.lexsort(keys)  # the last key ranks, the other breaks its ties
            counts = self.counts[order]
            last = np.cumsum(counts, axis=0).astype(np.intp)
            weight = np.empty_like(counts)
            weight[order] = harmonic[last] - harmonic[last - counts.astype(np.intp)]
            # An item's own weight times its concordance, summed over items, weighs each pair by
            # both.
            x, y = (weight * apart_x).sum(axis=0), (weight * apart_y).sum(axis=0)
            taus.append(_ratio((weight * self.concordance).sum(axis=0), np.sqrt(x * y)))
        return (taus[0] + taus[1]) / 2

    def spearman(self) -> Array:
        """Pearson's r [r] of the ranks, ties sharing their mean rank."""
        # a level's mean rank less the mean of all, (n + 1) / 2
        x = (np.cumsum(self.x_sizes, axis=0) - (self.x_sizes + self.n) / 2)[self.x.code]
        y = (np.cumsum(self.y_sizes, axis=0) - (self.y_sizes + self.n) / 2)[self.y.code]
        return self._correlation(x, y)

    def pearson(self) -> Array:
        """Pearson's r [r] of the values."""
        x, y = self.x.values[self.x.code], self.y.values[self.y.code]
        centred_x = x[:, np.newaxis] - x @ self.counts / self.n
        return self._correlation(centred_x, y[:, np.newaxis] - y @ self.counts / self.n)

    def _correlation(self, x: Array, y: Array) -> Array:
        """Return the correlation [r] of x and y [n, r], both centred; NaN if one is constant."""
        varies = ((self.x_sizes > 0).sum(axis=0) > 1) & ((self.y_sizes > 0).sum(axis=0) > 1)
        xx, yy = (self.counts * x * x).sum(axis=0), (self.counts * y * y).sum(axis=0)
        return _ratio((self.counts * x * y).sum(axis=0), np.sqrt(xx * yy) * varies)

    def tau_of_best(self, fraction: float) -> Array:
        """Tau-b [r] among the best `fraction` by y, with all that tie with the last of them."""
        # Rounded first: 0.07 * 100 is a little above 7.
        needed = np.ceil(np.round(fraction * self.n, 9))
        last = (np.cumsum(self.y_sizes, axis=0) >= needed).argmax(axis=0)
        # what is in no resample's top is left out at once
        items = np.flatnonzero(self.y.code <= last.max())
        kept = self.counts[items] * (self.y.code[items, np.newaxis] <= last)
        x, y = (s.values[s.code[items]] for s in (self.x, self.y))
        return _Counted(_Levels(x), _Levels(y), kept).tau

    def precision(self, k: int) -> Array:
        """Share [r] of the k best by x that are among the k best by y; NaN if there are fewer."""
        share = []
        for sizes, code in ((self.x_sizes, self.x.code), (self.y_sizes, self.y.code)):
            # How many of each level are among the best k; where not all, each has the same chance.
            inside = np.clip(k - (np.cumsum(sizes, axis=0) - sizes), 0, sizes)
            share.append((inside / np.maximum(sizes, 1))[code])
        hits = (self.counts * share[0] * share[1]).sum(axis=0)
        return np.where(self.n >= k, hits / k, math.nan)

    def of_predicted_best(self, of_items: Array) -> Array:
        """Mean [r] of of_items [n, r] over the items that tie for the best x."""
        best = (self.x_sizes > 0).argmax(axis=0)
        chosen = self.counts * (self.x.code[:, np.newaxis] == best)
        return np.asarray((chosen * of_items).sum(axis=0) / chosen.sum(axis=0))

    def best_truth(self) -> Array:
        """Mean y [r] of the items that tie for the best x."""
        return self.of_predicted_best(self.y.values[self.y.code][:, np.newaxis])

    def best_regret(self) -> Array:
        """How far [r] that is below the best y."""
        best: Array = self.y.values[(self.y_sizes > 0).argmax(axis=0)]
        return best - self.best_truth()

    def best_percentile(self) -> Array:
        """Percent [r] of items whose y is not above that of the best x."""
        above = np.cumsum(self.y_sizes, axis=0) - self.y_sizes
        return self.of_predicted_best((100 * (self.n - above) / self.n)[self.y.code])


def _merge(
    ranks: Indices, counts: NDArray[np.float32], width: int, total: NDArray[np.float32]
) -> None:
    """Add to total [n, r] what each item of a half has in the other half of its block.

    Items stand in the order of x, in blocks of two halves of `width`; ranks [n] are their levels of
    y. A partner in the other half counts 1 where both orders agree and -1 where they do not.
    """
    n = len(ranks)
    block = np.arange(n) // (2 * width)
    by_y = np.lexsort((ranks, block))
    y, b = ranks[by_y], block[by_y]
    # Runs of one block and level, first .. last in `by_y`: what ties in y counts for neither side.
    new = np.flatnonzero(np.r_[True, (y[1:] != y[:-1]) | (b[1:] != b[:-1])])
    run = np.repeat(np.arange(len(new)), np.diff(np.append(new, n)))
    first, last = new[run], np.append(new[1:], n)[run]
    start, end = b * 2 * width, np.minimum((b + 1) * 2 * width, n)
    left = by_y % (2 * width) < width
    for half, sign in ((left, 1), (~left, -1)):
        sums = np.zeros((n + 1, counts.shape[1]), np.float32)
        before = sums[0]
        for row, item, counted in zip(sums[1:], by_y.tolist(), half.tolist(), strict=True):
            if counted:
                np.add(before, counts[item], out=row)
            else:
                row[:] = before
            before = row
        other = np.flatnonzero(~half)
        # Partners of lower level less those of higher: (first - start) - (end - last).
        below = sums[first[other]] + sums[last[other]] - sums[start[other]] - sums[end[other]]
        # For the right half a partner of lower level is concordant, as it also comes earlier in x;
        # for the left half it is discordant.
        if sign > 0:
            total[by_y[other]] += below
        else:
            total[by_y[other]] -= below


class _Pairs:
    """Predicted and true values, and the figures asked of them by name."""

    def __init__(self, x: Array, y: Array, top: tuple[float, ...], k: int) -> None:
        self.x, self.y = _Levels(x), _Levels(y)
        self.figures: dict[str, Callable[[_Counted], Array]] = {
            "kendall_tau": lambda c: c.tau,
            "spearman": _Counted.spearman,
            "pearson": _Counted.pearson,
            "weighted_tau": _Counted.weighted_tau,
            **{f"tau_top{100 * f:g}": partial(_Counted.tau_of_best, fraction=f) for f in top},
            f"precision_at_{k}": partial(_Counted.precision, k=k),
            "best_predicted_truth": _Counted.best_truth,
            "best_predicted_regret": _Counted.best_regret,
            "best_predicted_percentile": _Counted.best_percentile,
        }

    def evaluate(self, counts: Array) -> dict[str, Array]:
        """Return every figure [r] under counts [n, r]."""
        counted = _Counted(self.x, self.y, counts)
        return {name: figure(counted) for name, figure in self.figures.items()}


def _ratio(above: Array, below: Array) -> Array:
    """Return the coefficients above / below, NaN where nothing is below."""
    out = np.full(above.shape, math.nan)
    np.divide(above, below, out=out, where=below > 0)
    np.clip(out, -1.0, 1.0, out=out)  # beyond by rounding only
    return out
