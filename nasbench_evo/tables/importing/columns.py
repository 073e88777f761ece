"""Which column of a person's table is what: by its own name, or by what the person says.

Long form: a row is one accuracy, named by the columns `split`, `trial` and so on. Wide form: a row
is one genotype, with an accuracy of each split (`valid`, `test`) and each trial (`valid_0`,
`valid_1`). Numbers that are neither are metrics of the source's own, never accuracies.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nasbench_evo.errors import DataError, InputError, unknown
from nasbench_evo.tables.importing.roles import TRAIN
from nasbench_evo.tables.table import unit

REQUIRED = ("arch", "dataset", "epochs", "split", "trial", "accuracy")
OPTIONAL = ("loss", "seconds", "params", "flops", "latency", "epoch")
WIDE = ("valid", "test", TRAIN)
SCALES = ("percent", "fraction")
_LONG = ("split", "trial", "accuracy", "epoch")
_ROLES = (*REQUIRED, *OPTIONAL, *WIDE)
INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")  # what pandas writes for row numbers


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a person says of a table of their own, where its columns do not."""

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)  # role -> column
    scale: str | None = None
    dataset: str | None = None
    epochs: int | None = None
    spelling: str | None = None
    index: str | None = None


class Plan(NamedTuple):
    """The columns of one file: by role, the trials of each split, and metrics."""

    long: bool
    roles: dict[str, str]  # role -> column
    trials: dict[str, list[str]]  # wide form: split -> columns, one a trial
    metrics: list[str]
    words: list[str]
    genes: tuple[str, ...] = ()  # columns that stand for `arch` where there is none


def named(texts: Sequence[str]) -> dict[str, str]:
    """Return ROLE=COLUMN texts as a dictionary; raise InputError for what is none."""
    result: dict[str, str] = {}
    for text in texts:
        role, equals, column = text.partition("=")
        if not equals or not column:
            raise InputError(f"--column is ROLE=COLUMN, for example valid=acc; got {text!r}.")
        if role not in _ROLES:
            raise unknown("role", role, _ROLES)
        if role in result:
            raise InputError(f"--column says {role} twice.")
        result[role] = column
    return result


def plan(header: Sequence[str], reading: Reading, origin: str, genes: Sequence[str] = ()) -> Plan:
    """Return what each column of `header` is; raise DataError saying what is missing.

    `genes` are the names of a space's genes: columns of all of them stand for `arch`.
    """
    ignored = [name for name in header if INDEX.fullmatch(name)]
    words = [f"The column {name!r} is an index of rows; it is ignored." for name in ignored]
    left = [name for name in header if name not in ignored]
    for column in reading.columns.values():
        if not trial_columns(column, left, origin):
            raise DataError(
                f"{origin}: there is no column {column!r}; there are: {', '.join(left)}."
            )
    said = set(reading.columns.values())
    roles = {role: role for role in _ROLES if role in left and role not in said}
    roles |= reading.columns
    by_genes = "arch" not in roles and bool(genes) and set(genes) <= set(left)
    if by_genes:
        left = [name for name in left if name not in genes]
        roles = {role: name for role, name in roles.items() if role not in genes}
    long = "accuracy" in roles or any(role in roles for role in _LONG)
    trials = {} if long else _wide(roles, left, said, origin)
    used = {*roles.values(), *(name for names in trials.values() for name in names)}
    metrics = [name for name in left if name not in used]
    _require(long, {**roles, "arch": ""} if by_genes else roles, trials, metrics, origin)
    words += map(taken, metrics)
    return Plan(long, roles, trials, metrics, words, tuple(genes))


def taken(name: str) -> str:
    """Return what is said of a column that becomes a metric."""
    measured = f" in {unit(name)}" if unit(name) else ""
    return (
        f"The column {name!r} is taken as a metric{measured}, not as an accuracy (--column says "
        "otherwise)."
    )


def _wide(
    roles: Mapping[str, str], header: Sequence[str], said: set[str], origin: str
) -> dict[str, list[str]]:
    """Return the trial columns of each split that is there."""
    found = {s: trial_columns(roles.get(s, s), header, origin) for s in WIDE}
    free = {s: [n for n in names if n not in said or s in roles] for s, names in found.items()}
    return {split: names for split, names in free.items() if names}


def trial_columns(column: str, header: Sequence[str], origin: str) -> list[str]:
    """Return a column, or the columns `column_0`, `column_1` ... that are its trials.

    Raises DataError for several whose numbers do not count: they may be lengths of training.
    """
    if column in header:
        return [column]
    numbered = re.compile(re.escape(column) + r"_?(\d+)")
    found = sorted((int(m[1]), name) for name in header if (m := numbered.fullmatch(name)))
    columns = [name for _, name in found]
    if len(found) > 1 and [n - found[0][0] for n, _ in found] != list(range(len(found))):
        raise DataError(
            f"{origin}: {', '.join(columns)} are not numbered one after the other, as trials are: "
            "their mean may mean nothing. If they are trials number them so; if not say which is "
            f"meant, for example --column valid={columns[-1]}."
        )
    return columns


def _require(
    long: bool,
    roles: Mapping[str, str],
    trials: Mapping[str, Sequence[str]],
    left: Sequence[str],
    origin: str,
) -> None:
    """Raise DataError where what a table needs is missing."""
    needed = REQUIRED if long else ("arch",)
    absent = [name for name in needed if name not in roles]
    absent += [] if long or "valid" in trials else ["valid"]
    if absent:
        raise DataError(
            f"{origin}: missing columns {absent}; not understood: {list(left)}. A row is a cell "
            "(arch, valid or valid_0, valid_1, optionally test, seconds, params, latency) or "
            f"one accuracy ({', '.join(REQUIRED)}). Say what a column is with --column, for "
            "example --column valid=acc."
        )
