"""How well shared weights rank, as sections of a page: tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nasbench_evo.analysis.rank_correlation import RankCorrelation
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.labels import short_labels
from nasbench_evo.results.ranking import Ranking, retest_reference
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.suite import Suite

_MOST_EPOCHS = 4  # of a search in the table
_HEAD = ("row", "data set", "runs", "epoch", "Kendall's tau-b", "Spearman", "tau-b, best 10%")


def sections(suite: Suite, rankings: Sequence[Ranking], paired: Sequence[str]) -> list[Section]:
    """Return the section of the rankings and that of what they led to; none without data."""
    found = []
    if rankings:
        labels = short_labels([ranking.unit.row for ranking in rankings])
        lines = [
            line
            for label, ranking in zip(labels, rankings, strict=True)
            for line in _lines(label, ranking)
        ]
        table = (_HEAD, *lines)
        found.append(Section("Ranking with shared weights", (), _said(suite), table))
    if paired:
        found.append(Section("Searched with shared weights and on the table", (), tuple(paired)))
    return found


def _lines(label: str, ranking: Ranking) -> list[tuple[str, ...]]:
    """Return a few epochs of a search, evenly spread, the last among them."""
    epochs = [epoch for epoch, _ in ranking.curves[0]]
    chosen = np.linspace(0, len(epochs) - 1, min(len(epochs), _MOST_EPOCHS)).round().astype(int)
    lines = []
    for i in chosen.tolist():
        of_runs = [curve[i][1] for curve in ranking.curves]
        names = ("kendall_tau", "spearman", "tau_top10")
        figures = [_mean(of_runs, name) for name in names]
        head = (label, ranking.unit.dataset, str(len(of_runs)), str(epochs[i]))
        lines.append((*head, *figures))
    return lines


def _mean(of_runs: Sequence[RankCorrelation], name: str) -> str:
    """Return the mean over runs with its interval; of one run the interval over genotypes."""
    values = [run[name].estimate for run in of_runs]
    if not all(map(math.isfinite, values)):
        return "undefined"
    if len(of_runs) == 1:
        mean, low, high = of_runs[0][name]
    else:
        ((mean, low, high),) = mean_intervals([np.array(values)])
    mean, low, high = (round(value, 2) + 0.0 for value in (mean, low, high))  # no "-0.00"
    return f"{mean:.2f}" + ("" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _said(suite: Suite) -> tuple[str, ...]:
    """Return how to read the table, and the most that a ranking could reach."""
    said = [
        "Agreement of the accuracy with shared weights and the standalone one over a sample of "
        "architectures: 1 is the same order, 0 none. Means over runs with the 95% bootstrap "
        "interval of that mean; of a single run the interval over architectures."
    ]
    for dataset in suite.datasets:
        reference = retest_reference(suite, dataset)
        if reference is not None:
            tau = reference["kendall_tau"]
            said.append(
                f"{dataset}: two standalone trainings of the same architectures agree with tau-b "
                f"{tau.estimate:.2f} [{tau.low:.2f}, {tau.high:.2f}] (n={reference.n}): the "
                "retest reference, no upper limit."
            )
    return tuple(said)
