"""The runs that a suite stands for: rows on data sets, repeated by its seeds."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasbench_evo import algorithms, tables
from nasbench_evo.algorithms import stand_ins
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.algorithms.stand_ins import Resolved
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators import specifications
from nasbench_evo.evaluators.base import Evaluator, Trainer
from nasbench_evo.evaluators.lookup import HeldOutEvaluator, LookupEvaluator
from nasbench_evo.external import is_outside
from nasbench_evo.files import digest
from nasbench_evo.runner import Budget
from nasbench_evo.store import unit_key
from nasbench_evo.suite.model import Entry, Suite
from nasbench_evo.tables import held_out

_LONGEST = 40  # characters of a value that labels spell out
_MOST_ROWS = 1000  # of a suite, grids expanded


@dataclass(frozen=True)
class Row:
    """One line of the result table: an algorithm in a preset, with changes to it."""

    algorithm: str
    preset: str
    configured: Algorithm
    on_table: bool = False  # in a suite on supernets: it searches the truth table
    changes: tuple[tuple[str, Any], ...] = ()  # what is set beside the preset
    incumbent: str = "seen"  # rule of recommendation, see nasbench_evo.incumbents
    name: str = ""  # what people are told where that is not `algorithm`

    @property
    def preset_name(self) -> str:
        """What people are told of the preset."""
        return self.configured.preset_name(self.preset)

    @property
    def setting(self) -> str:
        """The preset and what is changed of it, e.g. "paper, xi=0.3"."""
        return ", ".join([self.preset_name, *map(change_text, self.changes)])

    @property
    def label(self) -> str:
        """Short name for tables and legends."""
        return self.labelled(self.setting + (", on the table" if self.on_table else ""))

    def labelled(self, setting: str) -> str:
        """Return the name of the algorithm with a setting in brackets."""
        return f"{self.shown} ({setting})"

    @property
    def shown(self) -> str:
        """What people are told of the algorithm: what it is called."""
        return self.name or self.algorithm


def change_text(change: tuple[str, Any]) -> str:
    """Return a changed hyper-parameter as tables name it, e.g. xi=0.3."""
    name, value = change
    text = "; ".join(value) if isinstance(value, tuple) else str(value)
    if len(text) > _LONGEST:  # genotypes of large spaces
        text = f"{text[: _LONGEST // 2]}.. (SHA-256 {digest(text)[:6]})"
    return f"{name}={text}"


@dataclass(frozen=True)
class Unit:
    """A row on a data set: what the seeds of a suite repeat."""

    row: Row
    dataset: str
    table: str
    budget: Budget
    training: specifications.TrainingOptions | specifications.SupernetOptions | None = (
        None  # None: the table
    )
    table_dataset: str | None = None  # where the table's name of the data set is another one
    held_out: bool = False  # the search sees one trial of the table, the report reads the others
    objective: specifications.ObjectiveOptions | None = None  # somebody's own code

    @property
    def epochs(self) -> int | None:
        """How many epochs of shared weights a run trains; None where it shares none."""
        shared = isinstance(self.training, specifications.SupernetOptions)
        return self.training.epochs if shared else None  # type: ignore[union-attr]

    def evaluator(self) -> Evaluator:
        """Return the evaluator that answers this unit's searches."""
        if self.training is not None:
            return self.trainer()
        if self.objective is not None:
            return specifications.objective(self.objective, self.dataset)
        return lookup(self.table, self.of_table, self.held_out)

    @property
    def searched(self) -> str:
        """What the evaluator calls the data set: a table may have a name of its own for it."""
        return self.dataset if self.training is not None else self.of_table

    @property
    def of_table(self) -> str:
        """What the table calls the data set."""
        return self.table_dataset or self.dataset

    def judges(self, seeds: Sequence[int]) -> list[tables.Table]:
        """Return the table that judges what the run of each seed found."""
        if not self.held_out:
            return [tables.reported(self.table)] * len(seeds)
        table = tables.load(self.table)
        return [held_out.split(table, seed).others for seed in seeds]

    def reported(self, seed: int) -> tables.Table:
        """Return the table that judges what the run with a seed found."""
        return self.judges([seed])[0]

    def trainer(self, folder: Path | None = None, workers: int = 1) -> Trainer:
        """Return the evaluator of a unit that trains, `workers` processes a device.

        Runs keep their journals and checkpoints in `folder`. Raises Unsupported for a unit that
        does not train, or where torch is missing.
        """
        if self.training is None:
            raise Unsupported(f"{self.row.label} reads a table and trains nothing.")
        return specifications.trainer(self.training, self.dataset, folder, workers)

    def describe(self) -> dict[str, Any]:
        """Return all that the results depend on, but for the seed, as plain JSON."""
        evaluator = self.evaluator()
        rule = self.row.incumbent
        return {
            "algorithm": self.row.algorithm,
            "hyperparameters": self.row.configured.identity(),
            "space": evaluator.space.name,
            "evaluator": evaluator.identity(),
            "dataset": self.dataset,
            "evaluations": self.budget.evaluations,
            "simulated_seconds": self.budget.seconds,
            # What other rules than "seen" have must not change older units.
            **({} if rule == "seen" else {"incumbent": rule}),
            # Runs that end with seconds keep when each incumbent was found; earlier ones did not.
            **({} if self.budget.seconds is None else {"clock": "stored"}),
        }

    def key(self) -> str:
        """Return the store's key of this unit."""
        return unit_key(self.describe())


@lru_cache(maxsize=8)
def lookup(table: str, dataset: str, one_trial: bool = False) -> LookupEvaluator | HeldOutEvaluator:
    """Return the evaluator of a table's data set, kept for the next unit of this process."""
    kind = HeldOutEvaluator if one_trial else LookupEvaluator
    return kind(tables.load(table), dataset)


def rows(suite: Suite) -> list[Row]:
    """Return the rows of a suite, grids expanded; raise InputError if two are the same."""
    result: list[Row] = []
    names = _own_names(suite)
    for entry in suite.rows:
        cls = algorithms.get(entry.algorithm)
        number = math.prod(map(len, entry.grid.values()))
        if len(result) + number > _MOST_ROWS:
            raise InputError(
                f"The suite {suite.name} has more than {_MOST_ROWS} rows: the grid of "
                f"{entry.algorithm} alone has {number}. Make it smaller, or several suites."
            )
        for changes in _combinations(entry):
            configured = cls.configure(entry.preset, changes)
            on_table = entry.evaluator is not None
            own = {} if entry.incumbent is None else {"incumbent": entry.incumbent}
            made, rule = tuple({**changes, **own}.items()), _incumbent(suite, entry, cls)
            name = names.get(entry.algorithm, "")
            row = Row(entry.algorithm, entry.preset, configured, on_table, made, rule, name)
            result.append(row)
    for label, number in Counter(row.label for row in result).items():
        if number > 1:
            raise InputError(f"The suite {suite.name} has the row {label} twice.")
    return result


def _own_names(suite: Suite) -> dict[str, str]:
    """Return the names that classes of other people's code have, where no two rows share one."""
    known = {entry.algorithm for entry in suite.rows}
    names = {name: algorithms.get(name).name for name in known if is_outside(name)}
    taken = Counter([*names.values(), *(name for name in known if name not in names)])
    return {name: own for name, own in names.items() if taken[own] == 1}


def resolved(suite: Suite) -> list[Resolved]:
    """Return the rows of algorithms of other people's code, as `named` reads them."""
    return [
        Resolved(
            row.algorithm,
            row.preset,
            dict(row.changes),
            row.configured.identity(),
            row.configured.name,
            row.preset_name,
            type(row.configured).configure(row.preset).identity(),
        )
        for row in rows(suite)
        if is_outside(row.algorithm)
    ]


def named(suite: Suite, known: Sequence[Resolved] | None) -> None:
    """Let the rows of a suite be read by name: no `package.module:Class` of it is imported.

    `known` are the rows as they were run; None where the suite was not run: they are then taken
    at their word. Raises InputError where `known` lacks a row.
    """
    for name in {entry.algorithm for entry in suite.rows if is_outside(entry.algorithm)}:
        if known is None:
            mine = [
                Resolved(name, entry.preset, {}, {**entry.set, **dict.fromkeys(entry.grid, 0)})
                for entry in suite.rows
                if entry.algorithm == name
            ]
            stand_ins.stand_in(name, mine, at_their_word=True)
            continue
        mine = [row for row in known if row.algorithm == name]
        missing = {e.preset for e in suite.rows if e.algorithm == name} - {r.preset for r in mine}
        if missing:
            raise InputError(
                f"The results of {name} do not say its hyper-parameters: they are of an earlier "
                "version. Give their `nasbench-evo run` again, which adds them and repeats nothing."
            )
        stand_ins.stand_in(name, mine)


def _incumbent(suite: Suite, entry: Entry, cls: type[Algorithm]) -> str:
    """Return the rule of a row: its own, the suite's, the algorithm's; shared weights have one."""
    if suite.evaluator == "supernet" and entry.evaluator is None:
        return "seen"
    return entry.incumbent or suite.incumbent or cls.incumbent


def _combinations(entry: Entry) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*entry.grid.values()):
        yield {**entry.set, **dict(zip(entry.grid, values, strict=True))}


def search_epochs(algorithm: Algorithm) -> int:
    """Return how many epochs an algorithm trains shared weights: the length of their schedule.

    Raises Unsupported if it trains none.
    """
    epochs: int | None = getattr(algorithm, "epochs", None)
    if epochs is None and isinstance(algorithm, stand_ins.StandIn):
        return 1  # not known, and nothing is trained
    if epochs is None:
        raise Unsupported(
            f"{algorithm.name} trains no shared weights: a supernet would stay as it was drawn. "
            "Use genetic_nas, eg_nas, random_search_ws or darts; or the evaluator standalone."
        )
    return epochs
