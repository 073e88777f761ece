"""The runs that a suite stands for: rows on data sets, repeated by its seeds."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_evo import algorithms, tables
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators import specifications
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.evaluators.probing import Probe
from nasbench_evo.runner import Budget
from nasbench_evo.store import canonical, unit_key
from nasbench_evo.suite.model import OF_BUDGETS, OF_SUPERNETS, Entry, Suite

if TYPE_CHECKING:
    from nasbench_evo.evaluators.specifications import Trainer

_UNUSED = {  # keys that do not change a suite's results
    "lookup": {"evaluator", "space", "evaluator_set", *OF_SUPERNETS},
    "standalone": {"table", *OF_SUPERNETS},
    "supernet": OF_BUDGETS,
}
_NO_LIMIT = 10**9  # evaluations of a search that ends with its epochs


@dataclass(frozen=True)
class Row:
    """One line of the result table: an algorithm in a preset, with changes to it."""

    algorithm: str
    preset: str  # with the changes behind it, e.g. "paper, xi=0.3"
    configured: Algorithm
    on_table: bool = False  # in a suite on supernets: it searches the truth table
    incumbent: str = "seen"  # rule of recommendation, see nasbench_evo.incumbents

    @property
    def label(self) -> str:
        """Short name for tables and legends."""
        return f"{self.algorithm} ({self.preset}{', on the table' if self.on_table else ''})"


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

    def evaluator(self) -> Evaluator:
        """Return the evaluator that answers this unit's searches."""
        if self.training is not None:
            return self.trainer()
        return lookup(self.table, self.table_dataset or self.dataset)

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
            "hyperparameters": self.row.configured.hyperparameters(),
            "space": evaluator.space.name,
            "evaluator": evaluator.identity(),
            "dataset": self.dataset,
            "evaluations": self.budget.evaluations,
            "simulated_seconds": self.budget.seconds,
            # What other rules than "seen" have must not change older units.
            **({} if rule == "seen" else {"incumbent": rule}),
        }

    def key(self) -> str:
        """Return the store's key of this unit."""
        return unit_key(self.describe())


@lru_cache(maxsize=8)
def lookup(table: str, dataset: str) -> LookupEvaluator:
    """Return the evaluator of a table's data set, kept for the next unit of this process."""
    return LookupEvaluator(tables.load(table), dataset)


def rows(suite: Suite) -> list[Row]:
    """Return the rows of a suite, grids expanded; raise InputError if two are the same."""
    result: list[Row] = []
    for entry in suite.rows:
        cls = algorithms.get(entry.algorithm)
        for changes in _combinations(entry):
            configured = cls.configure(entry.preset, changes)
            changed = [f"{key}={value}" for key, value in changes.items()]
            if entry.incumbent is not None:
                changed.append(f"incumbent={entry.incumbent}")
            preset = ", ".join([entry.preset, *changed])
            on_table = entry.evaluator is not None
            rule = _incumbent(suite, entry, cls)
            result.append(Row(entry.algorithm, preset, configured, on_table, rule))
    labels = [row.label for row in result]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"The suite {suite.name} has the row {label} twice.")
    return result


def _incumbent(suite: Suite, entry: Entry, cls: type[Algorithm]) -> str:
    """Return the rule of a row: its own, the suite's, the algorithm's; shared weights have one."""
    if suite.evaluator == "supernet" and entry.evaluator is None:
        return "seen"
    return entry.incumbent or suite.incumbent or cls.incumbent


def _combinations(entry: Entry) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*entry.grid.values()):
        yield {**entry.set, **dict(zip(entry.grid, values, strict=True))}


def units(suite: Suite) -> list[Unit]:
    """Return every row on every data set, in file order."""
    if suite.evaluator == "supernet":
        return [_on_supernet(suite, row, d) for d in suite.datasets for row in rows(suite)]
    budget = Budget(suite.evaluations, suite.simulated_seconds)
    training = None
    if suite.evaluator == "standalone":
        settings = canonical(suite.evaluator_set)
        training = specifications.TrainingOptions(suite.space, settings, tuple(suite.devices))
    return [
        Unit(row, dataset, suite.table, budget, training)
        for dataset in suite.datasets
        for row in rows(suite)
    ]


def _on_supernet(suite: Suite, row: Row, dataset: str) -> Unit:
    """Return a row of a suite on supernets: its own supernet, or the truth table."""
    table = "" if suite.truth is None else suite.truth.table
    budget = Budget(_NO_LIMIT)
    if row.on_table and suite.truth is not None:
        return Unit(row, dataset, table, budget, None, suite.truth.dataset)
    probe = suite.rank_correlation
    training = specifications.SupernetOptions(
        suite.space,
        canonical(suite.evaluator_set),
        tuple(suite.devices),
        search_epochs(row.configured),
        None if probe is None else Probe(probe.cells, probe.every),
        None if suite.final_set is None else canonical(suite.final_set),
    )
    return Unit(row, dataset, table, budget, training)


def identity(suite: Suite) -> str:
    """Return the text that two suites share exactly if their results belong in one folder.

    The number of seeds is left out, so that a folder can grow, and so are devices: another kind of
    device gives other units.
    """
    unused = _UNUSED[suite.evaluator]
    content = suite.model_dump(exclude={"seeds", "description", "devices", *unused})
    for part in (content, *content["rows"]):  # what is not given must not change older folders
        if part.get("incumbent") is None:
            part.pop("incumbent", None)
    if suite.evaluator != "supernet":  # what only those have must not change older folders
        for row in content["rows"]:
            del row["evaluator"]
    return canonical(content)


def sha256(suite: Suite) -> str:
    """Return the hash of the whole suite, seeds included."""
    content = {**json.loads(identity(suite)), "seeds": suite.seeds}
    content["description"] = suite.description
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def search_epochs(algorithm: Algorithm) -> int:
    """Return how many epochs an algorithm trains shared weights: the length of their schedule.

    Raises Unsupported if it trains none.
    """
    epochs: int | None = getattr(algorithm, "epochs", None)
    if epochs is None:
        raise Unsupported(
            f"{algorithm.name} trains no shared weights: a supernet would stay as it was drawn. "
            "Use genetic_nas, eg_nas, random_search_ws or darts; or the evaluator standalone."
        )
    return epochs
