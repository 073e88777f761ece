"""What every kind of suite says of its runs; `results.kinds` lists the kinds."""

from __future__ import annotations

import json
import math
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.files import plain_fields
from nasbench_evo.results import manifest
from nasbench_evo.results.answer import Answer, Asked, Judgement, answer
from nasbench_evo.results.columns import Column, ResultRow, Sheet, known, sheet
from nasbench_evo.results.labels import common_changes, row_labels, short_labels
from nasbench_evo.results.measures import Measured, measured
from nasbench_evo.results.ranking import Ranking
from nasbench_evo.results.rows import BASELINE, TIED, Group, by_accuracy, compare, made
from nasbench_evo.results.runs import Point, Run, UnitRuns, counted, shortfalls
from nasbench_evo.results.weight_sharing import PairedSearches
from nasbench_evo.spaces import Genotype, Space
from nasbench_evo.suite import Suite, Unit

_NAMED = 3  # ties that a sentence names; more are counted


@dataclass(frozen=True)
class Findings:
    """What the runs of a suite say: the rows of its result table, and comparisons of rankings."""

    suite: Suite
    collected: Sequence[UnitRuns]
    rows: Sequence[ResultRow]
    rankings: Sequence[Ranking] = ()
    pairs: Mapping[str, PairedSearches] = field(default_factory=dict)
    sentences: Sequence[str] = ()

    @property
    def runs(self) -> int:
        """Number of finished runs."""
        return sum(len(unit.records) for unit in self.collected)


@dataclass(frozen=True)
class Track:
    """The course of the runs of a unit, for a page and for TensorBoard.

    `value` is what is followed of the incumbent (NaN or None: unknown), `title` and `axis` name
    it, `tag` is its scalar; `logarithmic` axes suit regrets.
    """

    title: str
    axis: str
    tag: str
    value: Callable[[Point], float | None]
    logarithmic: bool = False
    also: Mapping[str, Callable[[Point], float]] = field(default_factory=dict)  # more scalars


@dataclass(frozen=True)
class Choice:
    """What a page lets one choose between beside data sets: a column's values."""

    name: str
    key: str
    values: Sequence[Any]
    chosen: Any


class Kind(ABC):
    """A kind of suite: by what its candidates are judged, and so what can be said of them."""

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    judged: ClassVar[tuple[str, ...]]  # keys of what rows are sorted by: the first that is known
    meaning: ClassVar[str]  # how to read the table
    figures: ClassVar[tuple[str, ...]]  # names, see `figures.suites.FIGURES`
    trains: ClassVar[bool] = True  # there is no table to ask
    devices: ClassVar[bool] = False  # a run is repeated on the same kind of device

    @abstractmethod
    def find(self, suite: Suite, collected: Sequence[UnitRuns]) -> Findings:
        """Return what the runs say; rows are in the order of tables, the best first."""

    @abstractmethod
    def space(self, suite: Suite) -> Space:
        """Return the space of the suite's genotypes."""

    def absent(self, suite: Suite) -> set[str]:
        """Return the keys of columns that a suite's rows do not have."""
        return set()

    @abstractmethod
    def track(self, suite: Suite, unit: Unit, seed: int) -> Track:
        """Return what is followed along the run of a unit with a seed."""

    def facts(self, suite: Suite, unit: Unit, run: Run) -> dict[str, Any]:
        """Return what runs.parquet has of a run beside its answer; percent."""
        return {}

    @abstractmethod
    def judged_by(self, suite: Suite, unit: Unit, run: Run) -> Judgement:
        """Return what is known of a run's genotype beyond its search."""

    def answer(self, suite: Suite, unit: Unit, run: Run) -> Answer:
        """Return the answer of a stored run: the keys of `nasbench-evo search --json`."""
        row = unit.row
        name = suite.evaluator if unit.training is not None else unit.evaluator().name
        asked = Asked(row.configured, row.setting, name, unit.dataset, run.seed)
        return answer(asked, self.space(suite), run, self.judged_by(suite, unit, run))

    @abstractmethod
    def told(self, suite: Suite, unit: Unit, run: Run) -> dict[str, str]:
        """Return what a page tells of one run, in its order."""

    @abstractmethod
    def about(self, suite: Suite) -> dict[str, Any]:
        """Return what summary.json says before its rows."""

    @abstractmethod
    def options(self, suite: Suite, unit: Unit) -> list[str]:
        """Return the options of `nasbench-evo search` beside the row that repeat a unit's runs."""

    @abstractmethod
    def scope(self, suite: Suite) -> str:
        """Return in words how long a run is and what its candidates are."""

    def groups(self, suite: Suite) -> tuple[str, ...]:
        """Return the keys by which rows are split into tables."""
        return ("dataset", suite.column)

    def choice(self, suite: Suite) -> Choice | None:
        """Return what else a page lets one choose."""
        return Choice(suite.unit.capitalize(), suite.column, suite.marks, suite.marks[-1])

    def title(self, suite: Suite, row: ResultRow) -> str:
        """Return the title of the table that a row is in."""
        return f"{row.dataset}, {row[suite.column]:.10g} {suite.unit}"

    def shown(self, suite: Suite, row: ResultRow) -> bool:
        """Whether a row is in the tables of console and exports: the end of the runs."""
        return bool(row[suite.column] == suite.marks[-1])

    def more(self, found: Findings) -> dict[str, Any]:
        """Return what summary.json holds behind its rows."""
        return {}

    def provenance(self, suite: Suite) -> dict[str, Any]:
        """Return what the manifest says beside `manifest.manifest`."""
        return {}

    def needs(self, suite: Suite) -> str:
        """Return what must be there to repeat the runs; empty for the package alone."""
        return ""

    def sheets(self, found: Findings, *, every: bool = False) -> list[Sheet]:
        """Return a table for each group of rows that is shown (or of `every` row)."""
        suite, keys = found.suite, self.groups(found.suite)
        groups: dict[tuple[Any, ...], list[ResultRow]] = {}
        for row in found.rows:
            if every or self.shown(suite, row):
                groups.setdefault(tuple(row[key] for key in keys), []).append(row)
        return [
            sheet(self.title(suite, rows[0]), columns, rows, judged(self, rows), set(keys))
            for rows in groups.values()
            for columns in [[c for c in self.columns if c.key in rows[0].values]]
        ]

    def verdict(self, found: Findings, table: Sheet) -> str:
        """Return who won a table, by how much, and who is tied with the winner."""
        first, *others = table.rows
        column = next(c for c in table.columns if c.key == table.judged)
        tied = [row.label for row in others if row["best"] == TIED]
        text = f"{table.title.partition(', best')[0]}: {first.label} is first with "
        text += f"{column.header} {column.text(first)}"
        if len(tied) > _NAMED:
            text += f", tied with {len(tied)} others (marked *)"
        elif tied:
            text += f", tied with {', '.join(tied)}"

        def behind(row: ResultRow) -> str:
            return f"{abs(row[table.judged] - first[table.judged]):{column.form}} points behind"

        told = [row for row in others if known(row[table.judged]) and known(first[table.judged])]
        after = next((row for row in told if row["best"] != TIED), None)
        base = next((row for row in told if row.algorithm == BASELINE), None)
        if after is not None and after is not base:
            text += f"; next is {after.label}, {behind(after)}"
        if base is not None:
            text += f"; random search is {behind(base)} ({column.text(base)})"
        return f"{text}."

    @abstractmethod
    def known_of_runs(
        self, found: Findings, runs: UnitRuns, dataset: str
    ) -> Mapping[str, Sequence[float | None] | Array]:
        """Return what is known of each run of a unit [n] on a data set, see `results.measures`."""

    def measures(self, found: Findings) -> list[Measured]:
        """Return what runs.json holds: what is known of every single run."""
        suite = found.suite
        labels = row_labels(found.collected)
        return [
            measured(
                labels[runs.unit.row],
                dataset,
                suite.first_seed,
                [run.seed for run in runs.records],
                self.known_of_runs(found, runs, dataset),
            )
            for runs in found.collected
            if runs.records
            for dataset in suite.report_on or [runs.unit.dataset]
        ]

    def headlines(self, found: Findings) -> Sequence[str]:
        """Return the sentences that a summary is incomplete without."""
        return ()

    def warnings(self, found: Findings) -> list[str]:
        """Return which runs are missing."""
        return shortfalls(found.suite, found.collected)

    def notes(self, found: Findings) -> list[str]:
        """Return what must be known to read the figures: missing runs, then what runs noted."""
        rows = [runs.unit.row for runs in found.collected]
        return [
            *shortfalls(found.suite, found.collected),
            *(
                f"{name}: {', '.join(changes)} throughout."
                for name, changes in common_changes(rows).items()
                if changes
            ),
            *manifest.explain(found.collected),
        ]

    def summary(self, found: Findings) -> dict[str, Any]:
        """Return the content of summary.json: plain JSON types, null for what is undefined."""
        return {
            **self.about(found.suite),
            "rows": [plain_fields(row.values) for row in found.rows],
            **self.more(found),
            "notes": self.notes(found),
        }

    def command(self, suite: Suite, unit: Unit) -> str:
        """Return the `nasbench-evo search` that repeats a run of a unit, but for its seed."""
        row = unit.row
        words = ["nasbench-evo", "search", row.algorithm]
        words += ["--dataset", unit.searched]
        words += ["--preset", row.preset] if row.preset != "paper" else []
        changes = dict(row.changes)
        changes.pop("incumbent", None)  # no hyper-parameter, see `suite.units.rows`
        words += settings("--set", changes)
        shared = suite.by_epochs and not row.on_table  # there is one rule for shared weights
        if row.incumbent != row.configured.incumbent and not shared:
            words += ["--incumbent", row.incumbent]
        return shlex.join(words + self.options(suite, unit))


def found_by_accuracy(kind: Kind, suite: Suite, collected: Sequence[UnitRuns]) -> Findings:
    """Return what runs say by the accuracy of their incumbents, compared at the last checkpoint."""
    groups: list[Group] = []
    for dataset in suite.datasets:
        present = [runs for runs in collected if runs.unit.dataset == dataset and runs.records]
        groups += by_accuracy(suite, dataset, present)
    compare([group for group in groups if group.facts["last"]])
    labelled(groups)
    return Findings(suite, collected, made(columns_of(kind, suite), groups))


def of_evaluator(suite: Suite) -> dict[str, Any]:
    """Return what summary.json says of a suite without a table: its evaluator and its space."""
    return {
        "suite": suite.name,
        "description": suite.description,
        "evaluator": suite.evaluator,
        "space": suite.space,
        "evaluator_set": suite.evaluator_set,
    }


def judged(kind: Kind, rows: Sequence[ResultRow]) -> str:
    """Return the key that rows are judged by: the first that one of them has."""
    return next(
        (key for key in kind.judged if any(known(row[key]) for row in rows)), kind.judged[-1]
    )


def settings(option: str, values: Mapping[str, Any] | None) -> list[str]:
    """Return values as repeated `--option key=value` words."""
    words = []
    for key, value in (values or {}).items():
        words += [option, f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return words


def budget_options(unit: Unit) -> list[str]:
    """Return the options of `nasbench-evo search` that give a unit's budget."""
    budget = unit.budget
    words = ["--evaluations", f"{budget.evaluations:g}"] if budget.evaluations else []
    if budget.seconds and math.isfinite(budget.seconds):
        words += ["--simulated-seconds", f"{budget.seconds:g}"]
    return words


def found_after(run: Run) -> str:
    """Return when the last incumbent of a run was found, of what the run had."""
    last = run.curve[-1]
    if last.seconds is None:
        return f"{last.spent:g} of {run.evaluations:g} evaluations"
    return f"{last.seconds:,.0f} of {run.simulated_seconds:,.0f} simulated seconds"


def labelled(groups: Sequence[Group]) -> None:
    """Give each group its label: changes that all rows of an algorithm share are left out."""
    units = list(dict.fromkeys(group.runs.unit.row for group in groups))
    labels = dict(zip(units, short_labels(units), strict=True))
    for group in groups:
        group.label = labels[group.runs.unit.row]


def described(space: Space, genotype: Genotype) -> str:
    """Return a genotype as its space prints it, and drawn in text where the space does that."""
    draw = getattr(space, "draw", None)
    printed = space.format(genotype)
    return printed if draw is None else f"{printed}\n\n{draw(genotype)}"


def columns_of(kind: Kind, suite: Suite) -> list[Column]:
    """Return the columns that the rows of a suite have."""
    absent = kind.absent(suite) | (set() if suite.by_seconds else {SECONDS.key})
    absent |= set() if suite.report_on else {SEARCHED_ON.key}
    return [column for column in kind.columns if column.key not in absent]


def spent(suite: Suite) -> str:
    """Return the title of an axis of what a run has spent."""
    return suite.unit if suite.by_seconds or suite.by_epochs else "evaluations (full trainings)"


def within(suite: Suite) -> str:
    """Return in words how long a run is."""
    if not suite.by_seconds:
        return f"up to {suite.evaluations} evaluations (full trainings) a run"
    most = suite.budget.evaluations
    more = "" if most is None else f" and up to {most:g} evaluations"
    return f"up to {suite.end:.10g} simulated seconds{more} a run"


def _evaluations(g: Group) -> float | None:
    """Return what a group had spent; with a budget in seconds it is known at its end only."""
    if g.runs.unit.budget.seconds is None:
        return g.checkpoint
    if g.checkpoint < g.runs.unit.budget.seconds:
        return None
    return round(sum(run.evaluations for run in g.runs.records) / g.n, 1)


# The columns that every kind begins and ends with.
ROW = (
    Column("algorithm", lambda g: g.runs.unit.row.algorithm, kind="text"),
    Column("preset", lambda g: g.runs.unit.row.setting, kind="text"),
)
LABEL = Column(
    "label",
    lambda g: g.label,
    "algorithm (preset)",
    meaning="The row of the suite; changes that all rows of an algorithm share are in a note.",
    width=0,
    kind="text",
)
DATASET = Column(
    "dataset", lambda g: g.runs.unit.dataset, "data set", meaning="Searched on.", kind="text"
)
SEARCHED_ON = Column(  # of suites that report on other data sets
    "searched_on",
    lambda g: g.runs.unit.dataset,
    "searched on",
    meaning="Data set that the search saw.",
    kind="text",
    width=6,
)
EVALUATIONS = Column(
    "evaluations",
    lambda g: _evaluations(g),
    "evaluations",
    meaning="Full-training equivalents spent; with a budget in seconds the mean over the runs.",
    form=".10g",
)
SECONDS = Column(  # of suites whose budget is one in seconds
    "seconds",
    lambda g: g.checkpoint,
    "simulated seconds",
    meaning="Simulated seconds of training and validation spent.",
    form=".10g",
)
COUNT = Column(
    "n",
    lambda g: g.n,
    "n",
    meaning="Finished runs; 27/30 where some are missing.",
    form="d",
    width=2,
    show=lambda row: counted(row.n, row.asked),
)
BEST_OF = Column(
    "best",
    lambda g: g.best,
    kind="text",
    meaning="best of the table, or tied with it: Mann-Whitney, Holm-corrected, 5%",
)
ASKED = Column("asked", lambda g: g.asked, form="d")
RANK = Column(
    "rank",
    lambda g: g.rank,
    "rank",
    meaning="Of the mean result within the table, 1 the best.",
    form="d",
    width=1,
    show=lambda row: f"{row.rank}{' *' if row.best else '  '}",
)
COMPARED = (
    Column(
        "p_better",
        lambda g: g.p_better,
        "P(better)",
        meaning="Probability that a run is better than one of random search; ties count half.",
        form=".3f",
        width=1,
    ),
    Column(
        "p_value",
        lambda g: g.p_value,
        "p",
        meaning="Mann-Whitney against random search, Holm-corrected over the whole suite.",
        form=".2g",
        width=1,
    ),
)
AGAINST = (
    "P(better) and p (Mann-Whitney, Holm-corrected over the suite): against random search. "
    "* best of the table or tied with it."
)
