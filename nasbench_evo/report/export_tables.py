"""The result table of any suite as text cells, for LaTeX and Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nasbench_evo.results import ranking, supernet, trained
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.summary import counted

Row = Any  # SummaryRow, TrainedRow or SharedRow: dataclasses of one kind


@dataclass(frozen=True)
class Column:
    """A column and the fields of a row that fill it: a value, what follows it, its format."""

    name: str
    value: str
    std: str = ""
    low: str = ""  # with `high` an interval
    high: str = ""
    form: str = ".2f"

    def text(self, row: Row) -> str:
        """Return the cell of a row; empty where the value is not defined."""
        value = getattr(row, self.value)
        if isinstance(value, str):
            return value
        if not _known(value):
            return ""
        text = f"{value:{self.form}}"
        if self.std and _known(getattr(row, self.std)):
            text += f" ± {getattr(row, self.std):{self.form}}"
        if self.low and _known(getattr(row, self.low)):
            text += (
                f" [{getattr(row, self.low):{self.form}}, {getattr(row, self.high):{self.form}}]"
            )
        return text


@dataclass(frozen=True)
class Sheet:
    """One table: a text above it, names of columns, lines of cells, the best of them in bold.

    The first cell of a line names its row. `best` are (line, column) from 0.
    """

    caption: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class _Kind:
    """How the rows of a kind of suite are shown; `judged` is what they are sorted by."""

    columns: tuple[Column, ...]
    judged: Sequence[tuple[str, int]]  # field and sign; the first that some row has
    meaning: str
    group: Callable[[Row], tuple[str, ...]]
    shown: Callable[[Stored, Row], bool] = lambda stored, row: True


_FINAL = Column("final test (%)", "final_test", "final_test_std")
_COMPARED = (Column("P(better)", "improvement", form=".3f"), Column("p", "p_value", form=".1e"))
_FINAL_MEANING = "final: test accuracy of new networks of what was found, mean ± standard deviation"
_AGAINST = "P(better) and p (Mann-Whitney, Holm-corrected): against random search."


def _at_the_end(stored: Stored, row: Row) -> bool:
    return bool(row.evaluations == stored.suite.checkpoints[-1])


def _of_evaluations(row: Row) -> tuple[str, ...]:
    return row.dataset, f"{row.evaluations} evaluations"


def _of_truth(row: Row) -> tuple[str, ...]:
    return (row.dataset, *([f"judged on {row.truth_dataset}"] if row.truth_dataset else []))


_KINDS = {
    "lookup": _Kind(
        (
            Column("accuracy (%)", "mean_accuracy", "std_accuracy"),
            Column("regret (points)", "mean_regret", "", "regret_low", "regret_high", ".3f"),
            *_COMPARED,
        ),
        [("mean_regret", -1)],
        "Validation accuracy of the found cells: mean ± standard deviation over n runs; regret: "
        f"mean with its 95% bootstrap interval; {_AGAINST}",
        _of_evaluations,
        _at_the_end,
    ),
    "standalone": _Kind(
        (
            Column("seen (%)", "seen_mean", "", "seen_low", "seen_high"),
            _FINAL,
            *_COMPARED,
        ),
        [("final_test", 1), ("seen_mean", 1)],
        "Seen: validation accuracy of the incumbent in its search (the best of many noisy values, "
        "so too high), mean over n runs with its 95% bootstrap interval; "
        f"{_FINAL_MEANING}; {_AGAINST}",
        _of_evaluations,
        _at_the_end,
    ),
    "supernet": _Kind(
        (
            Column("searched on", "searched"),
            Column("seen (%)", "seen"),
            Column("standalone (%)", "truth", "", "truth_low", "truth_high"),
            Column("regret (points)", "regret"),
            _FINAL,
            Column("tau-b", "kendall_tau", "", "tau_low", "tau_high"),
        ),
        [("truth", 1), ("final_test", 1), ("seen", 1)],
        "Means over n runs. Seen: the highest accuracy with shared weights; standalone: validation "
        "accuracy of the final architectures in the truth table, with its 95% bootstrap interval; "
        f"{_FINAL_MEANING}; tau-b: Kendall's, of shared against standalone accuracy after the last "
        "epoch, with its 95% bootstrap interval.",
        _of_truth,
    ),
}


def rows_of(stored: Stored) -> Sequence[Row]:
    """Return the rows of a results folder, of whatever kind its suite is."""
    suite, collected = stored.suite, stored.collected
    if suite.evaluator == "lookup":
        return stored.rows
    if suite.evaluator == "standalone":
        return trained.summarise(suite, collected)
    return supernet.summarise(suite, collected, ranking.rankings(suite, collected))


def sheets(stored: Stored) -> list[Sheet]:
    """Return a table for each data set (and data set of the truth), the best row first."""
    kind = _KINDS[stored.suite.evaluator]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows_of(stored):
        if kind.shown(stored, row):
            groups.setdefault(kind.group(row), []).append(row)
    return [_sheet(stored, kind, key, rows) for key, rows in groups.items()]


def _sheet(stored: Stored, kind: _Kind, key: tuple[str, ...], rows: Sequence[Row]) -> Sheet:
    columns = [column for column in kind.columns if any(map(column.text, rows))]
    field, sign = next(
        pair for pair in kind.judged if any(_known(getattr(row, pair[0])) for row in rows)
    )
    ordered = sorted(rows, key=lambda row: _score(row, field, sign), reverse=True)
    place = 2 + [column.value for column in columns].index(field)
    best = _score(ordered[0], field, sign)
    return Sheet(
        f"{', '.join((stored.suite.name, *key))}. {kind.meaning}",
        ("algorithm (preset)", "n", *(column.name for column in columns)),
        tuple(
            (
                f"{row.algorithm} ({row.preset})",
                counted(row.n, stored.suite.seeds),
                *(column.text(row) for column in columns),
            )
            for row in ordered
        ),
        frozenset((i, place) for i, row in enumerate(ordered) if _score(row, field, sign) == best),
    )


def _score(row: Row, field: str, sign: int) -> float:
    value = getattr(row, field)
    return sign * value if _known(value) else -math.inf


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
