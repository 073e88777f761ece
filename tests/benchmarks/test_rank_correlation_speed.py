"""All cells of two data sets with 1,000 resamples, beside SciPy's four whole-sample figures."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nasbench_evo import tables
from nasbench_evo.analysis.bootstrap import resample_counts
from nasbench_evo.analysis.rank_correlation import rank_correlation

pytestmark = pytest.mark.slow

RESAMPLES = 1000
BY_SCIPY = 10  # resamples: each is one call


def test_all_cells_and_resamples(benchmark: Any) -> None:
    table = tables.load()
    x, y = table.mean_accuracy[:2]

    def compare() -> Any:
        return rank_correlation(x, y, bootstrap=RESAMPLES, rng=np.random.default_rng(0))

    found = benchmark.pedantic(compare, rounds=1, warmup_rounds=0)
    (counts, *_) = resample_counts(len(x), BY_SCIPY, np.random.default_rng(0))
    started = time.perf_counter()
    for drawn in counts.T:
        a, b = np.repeat(x, drawn), np.repeat(y, drawn)
        for figure in (stats.kendalltau, stats.weightedtau, stats.spearmanr, stats.pearsonr):
            figure(a, b)
    single = (time.perf_counter() - started) / BY_SCIPY
    ratio = single * RESAMPLES / benchmark.stats.stats.mean
    benchmark.extra_info["scipy_over_ours"] = ratio
    print(
        f"all figures: {benchmark.stats.stats.mean:.1f} s; SciPy's four take {ratio:.1f} times that"
    )
    assert found["kendall_tau"].estimate == pytest.approx(stats.kendalltau(x, y).statistic)
    assert ratio > 1
