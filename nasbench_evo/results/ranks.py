"""Does a ranking of algorithms hold on other tables? Ranks over the data sets of several suites.

A data set of a results folder is a block; the mean regrets of the rows that all blocks have are
ranked in it. Read from summary.json, so that committed results do.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.analysis import statistics
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import csv_text, plain, write_json, write_text
from nasbench_evo.results.rows import BASELINE

Array = NDArray[np.float64]
_FEWEST = 3  # rows that can be ranked


@dataclass(frozen=True)
class Block:
    """One data set of a folder: the mean regret of each row at the end of its runs, points."""

    table: str
    dataset: str
    length: str
    runs: int  # the fewest of a row
    regrets: dict[str, float]


@dataclass(frozen=True)
class Ranks:
    """Rows ranked in each block: [blocks, rows], 1 the best, ties shared.

    `overall` is over all blocks.
    """

    blocks: Sequence[Block]
    rows: Sequence[str]  # by average rank, the best first
    left_out: Sequence[str]  # rows that some block lacks
    ranks: Array
    overall: statistics.FriedmanNemenyi

    @property
    def by_table(self) -> dict[str, Array]:
        """The average ranks on each table, [rows]."""
        names = dict.fromkeys(block.table for block in self.blocks)
        return {table: self.on(table).mean(axis=0) for table in names}

    def on(self, table: str) -> Array:
        """Return the ranks of a table's blocks, [blocks of it, rows]."""
        return self.ranks[[block.table == table for block in self.blocks]]


def read(folder: Path) -> list[Block]:
    """Return the blocks of a results folder; InputError where it has none, DataError if damaged."""
    path = folder / "summary.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = content["rows"]
        if not rows or "mean_regret" not in rows[0]:
            raise InputError(f"{folder} has no regrets: expected a suite that reads a table.")
        unit = "seconds" if "seconds" in rows[0] else "evaluations"
        end = max(row[unit] for row in rows)
        blocks: dict[str, dict[str, float]] = {}
        runs: dict[str, int] = {}
        for row in rows:
            if row[unit] == end:
                name, dataset = f"{row['algorithm']} ({row['preset']})", row["dataset"]
                blocks.setdefault(dataset, {})[name] = float(row["mean_regret"])
                runs[dataset] = min(runs.get(dataset, row["n"]), row["n"])
        return [
            Block(str(content["table"]), d, f"{end:.10g} {unit}", runs[d], found)
            for d, found in blocks.items()
        ]
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Give the results folder of a suite."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise DataError(f"{path} is no summary of a suite ({error!r}). Run it again.") from error


def compare(blocks: Sequence[Block]) -> Ranks:
    """Return the ranks over two or more blocks; InputError where they share too few rows."""
    if len(blocks) < 2:
        raise InputError(f"Ranks need two or more data sets; got {len(blocks)}.")
    twice = [(b.table, b.dataset) for b in blocks]
    if len(set(twice)) < len(twice):
        raise InputError("A data set of a table is there twice: give each suite once.")
    every = list(dict.fromkeys(name for block in blocks for name in block.regrets))
    shared = [name for name in every if all(name in block.regrets for block in blocks)]
    if len(shared) < _FEWEST:
        raise InputError(
            f"The suites share {len(shared)} rows ({', '.join(shared) or 'none'}); "
            f"{_FEWEST} or more can be ranked."
        )
    from scipy.stats import rankdata

    losses = np.array([[block.regrets[name] for name in shared] for block in blocks])
    found = statistics.friedman_nemenyi(losses)
    order = np.argsort(found.average_ranks, kind="stable")
    return Ranks(
        blocks,
        rows=[shared[i] for i in order],
        left_out=[name for name in every if name not in shared],
        ranks=np.asarray(rankdata(losses[:, order], axis=1), np.float64),
        overall=found._replace(average_ranks=found.average_ranks[order]),
    )


def groups(overall: statistics.FriedmanNemenyi) -> list[tuple[int, int]]:
    """Return the longest runs of rows (first, last) that the critical difference does not part.

    The average ranks are in order.
    """
    average, width = overall.average_ranks, overall.critical_difference
    runs: list[tuple[int, int]] = []
    for first in range(len(average)):
        last = int(np.flatnonzero(average - average[first] <= width)[-1])
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def sentences(found: Ranks) -> list[str]:
    """Return what the ranks say, the first table being the one that others are held against."""
    overall, rows = found.overall, found.rows
    first, *others = found.by_table
    blocks = ", ".join(f"{len(found.on(table))} of {table}" for table in found.by_table)
    said = [
        f"{len(found.blocks)} data sets ({blocks}), {len(rows)} rows: Friedman's statistic "
        f"{overall.statistic:.1f}, p = {overall.p:.1e}; Nemenyi's critical difference "
        f"{overall.critical_difference:.2f} ranks (5%).",
        *(_parted(found, name) for name in rows if name.startswith(BASELINE)),
    ]
    if others:
        said += [_inside(found, first), *(_agreement(found, first, table) for table in others)]
    if found.left_out:
        said.append(f"Not everywhere, and so left out: {', '.join(found.left_out)}.")
    return said


def _parted(found: Ranks, name: str) -> str:
    """Say which rows the critical difference parts from one."""
    average, width = found.overall.average_ranks, found.overall.critical_difference
    own = average[found.rows.index(name)]
    better = [row for row, rank in zip(found.rows, average, strict=True) if own - rank > width]
    worse = [row for row, rank in zip(found.rows, average, strict=True) if rank - own > width]
    return (
        f"Further than that before {name}: {', '.join(better) or 'none'}; behind it: "
        f"{', '.join(worse) or 'none'}."
    )


def _tau(a: Array, b: Array) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _inside(found: Ranks, table: str) -> str:
    """Say how the data sets of a table agree with each other."""
    ranks = found.on(table)
    pairs = [_tau(a, b) for a, b in itertools.combinations(ranks, 2)]
    if not pairs:
        return f"{table} has one data set: how its rankings agree is not known."
    return (
        f"Two data sets of {table} agree with Kendall's tau-b {np.mean(pairs):.2f} in the mean "
        f"({min(pairs):.2f} to {max(pairs):.2f})."
    )


def _agreement(found: Ranks, first: str, table: str) -> str:
    """Say whether the ranking of the first table holds on another."""
    tau = _tau(found.by_table[first], found.by_table[table])
    single = [_tau(found.by_table[first], ranks) for ranks in found.on(table)]
    best = found.rows[int(found.by_table[first].argmin())]
    place = found.by_table[table][found.rows.index(best)]
    return (
        f"{first} against {table}: tau-b {tau:.2f} between average ranks, {min(single):.2f} to "
        f"{max(single):.2f} with its single data sets; {best}, the best of {first}, has the "
        f"average rank {place:.1f} of {len(found.rows)} there."
    )


def table(found: Ranks) -> tuple[list[str], list[list[Any]]]:
    """Return head and lines: each row's average ranks, overall and by table, and each rank."""
    head = ["row", "average", *found.by_table]
    head += [f"{block.table} {block.dataset}" for block in found.blocks]
    lines = [
        [
            name,
            round(float(found.overall.average_ranks[i]), 3),
            *(round(float(average[i]), 3) for average in found.by_table.values()),
            *found.ranks[:, i].tolist(),
        ]
        for i, name in enumerate(found.rows)
    ]
    return head, lines


def summary(found: Ranks) -> dict[str, Any]:
    """Return everything as plain JSON."""
    head, lines = table(found)
    blocks = [
        {"table": b.table, "dataset": b.dataset, "length": b.length, "runs": b.runs}
        for b in found.blocks
    ]
    content: dict[str, Any] = {
        "blocks": blocks,
        "rows": [dict(zip(head, line, strict=True)) for line in lines],
        "friedman": found.overall.statistic,
        "p": found.overall.p,
        "critical_difference": found.overall.critical_difference,
        "left_out": list(found.left_out),
        "sentences": sentences(found),
    }
    result: dict[str, Any] = plain(content)
    return result


def write(found: Ranks, folder: Path) -> list[Path]:
    """Write ranks.csv and ranks.json; return the paths."""
    head, lines = table(found)
    return [
        write_text(folder / "ranks.csv", csv_text(head, lines)),
        write_json(folder / "ranks.json", summary(found)),
    ]
