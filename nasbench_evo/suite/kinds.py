"""What the evaluator of a suite decides: its units, its checks, and the keys that matter to it."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

from nasbench_evo import spaces, tables
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators import specifications
from nasbench_evo.evaluators.objective import StandIn, has_times
from nasbench_evo.evaluators.probing import Probe
from nasbench_evo.files import canonical
from nasbench_evo.runner import Budget
from nasbench_evo.spaces import Space, outside
from nasbench_evo.suite.model import OF_BUDGETS, OF_SUPERNETS, Suite
from nasbench_evo.suite.units import Row, Unit, lookup, rows, search_epochs
from nasbench_evo.tables import held_out

Specification: TypeAlias = specifications.TrainingOptions | specifications.SupernetOptions
NO_LIMIT = 10**9  # evaluations of a search that ends with its epochs


class TrainedSearch(NamedTuple):
    """A single search that trains, as the command line asks for it.

    `values` are the settings of its trainings, `final` those of the trainings of what a supernet
    found (None: it is not trained).
    """

    algorithm: Algorithm
    space: str
    dataset: str
    values: Mapping[str, Any]
    final: Mapping[str, Any] | None
    devices: tuple[str, ...]


class SuiteKind(ABC):
    """A kind of suite, by what answers its searches."""

    name: ClassVar[str]
    trains: ClassVar[bool] = True
    unused: ClassVar[frozenset[str]]  # keys that do not change a suite's results
    default_evaluations: ClassVar[int] = 300  # of a single search
    shares_weights: ClassVar[bool] = False  # a search then trains epochs, not candidates
    reads_table: ClassVar[bool] = False

    @abstractmethod
    def check(self, suite: Suite) -> None:
        """Raise InputError where the content of a suite does not fit; needs no image data."""

    @abstractmethod
    def units(self, suite: Suite) -> list[Unit]:
        """Return every row on every data set, in file order."""

    def specification(self, search: TrainedSearch) -> Specification:
        """Return how a single search trains, checked; Unsupported where nothing is trained."""
        raise Unsupported(f"A {self.name} trains nothing.")

    def table(self, suite: Suite) -> str | None:
        """Return the name of the table that results are read from, if there is one."""
        return None

    def length(self, suite: Suite) -> str:
        """Return how long a run is, for `run --dry-run`."""
        return f" x {suite.length}"


def _fits(algorithm: Algorithm, space: Space, *, shared: bool = False) -> None:
    """Raise Unsupported where an algorithm cannot search the space, or needs shared weights."""
    algorithm.check_space(space)
    need = "" if shared else algorithm.shared_only()
    if need:
        raise Unsupported(
            f"{algorithm.name}: {need} means something with shared weights only. Leave it out, or "
            'use evaluator = "supernet".'
        )


class LookupSuite(SuiteKind):
    """Searches read a table."""

    name = "lookup"
    trains = False
    reads_table = True
    unused = frozenset({"evaluator", "space", "evaluator_set", *OF_SUPERNETS})

    def check(self, suite: Suite) -> None:
        """A table has its own space, and its own data sets."""
        if "space" in suite.model_fields_set or suite.evaluator_set:
            raise InputError(
                'space and evaluator_set need evaluator = "standalone"; a lookup has a table.'
            )
        table = _searched(suite)
        for row in rows(suite):
            _fits(row.configured, table.space)
        for dataset in suite.datasets:
            # refuses a data set without validation accuracies, or with single trials
            lookup(suite.table, dataset, suite.held_out)
            if suite.simulated_seconds is not None:
                table.require_times(dataset)
        for dataset in suite.reported:
            tables.reported(suite.table).row(dataset)
            if suite.held_out:
                held_out.check(table, dataset)

    def units(self, suite: Suite) -> list[Unit]:
        """Return a unit for each row and data set."""
        return _budgeted(suite)

    def table(self, suite: Suite) -> str | None:
        """Return the table that is searched."""
        return suite.table


class StandaloneSuite(SuiteKind):
    """Every candidate is trained alone."""

    name = "standalone"
    unused = frozenset({"table", *OF_SUPERNETS})

    def check(self, suite: Suite) -> None:
        """Settings, data sets and algorithms must fit the space."""
        space = specifications.check(suite.space, suite.evaluator_set, suite.datasets)
        for row in rows(suite):
            _fits(row.configured, space)

    def specification(self, search: TrainedSearch) -> Specification:
        """Return how every candidate is trained."""
        space = specifications.check(search.space, search.values, [search.dataset])
        _fits(search.algorithm, space)
        return specifications.TrainingOptions(
            search.space, canonical(search.values), search.devices
        )

    def units(self, suite: Suite) -> list[Unit]:
        """Return a unit for each row and data set."""
        settings = canonical(suite.evaluator_set)
        return _budgeted(
            suite, specifications.TrainingOptions(suite.space, settings, tuple(suite.devices))
        )


class SupernetSuite(SuiteKind):
    """Candidates share weights; a truth table may judge what is found."""

    name = "supernet"
    unused = frozenset(OF_BUDGETS)
    default_evaluations = NO_LIMIT  # a search ends with its epochs
    shares_weights = True

    def specification(self, search: TrainedSearch) -> Specification:
        """Return how the shared weights are trained, and what was found after it."""
        epochs = search_epochs(search.algorithm)
        values = specifications.shared_settings(
            search.algorithm.shared_settings(search.space), search.values, search.dataset
        )
        if len(search.devices) != 1:
            raise InputError(f"A supernet trains on one device; got {', '.join(search.devices)}.")
        space = specifications.check_supernet(
            search.space, values, search.final, [search.dataset], search.devices
        )
        search.algorithm.check_space(space)
        last = None if search.final is None else canonical(search.final)
        return specifications.SupernetOptions(
            search.space, canonical(values), search.devices, epochs, None, last
        )

    def check(self, suite: Suite) -> None:
        """Settings, truth and algorithms must fit the space, and searches must have epochs."""
        space = specifications.check_supernet(
            suite.space, suite.evaluator_set, suite.final_set, suite.datasets, suite.devices
        )
        self._check_truth(suite, space)
        for row in rows(suite):
            _fits(row.configured, space, shared=not row.on_table)
            search_epochs(row.configured)
            for dataset in suite.datasets:
                values = self._settings(suite, row, dataset)
                specifications.check_supernet(suite.space, values, None, [dataset], suite.devices)

    def _check_truth(self, suite: Suite, space: Space) -> None:
        if suite.truth is None:
            return
        table = tables.load(suite.truth.table)
        if table.space.name != space.name:
            raise InputError(
                f"The truth table {table.name} is of the space {table.space.name}; the suite's is "
                f"{space.name}."
            )
        for dataset in suite.datasets:
            table.row(suite.truth.dataset or dataset)

    def units(self, suite: Suite) -> list[Unit]:
        """Return a unit for each row and data set: on its supernet, or on the truth table."""
        known = rows(suite)
        return [self._unit(suite, row, d) for d in suite.datasets for row in known]

    def _unit(self, suite: Suite, row: Row, dataset: str) -> Unit:
        truth, budget = suite.truth, Budget(NO_LIMIT)
        table, called = ("", None) if truth is None else (truth.table, truth.dataset)
        if row.on_table and truth is not None:
            return Unit(row, dataset, table, budget, None, called)
        probe = suite.rank_correlation
        training = specifications.SupernetOptions(
            suite.space,
            canonical(self._settings(suite, row, dataset)),
            tuple(suite.devices),
            search_epochs(row.configured),
            None if probe is None else Probe(probe.cells, probe.every),
            None if suite.final_set is None else canonical(suite.final_set),
        )
        return Unit(row, dataset, table, budget, training, called)

    def _settings(self, suite: Suite, row: Row, dataset: str) -> dict[str, Any]:
        """Return the settings of a row's shared weights."""
        asked = row.configured.shared_settings(suite.space)
        return specifications.shared_settings(asked, suite.evaluator_set, dataset)

    def table(self, suite: Suite) -> str | None:
        """Return the truth table."""
        return None if suite.truth is None else suite.truth.table

    def length(self, suite: Suite) -> str:
        """Return nothing: a run ends with the epochs of its search."""
        return ""


class ObjectiveSuite(SuiteKind):
    """An objective of somebody's own code answers."""

    name = "objective"
    trains = False
    unused = frozenset({"table", "devices", *OF_SUPERNETS})

    def check(self, suite: Suite) -> None:
        """The objective takes its settings; algorithms must fit the space."""
        for unit in self.units(suite):
            evaluator = unit.evaluator()
            if type(evaluator) is StandIn:
                continue  # what is not imported cannot be checked
            _fits(unit.row.configured, evaluator.space)
            if suite.simulated_seconds is not None and not has_times(evaluator):
                raise InputError(
                    f"{suite.evaluator} has no seconds(genotype), and simulated_seconds would "
                    "never end: write it, or give the budget in evaluations."
                )

    def units(self, suite: Suite) -> list[Unit]:
        """Return a unit for each row and data set."""
        return _budgeted(suite, objective=objective_options(suite))


def objective_options(suite: Suite) -> specifications.ObjectiveOptions:
    """Return what makes the objective of a suite."""
    settings = canonical(suite.evaluator_set)
    return specifications.ObjectiveOptions(suite.evaluator, suite.space, settings)


def identified(suite: Suite) -> dict[str, Any]:
    """Return what stands for an objective of somebody's own code, by data set; plain JSON."""
    if not suite.own:
        return {}
    options = objective_options(suite)
    made = {name: specifications.objective(options, name) for name in suite.datasets}
    return {
        name: {"name": one.name, "space": one.space.name, "identity": one.identity()}
        for name, one in made.items()
    }


def name_objective(suite: Suite, known: Mapping[str, Any] | None) -> None:
    """Let the objective of a suite be read by name: its code is not imported.

    `known` is what `identified` said when the suite was run; None where it was not run. Raises
    InputError where `known` lacks a data set.
    """
    options = objective_options(suite)
    for dataset in suite.datasets if suite.own else ():
        if known is not None and dataset not in known:
            raise InputError(f"The results do not say what {suite.evaluator} is of {dataset}.")
        said: dict[str, Any] = {"name": suite.evaluator, "space": suite.space, "identity": {}}
        said |= known[dataset] if known is not None else {}
        known_space = spaces.SPACES.get(suite.space)
        space = outside.StandIn(str(said["space"])) if known_space is None else known_space()
        one = StandIn(str(said["name"]), dataset, space, said["identity"])
        specifications.stand_in(options, dataset, one)


OWN = ObjectiveSuite()
KINDS: dict[str, SuiteKind] = {
    kind.name: kind for kind in (LookupSuite(), StandaloneSuite(), SupernetSuite())
}


def _searched(suite: Suite) -> tables.Table:
    """Return the table of a suite; raise InputError that says how to bring one that is missing."""
    name, _, epochs = suite.table.partition("@")
    try:
        return tables.load(suite.table)
    except InputError as error:
        if name in tables.EMBEDDED or name not in tables.known():
            length = f" with trainings of {epochs} epochs" if epochs else ""
            raise InputError(
                f"{error} {suite.name} searches the table {name}{length}. Import it: nasbench-evo "
                f"table import FILE --name {name}. {suite.description}".rstrip()
            ) from error
        raise


def of(suite: Suite) -> SuiteKind:
    """Return the kind of a suite."""
    return OWN if suite.own else KINDS[suite.evaluator]


def units(suite: Suite) -> list[Unit]:
    """Return every row on every data set, in file order."""
    return of(suite).units(suite)


def table_of(suite: Suite) -> str | None:
    """Return the name of the table that a suite's results are read from, if there is one."""
    return of(suite).table(suite)


def require_table(suite: Suite) -> None:
    """Raise Unsupported for a suite whose candidates are trained: it has no regret to compare."""
    if not of(suite).reads_table:
        raise Unsupported(
            f"{suite.name} reads no table ({suite.evaluator}); this needs a suite that does "
            '(evaluator = "lookup").'
        )


def _budgeted(
    suite: Suite,
    training: specifications.TrainingOptions | None = None,
    objective: specifications.ObjectiveOptions | None = None,
) -> list[Unit]:
    known = rows(suite)
    table = suite.table if objective is None else ""
    return [
        Unit(
            *(row, dataset, table, suite.budget, training),
            held_out=suite.held_out,
            objective=objective,
        )
        for dataset in suite.datasets
        for row in known
    ]


def identity(suite: Suite) -> str:
    """Return the text that two suites share exactly if their results belong in one folder.

    The number of seeds is left out, so that a folder can grow, and so are devices: another kind of
    device gives other units.
    """
    kind = of(suite)
    content = suite.model_dump(exclude={"seeds", "description", "devices", *kind.unused})
    for part in (content, *content["rows"]):  # what is not given must not change older folders
        for key in ("incumbent", "report_on"):
            if not part.get(key):
                part.pop(key, None)
    if not suite.held_out:
        content.pop("report", None)
    if suite.by_seconds and suite.budget.evaluations is None:
        content.pop("evaluations", None)  # read back, it would be a limit
    if not suite.by_epochs:  # what only supernets have must not change older folders
        for row in content["rows"]:
            del row["evaluator"]
    return canonical(content)


def sha256(suite: Suite) -> str:
    """Return the hash of the whole suite, seeds included."""
    content = {**json.loads(identity(suite)), "seeds": suite.seeds}
    content["description"] = suite.description
    return hashlib.sha256(canonical(content).encode()).hexdigest()
