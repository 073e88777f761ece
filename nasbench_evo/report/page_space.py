"""The whole search space as a page draws it: every genotype's accuracy against what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasbench_evo import tables
from nasbench_evo.replays import pareto
from nasbench_evo.report import packed
from nasbench_evo.results.folder import Stored
from nasbench_evo.spaces import NASBench201
from nasbench_evo.suite import table_of
from nasbench_evo.tables import Table

MOST = 100_000  # genotypes that a page can hold and draw
_COSTS = 5  # axes that one can choose between: those with the most different values first


def scatter(stored: Stored) -> dict[str, Any] | None:
    """Return every genotype's accuracy and costs, packed; None where not all are known.

    All: the table has a result of every genotype on each data set, and no more than `MOST`.
    """
    name = table_of(stored.suite)
    if name is None:
        return None
    table = tables.reported(name)
    if table.space.size > MOST or table.space.name != stored.kind.space(stored.suite).name:
        return None
    wanted = stored.suite.reported if not stored.kind.trains else table.datasets
    datasets = {d: found for d in wanted if (found := _dataset(table, d)) is not None}
    if not datasets:
        return None
    return {
        "datasets": datasets,
        "size": table.space.size,
        "cardinalities": list(table.space.cardinalities),
        "cells": table.space.name == NASBench201.name,
        "measure": "test accuracy" if table.by_test(next(iter(datasets))) else _measure(table),
        "judge": _judge(stored, table),
    }


def _measure(table: Table) -> str:
    return "mean accuracy" if table.measured is None else f"score ({table.metric.name})"


def _judge(stored: Stored, table: Table) -> str | None:
    """Return the data set that judges runs of all data sets, where it is not their own."""
    truth = stored.suite.truth
    return None if truth is None else (truth.dataset or table.datasets[0])


def _dataset(table: Table, dataset: str) -> dict[str, Any] | None:
    if not table.known(dataset).all():
        return None
    costs = {
        pareto.label(name): pareto.costs(table, dataset, name)
        for name in pareto.available(table, dataset)
    }
    if table.has_times(dataset):
        costs["full training (simulated seconds)"] = table.full_seconds[table.row(dataset)]
    different = {name: len(np.unique(values)) for name, values in costs.items()}
    drawn = sorted((name for name in costs if different[name] > 1), key=lambda n: -different[n])
    if not drawn:
        return None
    return {
        "accuracy": packed.reals(table.quality[table.row(dataset)]),
        "costs": {name: packed.reals(costs[name]) for name in drawn[:_COSTS]},
    }
