"""Three lines of Python: one search, a comparison of several, and what they give.

`import nasbench_evo as ne; ne.search("eigen", "cifar10", preset="nb201", seed=0)`
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_evo import algorithms, runner, tables
from nasbench_evo.algorithms import Algorithm
from nasbench_evo.engines.tasks import Task, execute
from nasbench_evo.errors import InputError, RunsFailed
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.results import kinds
from nasbench_evo.results.answer import Answer, Asked, answer, by_table
from nasbench_evo.results.columns import Sheet
from nasbench_evo.results.kinds import Findings
from nasbench_evo.results.runs import UnitRuns, decode
from nasbench_evo.runner import Budget, Callback
from nasbench_evo.suite import Entry, Row, Suite, Unit

_OWN = "instance"  # the preset of an algorithm that was given as an object


def search(
    algorithm: str | Algorithm,
    dataset: str = "cifar10",
    *,
    preset: str = "paper",
    seed: int = 0,
    budget: float | Budget = 300,
    table: str = "nasbench201",
    callback: Callback | None = None,
    **hyperparameters: Any,
) -> Answer:
    """Return the answer of one search on a table; the same as `nasbench-evo search`.

    `budget` is a number of evaluations (full trainings) or a `Budget`. An algorithm is a name with
    a preset and changes to it, or an object of one's own. `callback(progress)` is called after each
    answered request, with evaluations spent, best and latest answers; True ends the search. Raises
    InputError for what is unknown or out of range, with its near miss.
    """
    configured, shown = _configured(algorithm, preset, hyperparameters)
    limit = budget if isinstance(budget, Budget) else Budget(_evaluations(budget))
    searched, reported = tables.load(table), tables.reported(table)
    if limit.seconds is not None:
        searched.require_times(dataset)
    evaluator = LookupEvaluator(searched, dataset)
    result = runner.search(configured, evaluator, seed=seed, budget=limit, callback=callback)
    asked = Asked(configured, shown, evaluator.name, dataset, seed)
    return answer(asked, reported.space, result, by_table(reported, dataset, result.genotype))


@dataclass(frozen=True)
class Comparison:
    """Algorithms side by side on one data set, each with the same seeds.

    `found.rows` are the rows of the result table, the best first, as in summary.json.
    """

    found: Findings

    @property
    def sheet(self) -> Sheet:
        """The result table."""
        (table,) = kinds.of(self.found.suite).sheets(self.found)
        return table

    @property
    def verdict(self) -> str:
        """Who won and by how much, in a sentence."""
        return kinds.of(self.found.suite).verdict(self.found, self.sheet)

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame; raises ImportError without pandas."""
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame([dict(row.values) for row in self.found.rows])

    def plot(self, path: Path | str) -> list[Path]:
        """Write the mean regret against evaluations as PNG and SVG at `path` plus their endings."""
        from nasbench_evo.figures import style
        from nasbench_evo.figures.suites import regret

        with style.using():
            figure = regret.figure(self.found.suite, self.found.collected)
            return style.save(figure, Path(path))

    def __str__(self) -> str:
        head, lines = self.sheet.head, self.sheet.lines
        widths = [max(map(len, cells)) for cells in zip(head, *lines, strict=True)]
        rows = [
            "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
            for line in (head, *lines)
        ]
        return "\n".join([*rows, "", self.verdict])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.sheet.head)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self.sheet.lines
        )
        said = html.escape(self.verdict)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{said}</p>"


def compare(
    candidates: Sequence[str | Algorithm],
    dataset: str = "cifar10",
    *,
    preset: str = "paper",
    seeds: int = 50,
    budget: int = 300,
    table: str = "nasbench201",
) -> Comparison:
    """Return algorithms compared on one data set of a table, with the same seeds 0..seeds-1.

    Names have `preset` where they know it, else "paper". Random search is added as what the others
    are compared with. Raises InputError for what is unknown or out of range, RunsFailed where an
    algorithm raises.
    """
    if not candidates:
        raise InputError("compare needs algorithms: names, or objects of your own; got none.")
    if seeds < 1:
        raise InputError(f"compare needs at least 1 seed; got {seeds}.")
    names = [one if isinstance(one, str) else one.name for one in candidates]
    chosen = list(candidates) if "random_search" in names else [*candidates, "random_search"]
    evaluations = int(_evaluations(budget))
    suite = Suite(
        name="comparison",
        table=table,
        datasets=[dataset],
        seeds=seeds,
        evaluations=evaluations,
        checkpoints=[evaluations],
        rows=[Entry(algorithm="random_search")],
    )
    collected = [_runs(suite, _row(one, preset)) for one in chosen]
    labels = [runs.unit.row.label for runs in collected]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"compare was given {label} twice.")
    return Comparison(kinds.of(suite).find(suite, collected))


def _configured(
    algorithm: str | Algorithm, preset: str, changes: dict[str, Any]
) -> tuple[Algorithm, str]:
    if isinstance(algorithm, str):
        return algorithms.get(algorithm).configure(preset, changes), preset
    if not isinstance(algorithm, Algorithm):
        raise InputError(
            f"An algorithm is a name or an Algorithm object; got {algorithm!r}. A class needs its "
            "hyper-parameters: call it."
        )
    if changes:
        raise InputError(f"{', '.join(changes)}: set these when you make the {algorithm.name}.")
    return algorithm, _OWN


def _row(algorithm: str | Algorithm, preset: str) -> Row:
    known = isinstance(algorithm, str) and preset in algorithms.get(algorithm).presets
    configured, shown = _configured(algorithm, preset if known else "paper", {})
    return Row(configured.name, shown, configured)


def _runs(suite: Suite, row: Row) -> UnitRuns:
    (dataset,) = suite.datasets
    unit = Unit(row, dataset, suite.table, Budget(suite.evaluations))
    outcome = execute(Task(unit, row.label, tuple(range(suite.seeds))))
    if outcome.failures:
        seed, trace = outcome.failures[0]
        raise RunsFailed(f"{row.label}, seed {seed}:\n{trace}")
    return UnitRuns(unit, [decode(record) for record in outcome.records])


def _evaluations(budget: Any) -> float:
    if isinstance(budget, bool) or not isinstance(budget, int | float):
        raise InputError(f"A budget is a number of evaluations or a Budget; got {budget!r}.")
    return float(budget)
