"""Three lines of Python: one search, a comparison of several, and what they give.

`import nasbench_evo as ne; ne.search("eigen", "cifar10", preset="nb201", seed=0)`
"""

from __future__ import annotations

import html
import importlib
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_evo import algorithms, runner, spaces, suite, tables
from nasbench_evo.algorithms import Algorithm, external
from nasbench_evo.engines.tasks import Task, execute
from nasbench_evo.errors import InputError, RunsFailed, Unsupported
from nasbench_evo.evaluators import specifications
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.files import write_text
from nasbench_evo.incumbents import incumbent_accuracies
from nasbench_evo.randomness import seed_of
from nasbench_evo.requests import Evaluation
from nasbench_evo.results import answer as answers
from nasbench_evo.results import kinds, manifest
from nasbench_evo.results.answer import Answer, Asked
from nasbench_evo.results.columns import ResultRow, Sheet
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.kinds import Findings
from nasbench_evo.results.runs import UnitRuns, decode
from nasbench_evo.runner import Budget, Callback
from nasbench_evo.spaces import Genotype
from nasbench_evo.suite import Entry, Suite, Unit, change_text
from nasbench_evo.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BASELINE = "random_search"
_MOST_SEEDS = 100_000
_WIDTH = 100  # characters of a printed line where there is no terminal


@dataclass(frozen=True)
class Plot:
    """A figure that a notebook shows; `figure` is matplotlib's, `paths` where it was written."""

    figure: Figure
    paths: tuple[Path, ...] = ()

    def _repr_png_(self) -> bytes:
        from nasbench_evo.figures import style

        image = io.BytesIO()
        with style.using():
            self.figure.savefig(image, format="png")
        return image.getvalue()


@dataclass(frozen=True)
class Result(Answer):
    """One finished search: what it found, and its course.

    Accuracies in percent and regret in percentage points are of what was found; `history` is every
    answer as the search saw it, in order.
    """

    history: Sequence[Evaluation] = field(default=(), repr=False)
    _course: Sequence[tuple[float, Genotype, float]] = field(default=(), repr=False)
    _judge: Callable[[Genotype], float | None] = field(default=lambda _: None, repr=False)
    _format: Callable[[Genotype], str] = field(default=str, repr=False)

    @property
    def accuracy(self) -> float | None:
        """Of what was found, percent: on validation data, or on test data where only that is known.

        None where nothing but what the search saw is known: see `history`.
        """
        return self.test_accuracy if self.valid_accuracy is None else self.valid_accuracy

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each answer; Unsupported without pandas.

        Columns: evaluations and simulated_seconds spent, arch, genotype, valid_accuracy as the
        search saw it, fraction of a full training, and the regret of that genotype (None without a
        table).
        """
        rows = [
            {
                "evaluations": round(spent, 9),
                "simulated_seconds": seconds,
                "arch": self._format(one.genotype),
                "genotype": one.genotype,
                "valid_accuracy": one.valid_accuracy,
                "fraction": one.fraction,
                "regret": self._judge(one.genotype),
            }
            for one, spent, seconds in zip(self.history, self._spent, self._seconds, strict=True)
        ]
        return _pandas().DataFrame(rows)

    @property
    def _spent(self) -> list[float]:
        return list(accumulate(one.cost for one in self.history))

    @property
    def _seconds(self) -> list[float]:
        return list(accumulate(one.cost_seconds for one in self.history))

    def plot(self, path: Path | str | None = None) -> Plot:
        """Return the course of the search: regret of every answer and of the incumbent.

        Without a table: the accuracy as the search saw it. With a `path` it is written there too,
        as PNG and SVG.
        """
        from nasbench_evo.figures import search as drawings

        known = self.regret is not None
        if known:
            values: list[Any] = [self._judge(one.genotype) for one in self.history]
            held: list[Any] = [(spent, self._judge(cell)) for spent, cell, _ in self._course]
        else:
            values = [one.valid_accuracy for one in self.history]
            held = [(spent, accuracy) for spent, _, accuracy in self._course]

        def draw() -> Figure:
            return drawings.figure(
                f"{self.algorithm} ({self.preset}), {self.dataset}, seed {self.seed}",
                self._spent,
                values,
                held,
                "regret (percentage points)" if known else "accuracy as seen (%)",
                algorithm=self.algorithm,
                logarithmic=known,
            )

        return _plot(draw, path)

    @property
    def _title(self) -> str:
        return f"{self.algorithm} ({self.preset}), {self.space} on {self.dataset}, seed {self.seed}"

    def __str__(self) -> str:
        told = [("found", self.arch), *answers.lines(self)]
        width = max(len(label) for label, _ in told)
        return "\n".join([self._title, *(f"  {label:<{width}}  {text}" for label, text in told)])

    def _repr_html_(self) -> str:
        """Return the answer for a notebook."""
        told = [("found", self.arch), *answers.lines(self)]
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in told
        )
        return f"<p>{html.escape(self._title)}</p><table>{rows}</table>"


@dataclass(frozen=True)
class Comparison:
    """Algorithms side by side on one data set, each with the same seeds; print it.

    `rows` are those of the result table, the best first, as in summary.json; `tests` compare each
    algorithm with random search.
    """

    found: Findings
    call: str = ""  # the Python that made it, for its report

    @property
    def rows(self) -> Sequence[ResultRow]:
        """The rows of the result table, the best first."""
        return self.found.rows

    @property
    def sheet(self) -> Sheet:
        """The result table."""
        (table,) = kinds.of(self.found.suite).sheets(self.found)
        return table

    @property
    def verdict(self) -> str:
        """Who won and by how much, in a sentence."""
        return kinds.of(self.found.suite).verdict(self.found, self.sheet)

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """Each algorithm against random search, by label.

        `p_better` is the probability that a run is better than one of random search, `p_value`
        that of a two-sided Mann-Whitney test, Holm-corrected over the algorithms, `best` says
        whether the algorithm is the "best" or "tied" with it (the same test, 5%).
        """
        keys = ("p_better", "p_value", "best")
        return {
            row.label: {key: row[key] for key in keys}
            for row in self.rows
            if row.algorithm != _BASELINE
        }

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame; raises Unsupported without pandas."""
        return _pandas().DataFrame([dict(row.values) for row in self.rows])

    def plot(self, path: Path | str | None = None) -> Plot:
        """Return the mean regret (of an own objective: accuracy) against evaluations.

        With a `path` it is written there too, as PNG and SVG.
        """
        from nasbench_evo.figures.suites import overview

        def draw() -> Figure:
            _, made = next(iter(overview.drawings(self.found)))
            return made()

        return _plot(draw, path)

    def report(self, path: Path | str = "report.html", *, runs: int = 50) -> Path:
        """Write one self-contained HTML page and return its path.

        It holds tables, figures, and up to `runs` single runs of each algorithm to look into.
        """
        from nasbench_evo.report import page

        target = _path(path)
        if target.suffix != ".html":
            raise InputError(f"A report ends with .html; got {target}.")
        one, found = self.found.suite, self.found
        summary = kinds.of(one).summary(found)
        provenance = manifest.manifest(one, runs=found.runs, failed=0, seconds=0.0)
        stored = Stored(
            target.parent, one, list(found.collected), summary, provenance, call=self.call
        )
        text = page.render(stored, runs=_counted("runs", runs, 10**9))
        try:
            return write_text(target, text)
        except OSError as error:
            raise InputError(f"Cannot write {target}: {error.strerror}. Choose another.") from error

    def __str__(self) -> str:
        shown = self.sheet.fitted(shutil.get_terminal_size((_WIDTH, 24)).columns)
        head, lines = shown.head, shown.lines
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
    configured, shown = _configured(algorithm, preset, hyperparameters)
    limit, number = _limit(budget), seed_of(seed)
    if callback is not None and not callable(callback):
        raise InputError(f"callback is a function of the progress; got {callback!r:.60}.")
    if evaluator is not None:
        asking = _own_evaluator(evaluator, dataset, table)
        answers.require_seconds(asking, limit)
        judged_by, space = None, asking.space
        searched = None
    else:
        searched, judged_by = _tables(table)
        name = _dataset(searched, dataset)
        if limit.seconds is not None:
            searched.require_times(name)
        asking, space = LookupEvaluator(searched, name), judged_by.space
    result = runner.search(configured, asking, seed=number, budget=limit, callback=callback)
    asked = Asked(configured, shown, asking.name, asking.dataset, number)
    if searched is None or judged_by is None:
        judged = answers.by_objective(asking, result, _spelled(asking))
    else:
        judged = answers.of_search(searched, judged_by, asking.dataset, result)
    plain = answers.answer(asked, space, result, judged)

    def regret(genotype: Genotype) -> float | None:
        return None if judged_by is None else judged_by.regret(asking.dataset, genotype)

    return Result(
        **{one.name: getattr(plain, one.name) for one in fields(Answer)},
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
    chosen = _candidates(candidates)
    entries = [_entry(one, preset) for one in chosen]
    if not any(entry.algorithm == _BASELINE for entry in entries):
        entries.append(Entry(algorithm=_BASELINE))
    number, limit = _counted("seeds", seeds, _MOST_SEEDS), _limit(budget)
    content: dict[str, Any] = {"name": "comparison", "seeds": number, "rows": entries}
    content["description"] = "Compared in Python, nasbench_evo.compare."
    content |= _of_budget(limit)
    if evaluator is not None:
        asking = _own_evaluator(evaluator, dataset, table)
        answers.require_seconds(asking, limit)
        one = Suite(**content, datasets=[asking.dataset], **_of_evaluator(asking))
        specifications.stand_in(suite.objective_options(one), asking.dataset, asking)
    else:
        searched, _ = _tables(table)
        name = _dataset(searched, dataset)
        if limit.seconds is not None:
            searched.require_times(name)
        one = Suite(**content, datasets=[name], table=_table_name(table))
    suite.kind_of(one).check(one)
    collected = [_runs(unit, number) for unit in suite.units(one)]
    where = "" if evaluator is not None else f", {one.datasets[0]!r}"
    shown = ", ".join(
        repr(name) if isinstance(name, str) else f"{type(name).__name__}(...)" for name in chosen
    )
    call = f"nasbench_evo.compare([{shown}]{where}, preset={preset!r}, seeds={number}, ...)"
    return Comparison(kinds.of(one).find(one, collected), call)


def _configured(algorithm: Any, preset: Any, changes: dict[str, Any]) -> tuple[Algorithm, str]:
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


def _candidates(candidates: Any) -> list[str | Algorithm]:
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


def _entry(algorithm: Any, preset: Any) -> Entry:
    """Return the row of a candidate, checked."""
    if isinstance(algorithm, str):
        known = algorithms.get(algorithm).presets
        fallback = "paper" if "paper" in known else next(iter(known))
        return Entry(algorithm=algorithm, preset=preset if preset in known else fallback)
    _require_algorithm(algorithm)
    name, changes = _preset_of(algorithm)
    builtin = algorithms.ALGORITHMS.get(algorithm.name) is type(algorithm)
    spelled = algorithm.name if builtin else external.given(type(algorithm))
    return Entry(algorithm=spelled, preset=name, set=changes)


def _runs(unit: Unit, seeds: int) -> UnitRuns:
    outcome = execute(Task(unit, unit.row.label, tuple(range(seeds))))
    if outcome.failures:
        seed, trace = outcome.failures[0]
        raise RunsFailed(f"{unit.row.label}, seed {seed}:\n{trace}")
    return UnitRuns(unit, [decode(record) for record in outcome.records])


def _limit(budget: Any) -> Budget:
    if isinstance(budget, Budget):
        return budget
    if isinstance(budget, bool) or not isinstance(budget, int | float | np.number):
        raise InputError(f"A budget is a number of evaluations or a Budget; got {budget!r:.60}.")
    return Budget(float(budget))


def _of_budget(limit: Budget) -> dict[str, Any]:
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


def _tables(table: Any) -> tuple[Table, Table]:
    """Return the table that is searched, and the one that results are read from."""
    if isinstance(table, Table):
        return table, table
    name = _table_name(table)
    return tables.load(name), tables.reported(name)


def _table_name(table: Any) -> str:
    if table is None:
        return "nasbench201"
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


def _dataset(table: Table, dataset: Any) -> str:
    """Return the data set that is meant; raise InputError with the near miss."""
    if dataset is None:
        return "cifar10" if "cifar10" in table.datasets else table.datasets[0]
    table.row(_text("dataset", dataset))
    return str(dataset)


def _own_evaluator(evaluator: Any, dataset: Any, table: Any) -> Evaluator:
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


def _spelled(value: Any) -> str:
    """Return package.module:Class of an object."""
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _of_evaluator(evaluator: Evaluator) -> dict[str, Any]:
    """Return an evaluator as the keys of a suite: its class, its space, and its plain settings."""
    plain = {
        key: value
        for key, value in evaluator.identity().items()
        if isinstance(value, str | int | float | bool) and key not in ("evaluator", "dataset")
    }
    space = evaluator.space
    known = spaces.SPACES.get(space.name) is type(space)
    return {
        "evaluator": _spelled(evaluator),
        "space": space.name if known else _spelled(space),
        "evaluator_set": plain,
    }


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{what} is a text; got {value!r:.60}.")
    return value


def _counted(what: str, value: Any, most: int) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 1 <= value <= most:
        raise InputError(f"{what} is a whole number, at least 1 and at most {most}; got {value!r}.")
    return int(value)


def _path(path: Any) -> Path:
    if not isinstance(path, str | Path) or not str(path):
        raise InputError(f"A path is a text or a Path; got {path!r:.60}.")
    return Path(path)


def _plot(draw: Callable[[], Figure], path: Path | str | None) -> Plot:
    """Return what is drawn, and write it where there is a path, without its ending."""
    from nasbench_evo.figures import style

    with style.using():
        figure = draw()
        if path is None:
            return Plot(figure)
        target = _path(path)
        if target.suffix[1:] in style.FORMATS:
            wanted: Sequence[str] = (target.suffix[1:],)
            target = target.with_suffix("")
        else:
            wanted = ("png", "svg")
        try:
            return Plot(figure, tuple(style.save(figure, target, wanted)))
        except OSError as error:
            raise InputError(f"Cannot write {target}: {error.strerror}. Choose another.") from error


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise Unsupported(f"A frame needs pandas ({error}). Run: pip install pandas") from error
