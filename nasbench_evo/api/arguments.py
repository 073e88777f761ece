"""What people give to `search` and `compare`, checked: InputError says what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo import algorithms, external, spaces, tables
from nasbench_evo.algorithms import Algorithm
from nasbench_evo.algorithms.external import given
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.runner import Budget
from nasbench_evo.suite import Entry, change_text
from nasbench_evo.tables import Table, embedded


def configured(algorithm: Any, preset: Any, changes: dict[str, Any]) -> tuple[Algorithm, str]:
    """Return the algorithm that is meant, and what people are told of its setting."""
    if isinstance(algorithm, str):
        made = algorithms.get(algorithm).configure(_text("preset", preset), changes)
        return made, made.preset_name(preset)
    _require_algorithm(algorithm)
    if changes:
        raise InputError(f"{', '.join(changes)}: set these when you make the {algorithm.name}.")
    known, own = _preset_of(algorithm)
    return algorithm, ", ".join([algorithm.preset_name(known), *map(change_text, own.items())])


def _require_algorithm(algorithm: Any) -> None:
    if not isinstance(algorithm, Algorithm):
        hint = "A class needs its hyper-parameters: call it." if isinstance(algorithm, type) else ""
        raise InputError(
            f"An algorithm is a name or an Algorithm object; got {algorithm!r:.60}. {hint}".rstrip()
        )


def _preset_of(algorithm: Algorithm) -> tuple[str, dict[str, Any]]:
    """Return the preset whose values an algorithm has, or the first with what is changed of it."""
    cls, values = type(algorithm), algorithm.hyperparameters()
    known = {name: cls.configure(name).hyperparameters() for name in cls.presets}
    for name, theirs in known.items():
        if theirs == values:
            return name, {}
    name = next(iter(known), "paper")
    theirs = known.get(name, {})
    return name, {key: value for key, value in values.items() if theirs.get(key) != value}


def candidates_of(candidates: Any) -> list[str | Algorithm]:
    """Return what is compared as a list; a single one is a list of one."""
    if isinstance(candidates, str | Algorithm):
        return [candidates]
    try:
        chosen = list(candidates)
    except TypeError:
        raise InputError(
            f"compare needs a list of names, or of objects of your own; got {candidates!r:.60}."
        ) from None
    if not chosen:
        raise InputError("compare needs algorithms: names, or objects of your own; got none.")
    return chosen


def entry(algorithm: Any, preset: Any) -> Entry:
    """Return the row of a candidate, checked."""
    if isinstance(algorithm, str):
        known = algorithms.get(algorithm).presets
        fallback = "paper" if "paper" in known else next(iter(known))
        return Entry(algorithm=algorithm, preset=preset if preset in known else fallback)
    _require_algorithm(algorithm)
    name, changes = _preset_of(algorithm)
    builtin = algorithms.ALGORITHMS.get(algorithm.name) is type(algorithm)
    spelled = algorithm.name if builtin else given(type(algorithm))
    return Entry(algorithm=spelled, preset=name, set=changes)


def budget_of(budget: Any) -> Budget:
    """Return a budget; a number is one of evaluations."""
    if isinstance(budget, Budget):
        return budget
    if isinstance(budget, bool) or not isinstance(budget, int | float | np.number):
        raise InputError(f"A budget is a number of evaluations or a Budget; got {budget!r:.60}.")
    return Budget(float(budget))


def keys_of_budget(limit: Budget) -> dict[str, Any]:
    """Return a budget as the keys of a suite."""
    found: dict[str, Any] = {}
    if limit.evaluations is not None:
        if limit.evaluations != int(limit.evaluations) or limit.evaluations < 1:
            raise InputError(
                f"compare needs a whole number of evaluations; got {limit.evaluations:g}."
            )
        found["evaluations"] = int(limit.evaluations)
    if limit.seconds is not None:
        found["simulated_seconds"] = float(limit.seconds)
    return found


def tables_of(table: Any) -> tuple[Table, Table]:
    """Return the table that is searched, and the one that results are read from."""
    if isinstance(table, Table):
        return table, table
    name = table_name(table)
    return tables.load(name), tables.reported(name)


def table_name(table: Any) -> str:
    """Return the name of a table by which a suite knows it, or the path of its file."""
    if table is None:
        return embedded.NAME
    if isinstance(table, Table):
        if table.name in tables.known() and tables.load(table.name).sha256 == table.sha256:
            return table.name
        raise InputError(
            f"compare knows tables by name, and {table.name} is none of them: give the path of its "
            ".table file, or import it."
        )
    if isinstance(table, Path):
        return str(table.absolute())
    if not isinstance(table, str):
        raise InputError(
            f"A table is a name, the path of a .table file, or a Table; got {table!r:.60}."
        )
    return str(Path(table).absolute()) if tables.is_path(table) else table


def dataset_of(table: Table, dataset: Any) -> str:
    """Return the data set that is meant; raise InputError with the near miss."""
    if dataset is None:
        return "cifar10" if "cifar10" in table.datasets else table.datasets[0]
    table.row(_text("dataset", dataset))
    return str(dataset)


def own_evaluator(evaluator: Any, dataset: Any, table: Any) -> Evaluator:
    """Return an evaluator of one's own; raise InputError where it is none."""
    lacking = [
        name
        for name in ("name", "dataset", "space", "identity", "start")
        if not hasattr(evaluator, name)
    ]
    if isinstance(evaluator, type) or lacking:
        hint = "call the class" if isinstance(evaluator, type) else f"it has no {lacking[0]}"
        raise InputError(
            f"An evaluator is an object, such as an Objective of your own; got {evaluator!r:.60}: "
            f"{hint}."
        )
    if table is not None:
        raise InputError("An evaluator answers instead of a table: give one of them.")
    if dataset is not None and dataset != evaluator.dataset:
        raise InputError(
            f"The evaluator is of {evaluator.dataset!r}; got the dataset {dataset!r}. Leave it out."
        )
    own: Evaluator = evaluator
    return own


def keys_of_evaluator(evaluator: Evaluator) -> dict[str, Any]:
    """Return an evaluator as the keys of a suite: its class, its space, and its plain settings."""
    plain = {
        key: value
        for key, value in evaluator.identity().items()
        if isinstance(value, str | int | float | bool) and key not in ("evaluator", "dataset")
    }
    space = evaluator.space
    known = spaces.SPACES.get(space.name) is type(space)
    return {
        "evaluator": external.spelled(type(evaluator)),
        "space": space.name if known else external.spelled(type(space)),
        "evaluator_set": plain,
    }


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{what} is a text; got {value!r:.60}.")
    return value


def counted(what: str, value: Any, most: int) -> int:
    """Return a whole number of 1..most."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 1 <= value <= most:
        raise InputError(f"{what} is a whole number, at least 1 and at most {most}; got {value!r}.")
    return int(value)


def path_of(path: Any) -> Path:
    """Return a path that is given as text or Path."""
    if not isinstance(path, str | Path) or not str(path):
        raise InputError(f"A path is a text or a Path; got {path!r:.60}.")
    return Path(path)
