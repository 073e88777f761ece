"""Our statistics against scipy, statsmodels and scikit-posthocs on the same data."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from nasbench_evo.analysis import statistics
from nasbench_evo.errors import InputError

RNG = np.random.default_rng(3)
A, B = RNG.normal(size=25).round(1), RNG.normal(0.4, size=31).round(1)  # rounded: with ties
SCORES = np.random.default_rng(3).normal(size=(20, 5)).round(1) + np.arange(5) * 0.5


def test_one_stratum_is_scipys_mann_whitney() -> None:
    p, test = statistics.stratified_improvement([(A, B)])
    theirs = scipy.stats.mannwhitneyu(A, B, method="asymptotic", use_continuity=False)
    assert p == pytest.approx(1 - theirs.statistic / (len(A) * len(B)))
    assert test == pytest.approx(theirs.pvalue)


def test_strata_are_averaged_and_their_evidence_is_joined() -> None:
    p, test = statistics.stratified_improvement([(A, B), (A, B), (A, B)])
    single = statistics.stratified_improvement([(A, B)])
    assert p == pytest.approx(single[0])
    z = scipy.stats.norm.isf(single[1] / 2)
    assert test == pytest.approx(2 * scipy.stats.norm.sf(z * 3**0.5))
    assert statistics.stratified_improvement([(A, B), (B, A)]) == pytest.approx((0.5, 1.0))
    assert statistics.stratified_improvement([([1, 1], [1, 1])]) == (0.5, 1.0)
    assert statistics.stratified_improvement([(A, B)], lower_is_better=False)[0] == 1 - p
    with pytest.raises(InputError, match="one stratum"):
        statistics.stratified_improvement([])


def test_shares_are_counts_with_wilsons_interval() -> None:
    found = statistics.shares_at_most([3.0, 1.0, 2.0, 2.0], [0.5, 2.0, 9.0])
    assert found[:, 0].tolist() == [0, 0.75, 1]
    assert tuple(found[1]) == statistics.wilson_interval(3, 4)


def test_friedman_is_scipys() -> None:
    ours, theirs = statistics.friedman_nemenyi(SCORES), scipy.stats.friedmanchisquare(*SCORES.T)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_holm_and_wilson_are_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels: extra dev")
    from statsmodels.stats.proportion import proportion_confint

    p = RNG.uniform(size=12) ** 3
    assert statistics.holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    for count, n in ((0, 7), (3, 20), (20, 20)):
        theirs = proportion_confint(count, n, method="wilson")
        assert statistics.wilson_interval(count, n)[1:] == pytest.approx(theirs, abs=1e-12)


def test_nemenyi_is_scikit_posthocs() -> None:
    """The critical difference at their p of a pair is the pair's difference."""
    posthocs = pytest.importorskip("scikit_posthocs", reason="scikit-posthocs: extra dev")
    theirs = posthocs.posthoc_nemenyi_friedman(SCORES).to_numpy()
    for a, b in ((0, 1), (0, 2), (1, 3), (2, 4)):
        ours = statistics.friedman_nemenyi(SCORES, alpha=float(theirs[a, b]))
        difference = abs(ours.average_ranks[a] - ours.average_ranks[b])
        assert ours.critical_difference == pytest.approx(difference, abs=1e-5)
