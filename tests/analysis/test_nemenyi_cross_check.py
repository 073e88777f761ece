"""Friedman and Nemenyi against scikit-posthocs 0.17.1 (posthoc_nemenyi_friedman), run once."""

from __future__ import annotations

import numpy as np
import pytest

from nasbench_evo.analysis.statistics import friedman_nemenyi

SCORES = np.random.default_rng(3).normal(size=(20, 5)).round(1) + np.arange(5) * 0.5
THEIR_P = {  # of the difference between two methods; lower scores are better
    (0, 1): 0.433878,
    (0, 2): 0.019411,
    (1, 2): 0.659759,
    (1, 3): 0.115233,
    (1, 4): 0.026376,
    (2, 3): 0.831916,
    (2, 4): 0.497325,
}


@pytest.mark.parametrize("pair", THEIR_P)
def test_the_critical_difference_at_their_p_is_the_pairs_difference(pair: tuple[int, int]) -> None:
    a, b = pair
    ours = friedman_nemenyi(SCORES, alpha=THEIR_P[pair])
    difference = abs(ours.average_ranks[a] - ours.average_ranks[b])
    assert ours.critical_difference == pytest.approx(difference, abs=1e-5)


def test_friedman_is_theirs() -> None:
    ours = friedman_nemenyi(SCORES)
    assert ours.average_ranks.tolist() == pytest.approx([1.65, 2.5, 3.175, 3.7, 3.975])
    assert ours.statistic == pytest.approx(28.636363636)
    assert ours.p == pytest.approx(9.2661615e-06)
