"""Ours beside published accuracies: match, differs, or not comparable and why.

Two figures are compared only where both searched the same way: data set, budget, and what a search
sees of a candidate. Everything that differs is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nasbench_evo import tables
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.results.columns import ResultRow
from nasbench_evo.results.published import PublishedRow, compare, load_published
from nasbench_evo.suite import Suite, rows

COLUMNS = ("data set", "published", "source", "mean", "n", "ours", "ours [95%]", "judgement", "why")
Line = tuple[str, ...]  # one text for each of COLUMNS
NOTE = (
    "Validation accuracy, percent; ours with the bootstrap 95% interval of the mean over runs. A "
    "match is a published mean inside our interval widened by the published standard error."
)
_OPTIMAL = "Optimal"  # no method: the best cell of the benchmark
_ROUNDING = 0.005  # published with two digits


def best_accuracy(suite: Suite, dataset: str) -> float:
    """Return the highest mean accuracy of a suite's data set, percent."""
    table = tables.load(suite.table)
    return float(table.best[table.row(dataset)])


def compare_all(suite: Suite, ours: Mapping[tuple[str, str], Interval]) -> list[Line]:
    """Return a line of text, in the order of COLUMNS, for each published row beside each of ours.

    `ours` has the interval of the mean validation accuracy (percent) by row label and data set.
    """
    space = tables.load(suite.table).space.name
    lines = []
    for row in load_published():
        if row.space != space or row.dataset not in suite.datasets or row.split != "valid":
            continue
        if row.method == _OPTIMAL:
            lines.append(_optimal(suite, row))
        for mine in rows(suite):
            if mine.algorithm == row.algorithm and (mine.label, row.dataset) in ours:
                why = differences(suite, row)
                interval = ours[mine.label, row.dataset]
                lines.append(_line(row, mine.label, interval, why))
    return lines


def beside(suite: Suite, summary: Sequence[ResultRow]) -> list[Line]:
    """Return the comparison of a suite's result table at its last checkpoint.

    Rows of one run have no interval and are left out.
    """
    ours = {
        (f"{row.algorithm} ({row.preset})", row.dataset): Interval(
            row.mean_accuracy, row.accuracy_low, row.accuracy_high
        )
        for row in summary
        if row.evaluations == suite.checkpoints[-1] and row.n > 1
    }
    return compare_all(suite, ours)


def of_summary(suite: Suite, summary: Sequence[ResultRow]) -> list[str]:
    """Return the comparison of a suite's result table at its last checkpoint, as sentences."""
    return sentences(beside(suite, summary))


def published(suite: Suite) -> list[PublishedRow]:
    """Return the published validation accuracies of this suite's space and data sets."""
    space = tables.load(suite.table).space.name
    names = {entry.algorithm for entry in suite.rows}
    return [
        row
        for row in load_published()
        if row.space == space
        and row.dataset in suite.datasets
        and row.split == "valid"
        and row.algorithm in names
    ]


def _line(row: PublishedRow, label: str, interval: Interval, why: list[str]) -> Line:
    verdict = compare(*interval, row, comparable=not why, why="; ".join(why))
    spread = "" if row.std is None else f" +- {row.std:.2f}"
    estimate, low, high = interval
    return (
        *(row.dataset, row.method, row.source, f"{row.mean:.2f}{spread}"),
        "?" if row.runs is None else str(row.runs),
        *(label, f"{estimate:.2f} [{low:.2f}, {high:.2f}]", verdict.judgement, verdict.reason),
    )


def _optimal(suite: Suite, row: PublishedRow) -> Line:
    """Compare the best cell of the table with the one published: same data, no search."""
    best = best_accuracy(suite, row.dataset)
    interval = Interval(best, best - _ROUNDING, best + _ROUNDING)
    table = tables.load(suite.table)
    d = table.row(row.dataset)
    trial = np.nanmax(table.valid_accuracy[d, table.mean_accuracy[d].argmax()])
    verdict = compare(*interval, row, comparable=True)
    why = f"; ours is the best mean over trials, that cell's best single trial is {trial:.2f}"
    return (
        *(row.dataset, row.method, row.source, f"{row.mean:.2f}", ""),
        *("best cell of the table", f"{best:.3f}", verdict.judgement, verdict.reason + why),
    )


def differences(suite: Suite, row: PublishedRow) -> list[str]:
    """Return what a published row's search had otherwise than the suite's; empty: comparable."""
    found = []
    if "not stated" in row.budget + row.protocol:
        found.append("its protocol is not stated in the source")
    if "supernet" in row.protocol + row.budget:
        found.append("it searched with a weight-sharing supernet, ours reads trained accuracies")
    if match := re.search(r"(\d+)-epoch accuracy", row.protocol):
        found.append(f"it searched by accuracy after {match[1]} epochs, ours after full training")
    seconds = re.search(r"(\d+) simulated seconds", row.budget)
    if seconds and suite.simulated_seconds != float(seconds[1]):
        found.append(f"its budget was {seconds[1]} simulated seconds, ours is {_budget(suite)}")
    if "on CIFAR-10" in row.budget + row.protocol and row.dataset != "cifar10":
        found.append(f"it searched on cifar10, ours on {row.dataset}")
    return found


def _budget(suite: Suite) -> str:
    if suite.simulated_seconds is not None:
        return f"{suite.simulated_seconds:g} simulated seconds"
    return f"{suite.evaluations} evaluations"


def sentences(lines: Iterable[Line]) -> list[str]:
    """Return each line of `compare_all` as a sentence; rows with the same reason share one."""
    shared: dict[tuple[str, ...], list[str]] = {}
    for dataset, method, source, mean, n, ours, interval, judgement, why in lines:
        head = (dataset, f"{method} {mean} (n={n or '-'}; {source})", judgement, why)
        shared.setdefault(head, []).append(f"{ours} {interval}")
    return [
        f"{dataset}: published {published}; ours {', '.join(ours)}: {judgement}; {why}."
        for (dataset, published, judgement, why), ours in shared.items()
    ]
