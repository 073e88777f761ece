"""Resampling of runs without a loop: the arithmetic behind the intervals in `statistics`.

Mean, median and interquartile mean are all the mean of the sorted values at positions low..high-1.
A resample is a count for each run, so such a mean follows from running sums of counts: nothing is
sorted again, and rows that share their resamples share the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import unknown

Array = NDArray[np.float64]
Counts = NDArray[np.unsignedinteger[Any]]
Statistic = Literal["mean", "median", "iqm"]

_CELLS = 2_000_000  # counts held at once: 16 MB, however many runs there are
_SAME = 1e-10  # of the data's range: statistics closer than this differ by rounding only


def window(statistic: Statistic, n: int) -> tuple[int, int]:
    """Return the positions low, high of n sorted values whose mean the statistic is."""
    if statistic == "mean":
        return 0, n
    if statistic == "median":
        return (n - 1) // 2, n // 2 + 1
    if statistic == "iqm":
        return n // 4, n - n // 4
    raise unknown("statistic", statistic, ("mean", "median", "iqm"))


def resample_counts(n: int, resamples: int, rng: np.random.Generator) -> Iterator[Counts]:
    """Yield blocks [n, r] of how often each of n items is in a resample of n, `resamples` in all.

    The counts have the smallest unsigned type that holds n.
    """
    block = max(1, _CELLS // n)
    for start in range(0, resamples, block):
        r = min(block, resamples - start)
        drawn = rng.integers(0, n, (r, n))
        # Each resample counts in bins of its own: one bincount for the block.
        drawn += np.arange(0, r * n, n)[:, np.newaxis]
        counts = np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n)
        # [n, r], since sums go item by item over all resamples at once.
        yield np.ascontiguousarray(counts.astype(np.min_scalar_type(n)).T)


def running_sums(counts: Counts, order: NDArray[np.intp]) -> Counts:
    """Return the sums [n, r] of counts [n, r] over the items up to each one of `order` [n]."""
    # no sum is above n, which the type holds
    sums = np.empty_like(counts)
    before = np.zeros_like(counts[0])
    for out, item in zip(sums, order.tolist(), strict=True):
        before = np.add(before, counts[item], out=out)  # np.cumsum(counts[order], 0): 5x slower
    return sums


def resampled(rows: Array, statistic: Statistic, resamples: int, rng: np.random.Generator) -> Array:
    """Return the statistic [k, resamples] of rows [k, n], each resample shared by all rows."""
    blocks = resample_counts(rows.shape[1], resamples, rng)
    return np.concatenate([_of_counts(rows, statistic, counts) for counts in blocks], axis=1)


def _of_counts(rows: Array, statistic: Statistic, counts: Counts) -> Array:
    """Return the statistic [k, r] of rows [k, n] under counts [n, r]."""
    n = rows.shape[1]
    low, high = window(statistic, n)
    out = np.empty((len(rows), counts.shape[1]))
    if statistic == "mean":
        origin = rows[:, :1]  # sums of differences keep the rounding small beside the range
        np.matmul(rows - origin, counts.astype(np.float64), out=out)
        out /= n
        out += origin
        return out
    for i, row in enumerate(rows):
        order = np.argsort(row, kind="stable")
        x = row[order]
        taken = running_sums(counts, order)[:-1]
        # Copies up to x_j, sorted; clipped to the window it rises at j by as many copies as x_j has
        # inside.
        np.clip(taken, low, high, out=taken)
        # Sum of x_j times the number of its copies inside the window, summed by parts.
        out[i] = x[-1] - np.diff(x) @ (taken - float(low)) / (high - low)
    return out


def estimate_and_jackknife(rows: Array, statistic: Statistic) -> tuple[Array, Array]:
    """Return the statistic [k] of rows [k, n] and the statistic without each run [k, n]."""
    n = rows.shape[1]
    order = np.argsort(rows, axis=1, kind="stable")
    x = np.take_along_axis(rows, order, axis=1)
    low, high = window(statistic, n)
    estimate = x[:, low:high].mean(axis=1)
    # The window of the n - 1 others, in places of x: an end that lies behind item i is one further,
    # and item i itself is taken off where it is inside.
    low, high = window(statistic, n - 1)
    # around the estimate, so that running sums stay small and round little
    shifted = x - estimate[:, np.newaxis]
    sums = np.concatenate([np.zeros((len(x), 1)), np.cumsum(shifted, axis=1)], axis=1)
    i = np.arange(n)
    kept = sums[:, high + (i < high)] - sums[:, low + (i < low)]
    kept -= np.where((low <= i) & (i < high), shifted, 0.0)
    left_out = np.empty_like(x)
    np.put_along_axis(left_out, order, kept / (high - low) + estimate[:, np.newaxis], axis=1)
    return estimate, left_out


def bca_limits(
    estimate: float, boot: Array, left_out: Array, confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Return the limits that boot [resamples] and the jackknife left_out [n] give the estimate.

    Bias-corrected and accelerated (Efron 1987, Eq. 2.3 and 6.6). Where all resamples lie on one
    side of the estimate, or no run changes it, they are the percentile limits. `bounds` is the
    range the statistic can take; its width tells rounding from difference.
    """
    same = _SAME * (bounds[1] - bounds[0])
    # Resamples that equal the estimate count half: medians of few runs often do.
    below = float(np.mean(boot < estimate - same) + np.mean(boot <= estimate + same)) / 2
    influence = left_out.mean() - left_out
    tail = (1 - confidence) / 2
    levels = [tail, 1 - tail]
    if 0.0 < below < 1.0 and np.abs(influence).max() > same:
        normal = NormalDist()
        a = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))
        z0 = normal.inv_cdf(below)
        z = [z0 + normal.inv_cdf(level) for level in levels]
        if a * z[0] < 1 and a * z[1] < 1:  # beyond the pole the limits would swap
            levels = [normal.cdf(z0 + v / (1 - a * v)) for v in z]
    low, high = np.clip(np.quantile(boot, levels), *bounds)
    return float(low), float(high)
