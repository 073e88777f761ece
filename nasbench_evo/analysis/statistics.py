"""Intervals, tests and summaries of independent runs: one function each, no global randomness.

scipy.stats takes most of a second to import, so the functions that need it import it themselves.
Values that cannot be judged (not finite, or all the same where spread is what is asked about) give
a `StatisticsWarning` and an answer that cannot be mistaken for a measured one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nasbench_evo.analysis import bootstrap
from nasbench_evo.analysis.bootstrap import Array, Statistic
from nasbench_evo.errors import InputError

Alternative = Literal["two-sided", "less", "greater"]


class StatisticsWarning(UserWarning):
    """The data cannot carry the statistic asked for; the answer is NaN or has no width."""


class Interval(NamedTuple):
    """A point estimate with its confidence interval; all NaN when undefined."""

    estimate: float
    low: float
    high: float


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with `<name>`, `<name>_low` and `<name>_high` for each interval."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Interval):
            parts = zip(("", "_low", "_high"), value, strict=True)
            found |= {name + suffix: part for suffix, part in parts}
        else:
            found[name] = value
    return found


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def _point(value: float) -> Interval:
    """Return the interval of no width at `value`."""
    return Interval(float(value), float(value), float(value))


def caution(message: str) -> None:
    """Warn the caller's caller that `message` limits what its result means."""
    warnings.warn(message, StatisticsWarning, stacklevel=3)


def _matrix(values: ArrayLike, name: str, ndim: int = 2) -> Array:
    """Return values as floats after checking that they are a non-empty array of `ndim` axes."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != ndim or x.size == 0:
        raise InputError(
            f"{name}: expected a non-empty array with {ndim} axes, one value a run; got {x.shape}."
        )
    return x


def _sample(values: ArrayLike, name: str) -> Array:
    """Return values as a non-empty vector of floats."""
    return _matrix(values, name, ndim=1)


def _check(confidence: float, resamples: int = 1, statistic: Statistic = "mean") -> None:
    """Refuse what no interval can be made of."""
    if not 0 < confidence < 1 or resamples < 1:
        asked = f"confidence={confidence}, resamples={resamples}"
        raise InputError(f"Expected 0 < confidence < 1 (95% is 0.95), resamples >= 1; got {asked}.")
    bootstrap.window(statistic, 1)  # raises on a name that is not known


def iqm(values: ArrayLike) -> float:
    """Return the interquartile mean of values [n]: without the lowest and highest int(n/4).

    As in Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice", section 4.3.
    """
    x = _sample(values, "values")
    low, high = bootstrap.window("iqm", len(x))
    return float(np.sort(x)[low:high].mean())


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic = "mean",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator,
) -> Interval:
    """Return the statistic of values [n] and its bootstrap interval (see `bootstrap_intervals`)."""
    x = _sample(values, "values")
    return bootstrap_intervals(
        x[np.newaxis], statistic, confidence=confidence, resamples=resamples, rng=rng
    )[0]


def bootstrap_intervals(
    values: ArrayLike,
    statistic: Statistic = "mean",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator,
) -> list[Interval]:
    """Return k intervals for values [k, n], every row resampled with the same draws of runs.

    Bias-corrected and accelerated (Efron 1987); where that is undefined (all resamples on one side
    of the estimate, or no single run changes the estimate) it is the percentile interval. Rows
    that are constant get an interval of no width and rows that are not finite get NaN, both with a
    `StatisticsWarning`. Raises InputError for an empty array or parameters out of range.
    """
    rows = _matrix(values, "values")
    _check(confidence, resamples, statistic)
    finite = np.isfinite(rows).all(axis=1)
    constant = finite & (rows == rows[:, :1]).all(axis=1)
    if not finite.all():
        caution(f"{int((~finite).sum())} of {len(rows)} rows hold NaN or infinity: interval NaN.")
    if constant.any():
        caution(f"{int(constant.sum())} of {len(rows)} rows are constant: interval of no width.")
    out = [_point(row[0]) if c else UNDEFINED for row, c in zip(rows, constant, strict=True)]
    spread = np.flatnonzero(finite & ~constant)
    if len(spread):
        x = rows[spread]
        estimate, left_out = bootstrap.estimate_and_jackknife(x, statistic)
        boot = bootstrap.resampled(x, statistic, resamples, rng)
        for j, i in enumerate(spread.tolist()):
            limits = bootstrap.bca_limits(
                estimate[j], boot[j], left_out[j], confidence, (x[j].min(), x[j].max())
            )
            out[i] = Interval(float(estimate[j]), *limits)
    return out


def paired_difference_interval(
    a: ArrayLike,
    b: ArrayLike,
    statistic: Statistic = "mean",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator,
) -> Interval:
    """Return statistic(a) - statistic(b) for a [n], b [n] and its interval, pairs kept together.

    The same method as `bootstrap_intervals`; a difference that is the same in every pair gives no
    width and values that are not finite give NaN, with a `StatisticsWarning`. Raises InputError.
    """
    x, y = _sample(a, "a"), _sample(b, "b")
    if x.shape != y.shape:
        raise InputError(f"Pairs need as many a as b, got {len(x)} and {len(y)}; match the seeds.")
    _check(confidence, resamples, statistic)
    pair = np.stack([x, y])
    if not np.isfinite(pair).all():
        caution("The pairs hold NaN or infinity: interval NaN.")
        return UNDEFINED
    # its resamples differ by rounding only
    if (x - y == x[0] - y[0]).all():
        caution("Every pair differs by the same amount: interval of no width.")
        return _point(x[0] - y[0])
    estimate, left_out = bootstrap.estimate_and_jackknife(pair, statistic)
    boot = bootstrap.resampled(pair, statistic, resamples, rng)
    low, high = pair.min(axis=1), pair.max(axis=1)
    difference = float(estimate[0] - estimate[1])
    limits = bootstrap.bca_limits(
        difference,
        boot[0] - boot[1],
        left_out[0] - left_out[1],
        confidence,
        # the lowest and the highest difference that any resample can have
        (low[0] - high[1], high[0] - low[1]),
    )
    return Interval(difference, *limits)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return the share successes / n with its score interval (Wilson 1927). Raises InputError."""
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"A share is of counts, 0 <= successes <= n; got {successes} of {n}.")
    _check(confidence)
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # Rounding must not push the ends past the estimate at 0 of n and n of n.
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def probability_of_improvement(
    a: ArrayLike, b: ArrayLike, *, lower_is_better: bool = True
) -> float:
    """Return the probability that a run of a [n] beats a run of b [m], a tie counting one half.

    It is Mann-Whitney's U / (n m). Values that are not finite give NaN with a `StatisticsWarning`.
    """
    x, y = _sample(a, "a"), np.sort(_sample(b, "b"))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        caution("The samples hold NaN or infinity: probability NaN.")
        return math.nan
    # their mean counts ties half
    below, up_to = np.searchsorted(y, x, "left"), np.searchsorted(y, x, "right")
    beaten_when_higher = int(below.sum() + up_to.sum()) / (2 * len(x) * len(y))
    return 1.0 - beaten_when_higher if lower_is_better else beaten_when_higher


def mann_whitney(a: ArrayLike, b: ArrayLike, alternative: Alternative = "two-sided") -> float:
    """Return the p value of the Mann-Whitney test of a [n] against b [m].

    "less" asks whether a tends to be smaller than b. If all n + m values are equal there is
    nothing to rank and p is 1; values that are not finite give NaN with a `StatisticsWarning`.
    """
    x, y = _sample(a, "a"), _sample(b, "b")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        caution("The samples hold NaN or infinity: p NaN.")
        return math.nan
    if (x == x[0]).all() and (y == x[0]).all():
        return 1.0
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(x, y, alternative=alternative).pvalue)


def stratified_improvement(
    strata: Sequence[tuple[ArrayLike, ArrayLike]], *, lower_is_better: bool = True
) -> tuple[float, float]:
    """Return the mean over strata of the probability that a run of a beats one of b, and its p.

    Strata are data sets, each (a [n], b [m]). Agarwal et al. 2021, section 4.3; p is that of the
    stratified Mann-Whitney test (van Elteren 1960, equal weights), two-sided: the variance is that
    of equal distributions, corrected for ties, the distribution the normal one, which is rough
    below 8 runs. p is 1 where all values are equal, NaN with the probability.
    """
    shares, variance = [], 0.0
    for a, b in strata:
        share = probability_of_improvement(a, b, lower_is_better=lower_is_better)
        n, m = np.size(a), np.size(b)
        total = n + m
        _, ties = np.unique(np.concatenate([np.ravel(a), np.ravel(b)]), return_counts=True)
        tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * max(total - 1, 1))
        variance += (total + 1 - tied) / (12 * n * m)
        shares.append(share)
    if not shares:
        raise InputError("Expected one stratum or more, each (a, b); got none.")
    mean = float(np.mean(shares))
    if math.isnan(mean) or variance <= 0:
        return mean, math.nan if math.isnan(mean) else 1.0
    z = len(shares) * abs(mean - 0.5) / math.sqrt(variance)
    return mean, min(1.0, 2 * NormalDist().cdf(-z))


def shares_at_most(values: ArrayLike, thresholds: ArrayLike) -> Array:
    """Return the share of values [n] that are at most each threshold [t], with its 95% interval.

    The performance profile of Agarwal et al. 2021 (section 4.2) with Wilson's score interval:
    [t, 3], columns estimate, low, high.
    """
    x, at = np.sort(_sample(values, "values")), _sample(thresholds, "thresholds")
    counts = np.searchsorted(x, at, side="right").tolist()
    return np.array([wilson_interval(count, len(x)) for count in counts])


def holm(p: ArrayLike) -> Array:
    """Return the p values [k] adjusted for k tests by Holm's step-down method (1979).

    A NaN stays NaN, with a `StatisticsWarning`, and still counts as one of the k tests.
    """
    raw = _sample(p, "p")
    known = ~np.isnan(raw)
    if not known.all():
        caution(f"{int((~known).sum())} of {len(raw)} p values are NaN and stay NaN.")
    if ((raw[known] < 0) | (raw[known] > 1)).any():
        raise InputError(f"p values lie in 0..1, got {raw.tolist()}; pass unadjusted p values.")
    order = np.argsort(raw, kind="stable")  # NaN sorts last
    steps = (len(raw) - np.arange(len(raw))) * raw[order]
    adjusted = np.full(len(raw), math.nan)
    # step-down: no p value may come out below that of a smaller one
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


class FriedmanNemenyi(NamedTuple):
    """Average ranks [methods] (1 is best), Friedman's test, and Nemenyi's critical difference."""

    average_ranks: Array
    statistic: float
    p: float
    critical_difference: float


def friedman_nemenyi(
    scores: ArrayLike, *, lower_is_better: bool = True, alpha: float = 0.05
) -> FriedmanNemenyi:
    """Return the ranks of methods compared on the same blocks: scores [blocks, methods].

    Two methods differ at level alpha when their average ranks are further apart than the critical
    difference (Demšar 2006, section 3.2.2). The statistic is corrected for ties; it and p are NaN
    with a `StatisticsWarning` when every block is a full tie, and everything is NaN when a score
    is not finite. Raises InputError for fewer than 2 blocks or methods.
    """
    x = _matrix(scores, "scores")
    n, k = x.shape
    if n < 2 or k < 2 or not 0 < alpha < 1:
        asked = f"{n} blocks, {k} methods, alpha={alpha}"
        raise InputError(f"Expected 2 or more blocks and methods, 0 < alpha < 1; got {asked}.")
    if not np.isfinite(x).all():
        caution("The scores hold NaN or infinity: no ranks.")
        return FriedmanNemenyi(np.full(k, math.nan), math.nan, math.nan, math.nan)
    from scipy.stats import chi2, rankdata, studentized_range

    ranks = np.asarray(rankdata(x if lower_is_better else -x, axis=1), dtype=np.float64)
    q = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    difference = q * math.sqrt(k * (k + 1) / (6 * n))
    spread = float(((ranks - (k + 1) / 2) ** 2).sum()) / (k - 1)
    if spread == 0.0:
        caution("Every block is a full tie: Friedman's statistic is undefined.")
        return FriedmanNemenyi(ranks.mean(axis=0), math.nan, math.nan, difference)
    statistic = float(((ranks.sum(axis=0) - n * (k + 1) / 2) ** 2).sum()) / spread
    p = float(chi2.sf(statistic, k - 1))
    return FriedmanNemenyi(ranks.mean(axis=0), statistic, p, difference)
