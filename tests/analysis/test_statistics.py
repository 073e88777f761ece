"""Statistics against scipy, hand-computed cases and published examples."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.analysis import bootstrap
from nasbench_evo.analysis.statistics import (
    StatisticsWarning,
    bootstrap_interval,
    bootstrap_intervals,
    friedman_nemenyi,
    holm,
    iqm,
    mann_whitney,
    paired_difference_interval,
    probability_of_improvement,
    wilson_interval,
)
from nasbench_evo.errors import InputError

STATISTICS = {
    "mean": np.mean,
    "median": np.median,
    "iqm": lambda x, axis=-1: scipy.stats.trim_mean(x, 0.25, axis=axis),
}
# AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets (Demšar 2006, Table 6). In the row before
# the last it prints 0.975 twice but ranks the third method before the fourth: hence 0.9751.
DEMSAR = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975],
    [0.957, 0.978, 0.946, 0.970],
]


def regrets(n: int, seed: int = 0) -> np.ndarray:
    """Skewed values with ties and zeros, as final regrets are."""
    return np.random.default_rng(seed).exponential(size=n).round(1)


@pytest.mark.parametrize("n", [2, 5, 20, 41, 300])
@pytest.mark.parametrize("name", STATISTICS)
def test_interval_equals_scipys_bca_from_the_same_draws(name, n):
    x = np.random.default_rng(n).exponential(1000.0, size=n).round()  # whole, so sums are exact
    ours = bootstrap_interval(x, name, resamples=500, rng=np.random.default_rng(7))
    theirs = scipy.stats.bootstrap(
        (x,), STATISTICS[name], n_resamples=500, method="BCa", rng=np.random.default_rng(7)
    ).confidence_interval
    assert ours.estimate == pytest.approx(float(STATISTICS[name](x)))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(
    ("name", "method"), [("mean", "BCa"), ("iqm", "BCa"), ("median", "percentile")]
)
@pytest.mark.parametrize("confidence", [0.5, 0.99])
def test_interval_with_ties_equals_scipys(name, method, confidence):
    x = 10 * regrets(60)  # no single run moves its median: where BCa is undefined
    ours = bootstrap_interval(x, name, confidence=confidence, rng=np.random.default_rng(1))
    theirs = scipy.stats.bootstrap(
        (x,),
        STATISTICS[name],
        n_resamples=2000,
        confidence_level=confidence,
        method=method,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("name", STATISTICS)
def test_rows_share_their_resamples_and_equal_single_calls(name):
    rows = np.stack([regrets(50, seed) for seed in range(4)])
    together = bootstrap_intervals(rows, name, rng=np.random.default_rng(3))
    alone = [bootstrap_interval(row, name, rng=np.random.default_rng(3)) for row in rows]
    assert np.allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("n", [2, 3, 4, 7, 8])
def test_jackknife_equals_leaving_each_out(name, n):
    x = regrets(n, seed=5)
    estimate, left_out = bootstrap.estimate_and_jackknife(x[np.newaxis], name)
    each = [STATISTICS[name](np.delete(x, i)) for i in range(n)]
    assert estimate[0] == pytest.approx(STATISTICS[name](x))
    assert left_out[0] == pytest.approx(each)


@pytest.mark.parametrize("name", STATISTICS)
def test_resampled_statistic_equals_the_statistic_of_each_resample(name, monkeypatch):
    x = np.stack([regrets(9), np.arange(9.0)])
    drawn = np.random.default_rng(2).integers(0, 9, (40, 9))
    expected = STATISTICS[name](x[:, drawn], axis=-1)
    got = bootstrap.resampled(x, name, 40, np.random.default_rng(2))
    assert got == pytest.approx(expected)
    monkeypatch.setattr(bootstrap, "_CELLS", 27)  # three resamples a block, the last has one
    in_blocks = bootstrap.resampled(x, name, 40, np.random.default_rng(2))
    assert in_blocks == pytest.approx(expected)


def test_counts_use_a_type_that_holds_them():
    for n in (255, 256, 300):
        counts = np.concatenate(
            list(bootstrap.resample_counts(n, 3, np.random.default_rng(0))), axis=1
        )
        assert counts.shape == (n, 3)
        sums = bootstrap.running_sums(counts, np.arange(n))
        assert (sums[-1] == n).all()


@given(
    st.lists(st.integers(0, 6).map(float), min_size=2, max_size=12).filter(
        lambda x: len(set(x)) > 1
    ),
    st.sampled_from(["mean", "median", "iqm"]),
)
@settings(max_examples=40, deadline=None)
def test_interval_lies_in_the_data_and_moves_with_it(values, name):
    x = np.array(values)
    got = bootstrap_interval(x, name, resamples=99, rng=np.random.default_rng(0))
    moved = bootstrap_interval(4 * x + 3, name, resamples=99, rng=np.random.default_rng(0))
    assert x.min() <= got.low <= got.high <= x.max()
    assert moved == pytest.approx([4 * v + 3 for v in got])


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    rows = rng.exponential(size=(400, 60))
    draws = [bootstrap_interval(row, resamples=400, rng=rng) for row in rows]
    covered = sum(i.low <= 1.0 <= i.high for i in draws)
    assert 0.90 <= covered / 400 <= 0.98  # nominal 0.95, standard error 0.011


def test_constant_values_give_no_width_and_a_warning():
    rows = [[0.0] * 8, [1.0, 2, 3, 4, 5, 6, 7, 8]]
    with pytest.warns(StatisticsWarning, match="1 of 2 rows are constant"):
        zero, spread = bootstrap_intervals(rows, rng=np.random.default_rng(0))
    assert zero == (0.0, 0.0, 0.0)
    assert spread.low < 4.5 < spread.high
    with pytest.warns(StatisticsWarning, match="constant"):
        assert bootstrap_interval([3.0], "iqm", rng=np.random.default_rng(0)) == (3.0, 3.0, 3.0)


def test_median_that_no_run_moves_falls_back_to_percentiles():
    x = [0.0] * 30 + [5.0, 6.0]
    assert bootstrap_interval(x, "median", rng=np.random.default_rng(0)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_give_nan_and_a_warning(bad):
    rng = np.random.default_rng(0)
    with pytest.warns(StatisticsWarning, match="1 of 2 rows hold NaN"):
        first, second = bootstrap_intervals([[1.0, bad], [1.0, 2.0]], rng=rng)
    assert np.isnan(first).all()
    assert second.estimate == 1.5
    with pytest.warns(StatisticsWarning):
        assert np.isnan(paired_difference_interval([1.0, bad], [1.0, 2.0], rng=rng)).all()
    with pytest.warns(StatisticsWarning):
        assert math.isnan(mann_whitney([1.0, bad], [1.0, 2.0]))
    with pytest.warns(StatisticsWarning):
        assert math.isnan(probability_of_improvement([1.0], [bad, 2.0]))
    with pytest.warns(StatisticsWarning):
        assert np.isnan(friedman_nemenyi([[1.0, bad], [1.0, 2.0]]).average_ranks).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda rng: bootstrap_interval([], rng=rng),
        lambda rng: bootstrap_interval([[1.0, 2.0]], rng=rng),
        lambda rng: bootstrap_interval([1.0, 2.0], confidence=95, rng=rng),
        lambda rng: bootstrap_interval([1.0, 2.0], resamples=0, rng=rng),
        lambda rng: bootstrap_interval([1.0, 1.0], "mode", rng=rng),
        lambda rng: paired_difference_interval([1.0, 2.0], [1.0], rng=rng),
        lambda rng: wilson_interval(3, 2),
        lambda rng: wilson_interval(0, 0),
        lambda rng: holm([0.5, 1.5]),
        lambda rng: friedman_nemenyi([[1.0, 2.0]]),
        lambda rng: friedman_nemenyi([[1.0, 2.0]] * 3, alpha=5),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InputError):
        call(np.random.default_rng(0))


def test_paired_difference_equals_scipys_paired_bca():
    a, b = np.random.default_rng(0).exponential(size=(2, 40))
    for name, f in STATISTICS.items():
        ours = paired_difference_interval(
            a, b + a, name, resamples=500, rng=np.random.default_rng(7)
        )
        theirs = scipy.stats.bootstrap(
            (a, b + a),
            lambda x, y, axis=-1, f=f: f(x, axis=axis) - f(y, axis=axis),
            n_resamples=500,
            paired=True,
            rng=np.random.default_rng(7),
        ).confidence_interval
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_paired_difference_keeps_pairs_together():
    a = regrets(50)
    nearly = a + np.random.default_rng(1).normal(0.1, 0.01, 50)
    got = paired_difference_interval(nearly, a, rng=np.random.default_rng(0))
    assert got.high - got.low < 0.02  # unpaired it would be about 0.8
    with pytest.warns(StatisticsWarning, match="same amount"):
        same = paired_difference_interval(a, a, "iqm", rng=np.random.default_rng(0))
    assert same == (0.0, 0.0, 0.0)


def test_iqm_by_hand_and_against_scipy():
    assert iqm([100, 1, 2, 3, -50]) == 2.0  # one of five goes at either end
    assert iqm([4.0, 0.0]) == 2.0
    assert iqm(regrets(37)) == pytest.approx(scipy.stats.trim_mean(regrets(37), 0.25))


def test_wilson_interval_by_hand_and_against_scipy():
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.0, 0.27753), abs=1e-5)
    for successes, n, level in product((0, 3, 100), (100, 250), (0.9, 0.95)):
        theirs = scipy.stats.binomtest(successes, n).proportion_ci(level, method="wilson")
        ours = wilson_interval(successes, n, confidence=level)
        assert ours == pytest.approx((successes / n, theirs.low, theirs.high))
        assert ours.low <= ours.estimate <= ours.high


def test_probability_of_improvement_by_hand():
    # Pairs: 1<2, 1<3, 3>2, 3=3: 2.5 of 4 favour a when lower is better.
    assert probability_of_improvement([1, 3], [2, 3]) == 0.625
    assert probability_of_improvement([1, 3], [2, 3], lower_is_better=False) == 0.375
    assert probability_of_improvement([0, 0], [0]) == 0.5


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
)
@settings(max_examples=40, deadline=None)
def test_probability_of_improvement_is_mann_whitneys_u(a, b):
    u = sum((x < y) + (x == y) / 2 for x, y in product(a, b))
    assert probability_of_improvement(a, b) == pytest.approx(u / (len(a) * len(b)))
    both = probability_of_improvement(a, b) + probability_of_improvement(b, a)
    assert both == pytest.approx(1.0)


def test_mann_whitney_by_hand_and_on_constant_input():
    # 3 against 3 without overlap: 1 of the 20 orders is as extreme.
    assert mann_whitney([1, 2, 3], [4, 5, 6], "less") == pytest.approx(1 / 20)
    assert mann_whitney([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 20)
    assert mann_whitney([1, 2, 3], [4, 5, 6], "greater") == pytest.approx(1.0)
    assert mann_whitney([0.0] * 9, [0.0] * 7) == 1.0
    assert mann_whitney([0.0] * 20, [1.0] * 20, "less") < 1e-8


def test_holm_by_hand():
    # 4 x 0.005, then 3 x 0.01, then max(0.03, 2 x 0.03), then max(0.06, 0.04).
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    with pytest.warns(StatisticsWarning, match="1 of 3"):
        adjusted = holm([0.01, math.nan, 0.5])
    assert adjusted[[0, 2]] == pytest.approx([0.03, 1.0])
    assert math.isnan(adjusted[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_holm_rejects_what_the_step_down_procedure_rejects(p):
    rejected = set()
    for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if (len(p) - step) * p[i] > 0.05:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p) <= 0.05).tolist()) == rejected


def test_friedman_nemenyi_on_demsars_example():
    got = friedman_nemenyi(DEMSAR, lower_is_better=False)
    assert got.average_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert got.critical_difference == pytest.approx(1.25, abs=0.005)
    at_10 = friedman_nemenyi(DEMSAR, lower_is_better=False, alpha=0.1)
    assert at_10.critical_difference == pytest.approx(1.12, abs=0.005)
    theirs = scipy.stats.friedmanchisquare(*np.transpose(DEMSAR))
    assert (got.statistic, got.p) == pytest.approx((theirs.statistic, theirs.pvalue))


# q / sqrt(2) at 0.05 (Demšar 2006, Table 5a).
@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_difference_uses_the_tabled_quantiles(k, q):
    scores = np.random.default_rng(0).random((6, k))
    expected = q * math.sqrt(k * (k + 1) / 36)
    assert friedman_nemenyi(scores).critical_difference == pytest.approx(expected, abs=1e-3)


def test_friedman_of_full_ties_is_undefined():
    with pytest.warns(StatisticsWarning, match="full tie"):
        got = friedman_nemenyi([[1.0, 1.0, 1.0]] * 4)
    assert got.average_ranks.tolist() == [2.0, 2.0, 2.0]
    assert math.isnan(got.statistic)
    assert math.isnan(got.p)


def test_importing_the_module_does_not_import_scipy():
    code = "import sys, nasbench_evo.analysis.statistics; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
