"""What the gate runs: the units of a suite, and twins of them that show a bug where noise hides it.

Every row of the suite also searches, with fewer seeds, the table without noise, the table with a
small budget, and a made-up table whose best genotype is known (see `nasbench_evo.tables.twins`).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from nasbench_evo import suite as suites
from nasbench_evo.runner import Budget
from nasbench_evo.suite import Suite, Unit
from nasbench_evo.tables import twins

_MOST = 300  # evaluations of a twin
TWIN_SEEDS = 100  # of a twin, if the suite has as many


class Twin(NamedTuple):
    """A twin of a suite's units: its table, the data set there, its evaluations at most."""

    table: str
    dataset: str
    evaluations: int

    @property
    def name(self) -> str:
        """What stands in the column of data sets."""
        kind = self.table.partition(":")[2]
        what = f"{self.dataset}:{kind}" if kind == twins.MEAN else self.dataset
        return f"{what}, {self.evaluations} evaluations"


def twins_of(suite: Suite) -> list[Twin]:
    """Return the twins: no noise, a known best genotype, a small budget."""
    end = min(suite.evaluations, _MOST)
    return [
        Twin(f"{suite.table}:{twins.MEAN}", suite.datasets[0], max(1, end // 3)),
        Twin(f"{suite.table}:{twins.ADDITIVE}", twins.ADDITIVE, end),
        Twin(suite.table, suite.datasets[-1], max(1, end // 6)),
    ]


def units(suite: Suite) -> list[Unit]:
    """Return the units of a suite, then their twins; a twin's `dataset` is its name."""
    every = suites.units(suite)
    rows = list(dict.fromkeys(unit.row for unit in every))
    return every + [
        dataclasses.replace(
            every[0],
            row=row,
            dataset=twin.name,
            table=twin.table,
            budget=Budget(twin.evaluations),
            table_dataset=twin.dataset,
        )
        for twin in twins_of(suite)
        for row in rows
    ]


def is_twin(unit: Unit) -> bool:
    """Whether a unit is a twin."""
    return unit.table_dataset is not None


def seeds_of(unit: Unit, seeds: range) -> range:
    """Return those of a suite's seeds that a unit runs."""
    return seeds[:TWIN_SEEDS] if is_twin(unit) else seeds
