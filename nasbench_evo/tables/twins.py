"""Twins of a table: the same space with answers that have no noise.

`NAME:mean` answers with the mean over a genotype's trials: what is left of a method once noise is
gone. `NAME:additive` is made up: each gene adds to the accuracy on its own, so the best genotype
is known.
"""

from __future__ import annotations

from math import lcm

import numpy as np

from nasbench_evo.errors import unknown
from nasbench_evo.files import digest
from nasbench_evo.spaces import Genotype, IntegerSpace
from nasbench_evo.tables.table import Table, missing

MEAN, ADDITIVE = "mean", "additive"
KINDS = (MEAN, ADDITIVE)
_FLOOR = 10  # percent: the worst genotype of an additive twin
_REFERENCE = 90  # percent: its best one
_IMAGES = 100_000  # behind its counts


_kept: dict[tuple[str, str], Table] = {}  # by the table's SHA-256 and the kind


def twin(table: Table, kind: str) -> Table:
    """Return the twin of a table; raise InputError for another kind than "mean" or "additive"."""
    if kind not in KINDS:
        raise unknown("twin of a table", kind, KINDS)
    key = table.sha256, kind
    if key not in _kept:
        _kept[key] = _mean(table) if kind == MEAN else _additive(table)
    return _kept[key]


def _mean(table: Table) -> Table:
    parts = lcm(*range(1, table.correct.shape[2] + 1))
    dtype = np.dtype(np.uint64)
    counts = np.where(table.present, table.correct, 0).sum(axis=2, dtype=np.uint64)
    trials = np.maximum(table.trials, 1).astype(np.uint64)
    counts *= np.uint64(parts) // trials
    counts[table.trials == 0] = missing(dtype)
    return Table(
        name=f"{table.name}:{MEAN}",
        label=f"{table.label}; every answer is the mean over trials",
        sha256=digest([table.sha256, MEAN]),
        datasets=table.datasets,
        images=tuple(images * parts for images in table.images),
        correct=counts[:, :, np.newaxis],
        train_seconds=table.train_seconds,
        latency_seconds=table.latency_seconds,
        parameters=table.parameters,
        valid_seconds=table.valid_seconds,
        space=table.space,
        infeasible=table.infeasible,
        epochs=table.epochs,
        valid_split=table.valid_split,
    )


def best_of(space: IntegerSpace) -> Genotype:
    """Return the best genotype of an additive twin."""
    return tuple((n - 1 - i) % n for i, n in enumerate(space.cardinalities))


def _additive(table: Table) -> Table:
    """Gene i with choice c adds (i + 1) ((c + i) mod n) / (n - 1), scaled to 10..90 percent."""
    space = table.space
    sizes = np.array(space.cardinalities)
    genes = np.array([space.from_index(index) for index in range(space.size)])
    weight = np.arange(1, len(sizes) + 1) / np.maximum(sizes - 1, 1)
    score = (((genes + np.arange(len(sizes))) % sizes) * weight).sum(axis=1)
    percent = _FLOOR + (_REFERENCE - _FLOOR) * score / score.max()
    counts = np.rint(percent * _IMAGES / 100).astype(np.uint32)[np.newaxis, :, np.newaxis]
    shape = (1, space.size)
    return Table(
        name=f"{table.name}:{ADDITIVE}",
        label="made up: every gene adds to the accuracy on its own",
        sha256=digest([space.name, space.size, ADDITIVE]),
        datasets=(ADDITIVE,),
        images=(_IMAGES,),
        correct=counts,
        train_seconds=np.ones(shape),
        latency_seconds=np.full(shape, np.nan),
        parameters=np.full(shape, -1, dtype=np.int64),
        space=space,
    )
