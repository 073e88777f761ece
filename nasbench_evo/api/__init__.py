"""Three lines of Python: one search, and a comparison of several.

`import nasbench_evo as ne; ne.search("eigen", "cifar10", preset="nb201", seed=0)`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo import external, runner, suite
from nasbench_evo.algorithms import Algorithm
from nasbench_evo.api import arguments
from nasbench_evo.api.results import Comparison, Plot, Result
from nasbench_evo.engines.tasks import Task, execute
from nasbench_evo.errors import InputError, RunsFailed
from nasbench_evo.evaluators import specifications
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.incumbents import incumbent_accuracies
from nasbench_evo.randomness import seed_of
from nasbench_evo.results import answer as answers
from nasbench_evo.results import kinds
from nasbench_evo.results.answer import Asked
from nasbench_evo.results.rows import BASELINE
from nasbench_evo.results.runs import UnitRuns, decode
from nasbench_evo.runner import Budget, Callback
from nasbench_evo.spaces import Genotype
from nasbench_evo.suite import Entry, Suite, Unit
from nasbench_evo.tables import Table

__all__ = ["Comparison", "Plot", "Result", "compare", "search"]

_MOST_SEEDS = 100_000


def search(
    algorithm: str | Algorithm,
    dataset: str | None = None,
    *,
    preset: str = "paper",
    seed: int | np.random.Generator = 0,
    budget: float | Budget = 300,
    table: str | Path | Table | None = None,
    evaluator: Evaluator | None = None,
    callback: Callback | None = None,
    **hyperparameters: Any,
) -> Result:
    """Return the result of one search on a table; the same as `nasbench-evo search`.

    `algorithm` is a name with a `preset` and changes to it, or an object of one's own. `dataset` is
    one of the table's (default cifar10, or the table's first). `budget` is a number of evaluations
    (full trainings) or a `Budget`; `table` a name, the path of a .table file, or a Table. With an
    `evaluator` that answers instead, such as an `Objective` of one's own, there is no table.
    `callback(progress)` is called after each answered request, with evaluations spent, best and
    latest answers; True ends the search. Raises InputError for what is unknown or out of range,
    with its near miss.
    """
    configured, shown = arguments.configured(algorithm, preset, hyperparameters)
    limit, number = arguments.budget_of(budget), seed_of(seed)
    if callback is not None and not callable(callback):
        raise InputError(f"callback is a function of the progress; got {callback!r:.60}.")
    if evaluator is not None:
        asking = arguments.own_evaluator(evaluator, dataset, table)
        answers.require_seconds(asking, limit)
        judged_by, space = None, asking.space
        searched = None
    else:
        searched, judged_by = arguments.tables_of(table)
        name = arguments.dataset_of(searched, dataset)
        if limit.seconds is not None:
            searched.require_times(name)
        asking, space = LookupEvaluator(searched, name), judged_by.space
    result = runner.search(configured, asking, seed=number, budget=limit, callback=callback)
    asked = Asked(configured, shown, asking.name, asking.dataset, number)
    if searched is None or judged_by is None:
        judged = answers.by_objective(asking, result, external.spelled(type(asking)))
    else:
        judged = answers.of_search(searched, judged_by, asking.dataset, result)
    plain = answers.answer(asked, space, result, judged)

    def regret(genotype: Genotype) -> float | None:
        return None if judged_by is None else judged_by.regret(asking.dataset, genotype)

    return Result(
        **plain.to_json(),
        history=tuple(result.history),
        _course=incumbent_accuracies(result.history, result.incumbent),
        _judge=regret,
        _format=space.format,
    )


def compare(
    candidates: str | Algorithm | Sequence[str | Algorithm],
    dataset: str | None = None,
    *,
    preset: str = "paper",
    seeds: int = 50,
    budget: float | Budget = 300,
    table: str | Path | Table | None = None,
    evaluator: Evaluator | None = None,
) -> Comparison:
    """Return algorithms compared on one data set, with the same seeds 0..seeds-1.

    Names have `preset` where they know it, else "paper"; objects of one's own are called by their
    `name` and by the preset whose values they have. Random search is added as what the others are
    compared with. `dataset`, `budget`, `table` and `evaluator` are those of `search`. Raises
    InputError for what is unknown or out of range, RunsFailed where an algorithm raises.
    """
    chosen = arguments.candidates_of(candidates)
    entries = [arguments.entry(one, preset) for one in chosen]
    if not any(entry.algorithm == BASELINE for entry in entries):
        entries.append(Entry(algorithm=BASELINE))
    number, limit = arguments.counted("seeds", seeds, _MOST_SEEDS), arguments.budget_of(budget)
    content: dict[str, Any] = {"name": "comparison", "seeds": number, "rows": entries}
    content["description"] = "Compared in Python, nasbench_evo.compare."
    content |= arguments.keys_of_budget(limit)
    if evaluator is not None:
        asking = arguments.own_evaluator(evaluator, dataset, table)
        answers.require_seconds(asking, limit)
        one = Suite(**content, datasets=[asking.dataset], **arguments.keys_of_evaluator(asking))
        specifications.stand_in(suite.objective_options(one), asking.dataset, asking)
    else:
        searched, _ = arguments.tables_of(table)
        name = arguments.dataset_of(searched, dataset)
        if limit.seconds is not None:
            searched.require_times(name)
        one = Suite(**content, datasets=[name], table=arguments.table_name(table))
    suite.kind_of(one).check(one)
    collected = [_runs(unit, number) for unit in suite.units(one)]
    where = "" if evaluator is not None else f", {one.datasets[0]!r}"
    shown = ", ".join(
        repr(name) if isinstance(name, str) else f"{type(name).__name__}(...)" for name in chosen
    )
    call = f"nasbench_evo.compare([{shown}]{where}, preset={preset!r}, seeds={number}, ...)"
    return Comparison(kinds.of(one).find(one, collected), call)


def _runs(unit: Unit, seeds: int) -> UnitRuns:
    outcome = execute(Task(unit, unit.row.label, tuple(range(seeds))))
    if outcome.failures:
        seed, trace = outcome.failures[0]
        raise RunsFailed(f"{unit.row.label}, seed {seed}:\n{trace}")
    return UnitRuns(unit, [decode(record) for record in outcome.records])
