"""Accuracy against what a cell costs: objectives from a table, fronts of what searches visited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import runner, tables
from nasbench_evo.algorithms.stand_ins import StandIn
from nasbench_evo.errors import InputError, unknown
from nasbench_evo.evaluators.lookup import INFEASIBLE
from nasbench_evo.files import csv_text, write_text
from nasbench_evo.results.rows import mean_intervals
from nasbench_evo.suite import Suite, Unit, require_table, units
from nasbench_evo.tables import Table
from nasbench_evo.tables.table import unit as unit_of
from nasbench_evo.telling import tell

Array = NDArray[np.float64]
ACCURACY = "accuracy"
LABELS = {
    "params": "parameters (millions)",
    "flops": "FLOPs (millions)",
    "latency": "latency (ms)",
}


class FrontRow(NamedTuple):
    """A cell on the front of all that a row's runs visited."""

    dataset: str
    algorithm: str
    preset: str
    objective: str
    cost: float  # in the unit of LABELS
    accuracy: float  # percent, mean over the table's trials
    arch: str


class VolumeRow(NamedTuple):
    """How much of the table's front a row's single runs reach.

    The hypervolume that a run's front dominates, as a part of that of the whole table's front;
    the reference point is the table's lowest mean accuracy and its highest cost.
    """

    dataset: str
    algorithm: str
    preset: str
    objective: str
    n: int  # runs
    visited: float  # mean number of distinct cells of a run
    mean_share: float  # 0..1
    share_low: float  # bootstrap 95% interval of the mean
    share_high: float


class Fronts(NamedTuple):
    """The multi-objective view of a suite."""

    fronts: list[FrontRow]
    volumes: list[VolumeRow]


def objectives(text: str, table: Table) -> list[str]:
    """Return the costs named in a text such as 'accuracy,params', or metrics of the table.

    Raises InputError unless accuracy and at least one cost are there, each once and known.
    """
    names = [name.strip() for name in text.split(",")]
    every = [ACCURACY, *LABELS, *table.metrics]
    for name in names:
        if name not in every:
            raise unknown("objective", name, every)
    chosen = [name for name in names if name != ACCURACY]
    if len(set(names)) < len(names) or len(chosen) != len(names) - 1 or not chosen:
        raise InputError(
            f"Expected accuracy and one or more of {', '.join(every[1:])}, each once; got {text!r}."
        )
    return chosen


def label(name: str) -> str:
    """Return what a cost is and its unit, for people."""
    if name in LABELS:
        return LABELS[name]
    of_name = unit_of(name)
    words = name.removesuffix("_" + of_name).replace("_", " ")
    return f"{words} ({of_name})" if of_name else words


def costs(table: Table, dataset: str, objective: str) -> Array:
    """Return what every cell costs, in the unit of LABELS; [G].

    Raises InputError where the table does not have it for each of its cells.
    """
    d = table.row(dataset)
    values = _known(table, d, objective)
    if values is None or np.isnan(values[table.known(dataset)]).any():
        there = ", ".join(available(table, dataset)) or "none"
        raise InputError(
            f"The table {table.name} has no {label(objective)} of {dataset}. It has: {there}."
        )
    return values


def _known(table: Table, d: int, objective: str) -> Array | None:
    """Return the values of a cost [G], NaN where unknown."""
    if objective in table.metrics:
        return np.asarray(table.metrics[objective][d])
    if objective == "params":
        return np.where(table.parameters[d] < 0, np.nan, table.parameters[d] / 1e6)
    if objective == "latency":
        return np.asarray(table.latency_seconds[d] * 1e3)
    return None if table.flops is None else np.asarray(table.flops[d])


def available(table: Table, dataset: str) -> list[str]:
    """Return the costs that the table has of a data set, in the order of LABELS, metrics last."""
    d = table.row(dataset)
    measured = table.known(dataset)
    found = {name: _known(table, d, name) for name in (*LABELS, *table.metrics)}
    return [
        name
        for name, values in found.items()
        if values is not None and not np.isnan(values[measured]).any()
    ]


def cost_function(
    table: Table, dataset: str, names: Sequence[str]
) -> Callable[[Any], tuple[float, ...]]:
    """Return a function from a cell to its costs, in the order of `names`.

    What is infeasible costs as much as the most costly of the others, so that all of them dominate
    it.
    Raises InputError where the table does not have one of them.
    """
    columns = np.stack([costs(table, dataset, name) for name in names], axis=1)
    failed = ~table.known(dataset)
    if table.infeasible:
        columns[failed] = columns[~failed].max(axis=0)
    index = table.space.index
    return lambda cell: tuple(columns[index(cell)].tolist())


def front(accuracy: Array, cost: Array) -> NDArray[np.int64]:
    """Return the positions of the points [n] that no other dominates, cost and accuracy rising.

    Of equal points the first stays.
    """
    order = np.lexsort((-accuracy, cost))
    before = np.maximum.accumulate(np.concatenate([[-np.inf], accuracy[order][:-1]]))
    return np.asarray(order[accuracy[order] > before])


def hypervolume(accuracy: Array, cost: Array, lowest: float, highest: float) -> float:
    """Return the area that points [n] dominate above accuracy `lowest` and below cost `highest`."""
    kept = front(accuracy, cost)
    widths = np.diff(np.append(cost[kept], highest))
    return float(widths @ (accuracy[kept] - lowest))


def visited(unit: Unit, seeds: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return the indices of the cells that each run evaluated, also in part; sorted, distinct."""
    evaluator = unit.evaluator()
    space = tables.reported(unit.table).space
    found = []
    for seed in seeds:
        run = runner.search(unit.row.configured, evaluator, seed=seed, budget=unit.budget)
        cells = [space.index(a.genotype) for a in run.history if a.source != INFEASIBLE]
        found.append(np.unique(np.array(cells, np.int64)))
    return found


def pareto(
    suite: Suite,
    progress: Callable[[int], None] = lambda runs: None,
    repeat: Callable[[Unit, Sequence[int]], list[NDArray[np.int64]]] = visited,
) -> Fronts:
    """Repeat every run of a suite and return the fronts of what they visited.

    Rows of algorithms that are known by name only are left out. `progress` takes numbers of
    finished runs; `repeat` gives what `visited` does, for those who have repeated the runs already,
    or nothing where a row is to be left out.
    Raises Unsupported for a suite that trains.
    """
    require_table(suite)
    seeds = range(suite.first_seed, suite.first_seed + suite.seeds)
    result = Fronts([], [])
    for unit in units(suite):
        if isinstance(unit.row.configured, StandIn):
            continue
        runs = repeat(unit, seeds)
        if not runs:
            continue
        table = tables.reported(unit.table)
        for objective in available(table, unit.dataset):
            result.fronts.extend(_front_rows(unit, table, objective, runs))
            result.volumes.append(_volume_row(unit, table, objective, runs))
        progress(len(seeds))
        tell(f"searches of {unit.row.label} on {unit.dataset}")
    return result


def _front_rows(
    unit: Unit, table: Table, objective: str, runs: Sequence[NDArray[np.int64]]
) -> list[FrontRow]:
    cells = np.unique(np.concatenate(runs))
    accuracy = table.quality[table.row(unit.dataset)][cells]
    cost = costs(table, unit.dataset, objective)[cells]
    row, space = unit.row, table.space
    return [
        FrontRow(
            unit.dataset,
            row.shown,
            row.setting,
            objective,
            float(cost[i]),
            float(accuracy[i]),
            space.format(space.from_index(int(cells[i]))),
        )
        for i in front(accuracy, cost)
    ]


def _volume_row(
    unit: Unit, table: Table, objective: str, runs: Sequence[NDArray[np.int64]]
) -> VolumeRow:
    d = table.row(unit.dataset)
    accuracy, cost = table.quality[d], costs(table, unit.dataset, objective)
    there = np.flatnonzero(table.known(unit.dataset))
    lowest, highest = float(accuracy[there].min()), float(cost[there].max())
    whole = hypervolume(accuracy[there], cost[there], lowest, highest)
    areas = np.array([hypervolume(accuracy[c], cost[c], lowest, highest) for c in runs])
    shares = areas / whole if whole > 0 else np.ones(len(runs))  # all cells are equally good
    ((mean, low, high),) = mean_intervals([shares])
    return VolumeRow(
        dataset=unit.dataset,
        algorithm=unit.row.shown,
        preset=unit.row.setting,
        objective=objective,
        n=len(runs),
        visited=float(np.mean([len(cells) for cells in runs])),
        mean_share=mean,
        share_low=low,
        share_high=high,
    )


def write(fronts: Fronts, folder: Path) -> list[Path]:
    """Write pareto.csv (the fronts) and pareto-hypervolume.csv; return the paths."""
    return [
        write_text(folder / "pareto.csv", csv_text(FrontRow._fields, fronts.fronts)),
        write_text(folder / "pareto-hypervolume.csv", csv_text(VolumeRow._fields, fronts.volumes)),
    ]
