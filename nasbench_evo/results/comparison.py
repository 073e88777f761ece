"""Ours beside published accuracies: match, differs, or not comparable and why.

Two figures are compared only where both searched the same way: data set, budget, and what a search
sees of a candidate. Everything that differs is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nasbench_evo import tables
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.results.columns import ResultRow, known
from nasbench_evo.results.published import PublishedRow, compare, load_published
from nasbench_evo.suite import Suite, rows

COLUMNS = (
    "data set", "split", "published", "source", "mean", "n",
    "ours", "ours [95%]", "judgement", "why",
)  # fmt: skip
Line = tuple[str, ...]  # one text for each of COLUMNS
Key = tuple[str, str, str]  # row label, data set, split
NOTE = (
    "Accuracy in percent; ours with the bootstrap 95% interval of the mean over runs. A match is a "
    "published mean inside our interval widened by the published standard error."
)
_OPTIMAL = "Optimal"  # no method: the best cell of the benchmark
_ROUNDING = 0.005  # published with two digits


def best_accuracy(suite: Suite, dataset: str) -> float:
    """Return the highest mean accuracy of a suite's data set at the reported length, percent."""
    table = tables.reported(suite.table)
    return float(table.best[table.row(dataset)])


def compare_all(suite: Suite, ours: Mapping[Key, Interval]) -> list[Line]:
    """Return a line of text, in the order of COLUMNS, for each published row beside each of ours.

    `ours` has the interval of the mean accuracy (percent) by row label, data set and split.
    """
    table = tables.reported(suite.table)
    lines = []
    for row in load_published():
        if row.space != table.space.name or row.dataset not in suite.reported:
            continue
        split = "test" if table.by_test(row.dataset) else "valid"
        if row.method == _OPTIMAL and row.split == split:
            lines.append(_optimal(suite, row))
        for mine in rows(suite):
            if mine.algorithm == row.algorithm and (mine.label, row.dataset, row.split) in ours:
                why = differences(suite, row)
                interval = ours[mine.label, row.dataset, row.split]
                lines.append(_line(row, mine.label, interval, why))
    return lines


def beside(suite: Suite, summary: Sequence[ResultRow]) -> list[Line]:
    """Return the comparison of a suite's result table at its last checkpoint.

    Rows of one run have no interval and are left out.
    """
    ours: dict[Key, Interval] = {}
    for row in summary:
        if row[suite.column] == suite.marks[-1] and row.n > 1:
            head = (f"{row.algorithm} ({row.preset})", row.dataset)
            valid = (row.mean_accuracy, row.accuracy_low, row.accuracy_high)
            test = (row.mean_test, row.test_low, row.test_high)
            for split, interval in (("valid", valid), ("test", test)):
                if all(map(known, interval)):
                    ours[*head, split] = Interval(*interval)
    return compare_all(suite, ours)


def of_summary(suite: Suite, summary: Sequence[ResultRow]) -> list[str]:
    """Return the comparison of a suite's result table at its last checkpoint, as sentences."""
    return sentences(beside(suite, summary))


def published(suite: Suite) -> list[PublishedRow]:
    """Return the published accuracies of this suite's space, data sets and splits."""
    table = tables.reported(suite.table)
    names = {entry.algorithm for entry in suite.rows}
    splits = {"valid"} if table.test_accuracy is None else {"valid", "test"}
    return [
        row
        for row in load_published()
        if row.space == table.space.name
        and row.dataset in suite.reported
        and row.split in splits
        and row.algorithm in names
    ]


def _line(row: PublishedRow, label: str, interval: Interval, why: list[str]) -> Line:
    verdict = compare(*interval, row, comparable=not why, why="; ".join(why))
    spread = "" if row.std is None else f" +- {row.std:.2f}"
    estimate, low, high = interval
    return (
        *(row.dataset, row.split, row.method, row.source, f"{row.mean:.2f}{spread}"),
        "?" if row.runs is None else str(row.runs),
        *(label, f"{estimate:.2f} [{low:.2f}, {high:.2f}]", verdict.judgement, verdict.reason),
    )


def _optimal(suite: Suite, row: PublishedRow) -> Line:
    """Compare the best cell of the table with the one published: same data, no search."""
    best = best_accuracy(suite, row.dataset)
    interval = Interval(best, best - _ROUNDING, best + _ROUNDING)
    table = tables.reported(suite.table)
    d = table.row(row.dataset)
    trials = table.test_accuracy if row.split == "test" else table.valid_accuracy
    verdict = compare(*interval, row, comparable=True)
    why = ""
    if trials is not None:
        trial = np.nanmax(trials[d, np.nanargmax(table.quality[d])])
        why = f"; ours is the best mean over trials, that cell's best single trial is {trial:.2f}"
    return (
        *(row.dataset, row.split, row.method, row.source, f"{row.mean:.2f}", ""),
        *("best cell of the table", f"{best:.3f}", verdict.judgement, verdict.reason + why),
    )


def differences(suite: Suite, row: PublishedRow) -> list[str]:
    """Return what a published row's search had otherwise than the suite's; empty: comparable."""
    found = []
    if not row.stated:
        found.append("its protocol is not stated in the source")
    if row.weights == "shared":
        found.append("it searched with a weight-sharing supernet, ours reads trained accuracies")
    epochs = tables.load(suite.table).epochs
    if row.searched_epochs is not None and row.searched_epochs != epochs:
        ours = "full training" if epochs is None else f"{epochs} epochs"
        found.append(
            f"it searched by accuracy after {row.searched_epochs} epochs, ours after {ours}"
        )
    limits = suite.budget
    if row.seconds is not None and (limits.seconds, limits.evaluations) != (row.seconds, None):
        found.append(f"its budget was {row.seconds} simulated seconds, ours is {_budget(suite)}")
    source = suite.datasets[0] if suite.report_on else row.dataset
    if row.searched_on not in (None, source):
        found.append(f"it searched on {row.searched_on}, ours on {source}")
    return found


def _budget(suite: Suite) -> str:
    most = suite.budget.evaluations
    more = f" and {most:g} evaluations" if suite.by_seconds and most is not None else ""
    return f"{suite.length}{more}"


def sentences(lines: Iterable[Line]) -> list[str]:
    """Return each line of `compare_all` as a sentence; rows with the same reason share one."""
    shared: dict[tuple[str, ...], list[str]] = {}
    for dataset, split, method, source, mean, n, ours, interval, judgement, why in lines:
        head = (f"{dataset} {split}", f"{method} {mean} (n={n or '-'}; {source})", judgement, why)
        shared.setdefault(head, []).append(f"{ours} {interval}")
    return [
        f"{dataset}: published {published}; ours {', '.join(ours)}: {judgement}; {why}."
        for (dataset, published, judgement, why), ours in shared.items()
    ]
