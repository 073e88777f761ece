"""Rank correlation against scipy, sample by sample, and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.analysis import rank_correlation as module
from nasbench_evo.analysis.rank_correlation import rank_correlation
from nasbench_evo.analysis.statistics import StatisticsWarning
from nasbench_evo.errors import InputError

CORRELATIONS = {
    "kendall_tau": lambda x, y: scipy.stats.kendalltau(x, y).statistic,
    "spearman": lambda x, y: scipy.stats.spearmanr(x, y).statistic,
    "pearson": lambda x, y: scipy.stats.pearsonr(x, y).statistic,
    "weighted_tau": lambda x, y: scipy.stats.weightedtau(x, y).statistic,
}


def sample(n: int, decimals: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two correlated samples, with ties when few decimals are kept."""
    rng = np.random.default_rng(seed)
    y = rng.normal(90, 2, n)
    return (y + rng.normal(0, 1.5, n)).round(decimals), y.round(decimals)


def best(x: np.ndarray, y: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """What tau among the best by truth is the tau of."""
    last = np.sort(y)[::-1][math.ceil(fraction * len(y)) - 1]
    return x[y >= last], y[y >= last]


def evaluate(x, y, **options):
    """The figures without intervals."""
    return rank_correlation(x, y, bootstrap=0, rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize("n", [3, 10, 120])
@pytest.mark.parametrize("decimals", [0, 6])
def test_coefficients_equal_scipys(n, decimals):
    x, y = sample(n, decimals)
    got = evaluate(x, y, top=(0.5, 1.0), k=2)
    for name, f in CORRELATIONS.items():
        assert got[name].estimate == pytest.approx(f(x, y)), name
    assert got["tau_top100"] == got["kendall_tau"]
    if n > 3:
        top_half = scipy.stats.kendalltau(*best(x, y, 0.5)).statistic
        assert got["tau_top50"].estimate == pytest.approx(top_half)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_every_resample_equals_scipy_on_the_repeated_sample(decimals, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 4)  # several levels of merging
    x, y = sample(30, decimals)
    pairs = module._Pairs(x, y, (0.5, 0.1), 5)
    drawn = np.random.default_rng(1).integers(0, 30, (12, 30))
    counts = np.stack([np.bincount(d, minlength=30) for d in drawn], axis=1).astype(float)
    figures = pairs.evaluate(counts)
    for r, d in enumerate(drawn):
        for name, f in CORRELATIONS.items():
            assert figures[name][r] == pytest.approx(f(x[d], y[d])), name
        top_half = scipy.stats.kendalltau(*best(x[d], y[d], 0.5)).statistic
        assert figures["tau_top50"][r] == pytest.approx(top_half)
        alone = evaluate(x[d], y[d], top=(), k=5)
        for name in ("precision_at_5", "best_predicted_truth", "best_predicted_regret"):
            assert figures[name][r] == pytest.approx(alone[name].estimate), name
        tied_best = y[d][x[d] == x[d].max()]
        percentile = np.mean([scipy.stats.percentileofscore(y[d], t, "weak") for t in tied_best])
        assert figures["best_predicted_percentile"][r] == pytest.approx(percentile)


def test_figures_by_hand():
    x = [0.9, 0.8, 0.7, 0.6, 0.5]
    y = [80.0, 90.0, 70.0, 95.0, 60.0]
    got = evaluate(x, y, top=(0.6,), k=2)
    assert got.n == 5
    # Of the 10 pairs four are discordant: 80-90, 80-95, 90-95 and 70-95.
    assert got["kendall_tau"].estimate == pytest.approx((6 - 4) / 10)
    assert got["tau_top60"].estimate == pytest.approx(-1.0)  # 95, 90, 80: all three discordant
    assert got["precision_at_2"].estimate == 0.5  # {80, 90} and {90, 95} share one
    assert got["best_predicted_truth"].estimate == 80.0
    assert got["best_predicted_regret"].estimate == 15.0
    assert got["best_predicted_percentile"].estimate == 60.0


def test_ties_are_expectations_not_the_order_of_the_input():
    # The predicted best is any of the first two; the second place among two of truth 3.
    got = evaluate([5, 5, 1, 0], [4, 3, 3, 0], top=(), k=1)
    assert got["precision_at_1"].estimate == 0.5
    assert got["best_predicted_truth"].estimate == 3.5
    assert got["best_predicted_regret"].estimate == 0.5
    assert got["best_predicted_percentile"].estimate == (100 + 75) / 2


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=8).filter(
        lambda p: len({x for x, _ in p}) > 1 and len({y for _, y in p}) > 1
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("ignore::nasbench_evo.analysis.statistics.StatisticsWarning")
def test_order_of_input_does_not_matter_and_scale_of_prediction_neither(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    before = evaluate(*np.transpose(pairs).astype(float), k=2)
    x, y = np.transpose(shuffled).astype(float)
    after = evaluate(7 * x - 3, y, k=2)
    for name, interval in before.figures.items():
        assert after[name] == pytest.approx(interval, nan_ok=True), name
    flat = [v for v in after.to_json().values() if v is not None]
    assert all(math.isfinite(v) for v in flat)


def test_a_perfect_and_a_reversed_prediction():
    y = np.arange(200.0)
    same, reversed_ = evaluate(y, y), evaluate(-y, y)
    for name in ("kendall_tau", "spearman", "pearson", "weighted_tau", "tau_top50", "tau_top1"):
        assert same[name].estimate == 1.0
        assert reversed_[name].estimate == -1.0
    assert same["precision_at_10"].estimate == 1.0
    assert reversed_["precision_at_10"].estimate == 0.0
    assert same["best_predicted_regret"].estimate == 0.0
    assert reversed_["best_predicted_percentile"].estimate == 0.5


def test_intervals_are_the_percentiles_of_resampled_scipy_values():
    x, y = sample(40, 1)
    got = rank_correlation(
        x, y, top=(), bootstrap=200, confidence=0.8, rng=np.random.default_rng(3)
    )
    drawn = np.random.default_rng(3).integers(0, 40, (200, 40))
    for name, f in CORRELATIONS.items():
        low, high = np.quantile([f(x[d], y[d]) for d in drawn], [0.1, 0.9])
        assert (got[name].low, got[name].high) == pytest.approx((low, high)), name
        assert got[name].low < got[name].estimate < got[name].high


def test_record_has_the_documented_keys_and_is_strict_json():
    x, y = sample(300, 2)
    record = rank_correlation(x, y, bootstrap=50, rng=np.random.default_rng(0)).to_json()
    names = ["kendall_tau", "spearman", "pearson", "weighted_tau", "tau_top50", "tau_top10"]
    names += ["tau_top1", "precision_at_10", "best_predicted_truth", "best_predicted_regret"]
    names += ["best_predicted_percentile"]
    expected = {"n"} | {name + suffix for name in names for suffix in ("", "_low", "_high")}
    assert set(record) == expected
    assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "constant"),
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], "constant"),
        ([1.0, math.nan, 3.0], [1.0, 2.0, 3.0], "NaN or infinity"),
        ([1.0, 2.0, 3.0], [1.0, math.inf, 3.0], "NaN or infinity"),
    ],
)
def test_input_that_cannot_be_ranked_gives_nan_and_a_warning(x, y, match):
    with pytest.warns(StatisticsWarning, match=match):
        got = evaluate(x, y)
    assert all(np.isnan(interval).all() for interval in got.figures.values())
    record = got.to_json()
    assert record["n"] == 3
    assert record["kendall_tau"] is None


def test_figures_that_n_is_too_small_for_are_nan_and_named():
    x, y = sample(9, 6)
    with pytest.warns(StatisticsWarning, match="9 genotypes.*tau_top10, tau_top1, precision_at_10"):
        got = evaluate(x, y)
    assert math.isnan(got["precision_at_10"].estimate)
    assert not math.isnan(got["tau_top50"].estimate)


def test_resamples_in_which_a_figure_is_undefined_are_left_out_of_its_interval():
    # A quarter of the resamples of 3 with two equal predictions are constant.
    got = rank_correlation(
        [1.0, 1.0, 2.0], [1.0, 2.0, 3.0], top=(), k=1, bootstrap=300, rng=np.random.default_rng(0)
    )
    assert np.isfinite(got["kendall_tau"]).all()


@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        ([1.0, 2.0], [1.0, 2.0], {}),
        ([1.0, 2.0, 3.0], [1.0, 2.0], {}),
        ([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]], {}),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], {"top": (10,)}),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], {"k": 0}),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], {"confidence": 95}),
    ],
)
def test_bad_input_is_refused(x, y, options):
    with pytest.raises(InputError):
        evaluate(x, y, **options)
