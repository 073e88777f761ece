"""What a single run of a suite that trains says: its curve, its architecture, what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nasbench_evo import tables
from nasbench_evo.engines import REPORT
from nasbench_evo.evaluators import probing, settings
from nasbench_evo.results.folder import Stored
from nasbench_evo.spaces import Genotype, Space
from nasbench_evo.store import Record
from nasbench_evo.suite import Suite, Unit

Truth = Callable[[Genotype], float]  # standalone accuracy of a genotype, percent


@dataclass(frozen=True)
class Run:
    """One run. `curve` is (evaluations spent, accuracy of the incumbent in percent) at each change.

    The accuracy is the one that the search saw; where it searched a table (`on_table`), which
    stores none, it is that of the truth. `standalone` is what the truth says of the result, None
    without a truth. `final` are the trainings of it, as `training.individuals.Trained` has them.
    """

    record: Record
    genotype: Genotype
    curve: list[tuple[float, float]]
    on_table: bool
    standalone: float | None
    final: list[dict[str, Any]]


def space_of(suite: Suite) -> Space:
    """Return the space of a suite that trains; raise InputError for settings that do not fit."""
    kind: Any = settings.Settings if suite.evaluator == "standalone" else settings.SupernetSettings
    chosen = settings.read(kind, suite.evaluator_set)
    made: Space = chosen.make_space(suite.space, chosen.image_size)
    return made


def truth_of(suite: Suite, unit: Unit) -> Truth | None:
    """Return what the truth table says of a genotype, or None without one."""
    if suite.truth is None:
        return None
    table = tables.reported(suite.truth.table)
    known = table.mean_accuracy[table.row(suite.truth.dataset or unit.dataset)]
    return lambda genotype: float(known[table.space.index(genotype)])


def of_unit(stored: Stored, unit: Unit, records: list[Record]) -> list[Run]:
    """Return runs of a unit of a suite that trains."""
    space, truth = space_of(stored.suite), truth_of(stored.suite, unit)
    return [_run(space, truth, unit.row.on_table, record) for record in records]


def notes_of(record: Record) -> dict[str, Any]:
    """Return the notes of a record; those of earlier versions had JSON texts for data."""
    notes: dict[str, Any] = json.loads(record.notes)
    for name in (REPORT, *probing.DATA):
        if isinstance(notes.get(name), str):
            notes[name] = json.loads(notes[name])
    return notes


def _run(space: Space, truth: Truth | None, on_table: bool, record: Record) -> Run:
    genotype = space.validate(json.loads(record.genotype))
    curve = [
        (spent, truth(space.validate(found)) if truth and not seen else seen[0])
        for spent, found, *seen in json.loads(record.curve)
    ]
    return Run(
        record,
        genotype,
        curve,
        on_table,
        None if truth is None else truth(genotype),
        notes_of(record).get(REPORT, []),
    )
