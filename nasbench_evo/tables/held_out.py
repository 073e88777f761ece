"""One trial of every genotype for a search, the others for its report.

A table's trials are trainings that differ in their seed only. A search that may see all of them is
reported on numbers that it maximised; here each run sees one, which one depends on its seed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nasbench_evo.errors import InputError
from nasbench_evo.files import digest
from nasbench_evo.tables.table import Table, missing


class Halves(NamedTuple):
    """What a run sees of a table, and what its report reads."""

    seen: Table
    others: Table


_kept: dict[tuple[str, int], Halves] = {}  # by the table's SHA-256 and the trial


def check(table: Table, dataset: str) -> None:
    """Raise InputError unless every genotype with a result on a data set has two trials."""
    trials = table.trials[table.row(dataset)]
    known = int((trials > 0).sum())
    lacking = table.single(dataset)
    if lacking or not known:
        raise InputError(
            f'report = "held_out" reads trials that the search did not see; {lacking or "none"} of '
            f"{known} genotypes of {table.name} on {dataset} "
            f'{"have one trial" if lacking else "has any"}. Use report = "mean", or a table with '
            "two trials of each."
        )


def way(table: Table, seed: int) -> int:
    """Return which trial the run with a seed sees, among as many as a genotype has at most."""
    return seed % int(table.correct.shape[2])


def split(table: Table, seed: int) -> Halves:
    """Return what the run with a seed sees, and the rest; of fewer trials the next in turn."""
    k = way(table, seed)
    key = table.sha256, k
    if key not in _kept:
        place = table.present.cumsum(axis=2) - 1  # of each trial among those that are there
        chosen = place == (k % np.maximum(table.trials, 1))[:, :, None]
        seen = table.present & chosen
        _kept[key] = Halves(
            _only(table, seen, f"trial {k + 1}"),
            _only(table, table.present & ~seen, f"all but trial {k + 1}"),
        )
    return _kept[key]


def _only(table: Table, kept: np.ndarray, which: str) -> Table:
    """Return a table with some of its trials [D, G, T]."""
    test = table.test_accuracy
    if test is not None and test.shape == kept.shape:
        test = np.where(kept, test, np.nan)
    return replace(
        table,
        label=f"{table.label}; {which} of each genotype",
        sha256=digest([table.sha256, which]),
        correct=np.where(kept, table.correct, missing(table.correct.dtype)),
        test_accuracy=test,
    )
