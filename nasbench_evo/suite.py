"""A suite: a TOML file that says which searches to run, and the runs that it stands for."""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nasbench_evo import algorithms, tables
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError, Unsupported, unknown
from nasbench_evo.evaluators import options
from nasbench_evo.evaluators.base import Evaluator
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import Budget
from nasbench_evo.store import canonical, unit_key

if TYPE_CHECKING:
    from nasbench_evo.evaluators.standalone import StandaloneEvaluator

PUBLISHED = "published.toml"  # lies among the suites, but holds published results


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Entry(_Strict):
    """One algorithm with a preset and changes to it; `grid` makes a row of each combination."""

    algorithm: str
    preset: str = "paper"
    set: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}


class Suite(_Strict):
    """The content of a suite file."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    evaluator: Literal["lookup", "standalone"] = "lookup"
    table: str = "nasbench201"  # of a lookup
    space: str = "nasbench201"  # of trainings; a table has its own
    evaluator_set: dict[str, Any] = {}  # settings of the trainings
    devices: list[str] = Field(default=["cpu"], min_length=1)  # of the trainings
    datasets: list[str] = Field(min_length=1)
    seeds: int = Field(ge=1)
    first_seed: int = Field(default=0, ge=0)
    evaluations: int = Field(default=300, ge=1)
    simulated_seconds: float | None = Field(default=None, gt=0)
    checkpoints: list[int] = Field(min_length=1)
    rows: list[Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _checkpoints_fit(self) -> Suite:
        rising = self.checkpoints == sorted(set(self.checkpoints))
        if not rising or self.checkpoints[0] < 1 or self.checkpoints[-1] > self.evaluations:
            raise ValueError(
                f"checkpoints must rise within 1..{self.evaluations}; got {self.checkpoints}"
            )
        return self


@dataclass(frozen=True)
class Row:
    """One line of the result table: an algorithm in a preset, with changes to it."""

    algorithm: str
    preset: str  # with the changes behind it, e.g. "paper, xi=0.3"
    configured: Algorithm

    @property
    def label(self) -> str:
        """Short name for tables and legends."""
        return f"{self.algorithm} ({self.preset})"


@dataclass(frozen=True)
class Unit:
    """A row on a data set: what the seeds of a suite repeat."""

    row: Row
    dataset: str
    table: str
    budget: Budget
    training: options.TrainingOptions | None = None  # None: the table answers

    def evaluator(self) -> Evaluator:
        """Return the evaluator that answers this unit's searches."""
        if self.training is not None:
            return self.trainer()
        return lookup(self.table, self.dataset)

    def trainer(self, folder: Path | None = None, workers: int = 1) -> StandaloneEvaluator:
        """Return the evaluator of a unit that trains, `workers` processes a device.

        Runs keep their journals and checkpoints in `folder`. Raises Unsupported for a unit that
        does not train, or where torch is missing.
        """
        if self.training is None:
            raise Unsupported(f"{self.row.label} reads a table and trains nothing.")
        return options.trainer(self.training, self.dataset, folder, workers)

    def describe(self) -> dict[str, Any]:
        """Return all that the results depend on, but for the seed, as plain JSON."""
        evaluator = self.evaluator()
        return {
            "algorithm": self.row.algorithm,
            "hyperparameters": self.row.configured.hyperparameters(),
            "space": evaluator.space.name,
            "evaluator": evaluator.identity(),
            "dataset": self.dataset,
            "evaluations": self.budget.evaluations,
            "simulated_seconds": self.budget.seconds,
        }

    def key(self) -> str:
        """Return the store's key of this unit."""
        return unit_key(self.describe())


@lru_cache(maxsize=8)
def lookup(table: str, dataset: str) -> LookupEvaluator:
    """Return the evaluator of a table's data set, kept for the next unit of this process."""
    return LookupEvaluator(tables.load(table), dataset)


def load(path: Path) -> Suite:
    """Return the suite in a TOML file.

    Raises InputError where it cannot be read or its content is wrong: an unknown key names its
    near miss.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the suite {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from error
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from error
    rows(suite)  # every algorithm, preset and hyper-parameter is checked before anything runs
    if suite.evaluator == "standalone":
        _check_training(suite)
        return suite
    if "space" in suite.model_fields_set or suite.evaluator_set:
        raise InputError(
            f'{path}: space and evaluator_set need evaluator = "standalone"; a lookup has a table.'
        )
    table = tables.load(suite.table)
    for dataset in suite.datasets:
        table.row(dataset)
        if suite.simulated_seconds is not None:
            table.require_times(dataset)
    return suite


def require_table(suite: Suite) -> None:
    """Raise Unsupported for a suite whose candidates are trained: it has no regret to compare."""
    if suite.evaluator != "lookup":
        raise Unsupported(f"{suite.name} trains its candidates; this needs a suite on a table.")


def _check_training(suite: Suite) -> None:
    """Raise InputError where the settings of a suite's trainings are wrong; needs no data."""
    space = options.check(suite.space, suite.evaluator_set, suite.datasets)
    for row in rows(suite):
        row.configured.check_space(space)


def _explain(error: ValidationError) -> str:
    """Return the first problem of a suite in words; an unknown key explains a missing one."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        model = Entry if first["loc"][0] == "rows" else Suite
        return f"{unknown('key', str(first['loc'][-1]), model.model_fields)} (at {place})"
    came = "" if first["type"] == "missing" else f"; got {first['input']!r}"
    return f"{place}: {first['msg']}{came}."


def rows(suite: Suite) -> list[Row]:
    """Return the rows of a suite, grids expanded; raise InputError if two are the same."""
    result: list[Row] = []
    for entry in suite.rows:
        cls = algorithms.get(entry.algorithm)
        for changes in _combinations(entry):
            configured = cls.configure(entry.preset, changes)
            changed = [f"{key}={value}" for key, value in changes.items()]
            result.append(Row(entry.algorithm, ", ".join([entry.preset, *changed]), configured))
    labels = [row.label for row in result]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"The suite {suite.name} has the row {label} twice.")
    return result


def _combinations(entry: Entry) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*entry.grid.values()):
        yield {**entry.set, **dict(zip(entry.grid, values, strict=True))}


def units(suite: Suite) -> list[Unit]:
    """Return every row on every data set, in file order."""
    budget = Budget(suite.evaluations, suite.simulated_seconds)
    training = None
    if suite.evaluator == "standalone":
        settings = canonical(suite.evaluator_set)
        training = options.TrainingOptions(suite.space, settings, tuple(suite.devices))
    return [
        Unit(row, dataset, suite.table, budget, training)
        for dataset in suite.datasets
        for row in rows(suite)
    ]


def identity(suite: Suite) -> str:
    """Return the text that two suites share exactly if their results belong in one folder.

    The number of seeds is left out, so that a folder can grow, and so are devices: another kind of
    device gives other units.
    """
    unused = {"evaluator", "space", "evaluator_set"} if suite.evaluator == "lookup" else {"table"}
    return canonical(suite.model_dump(exclude={"seeds", "description", "devices", *unused}))


def sha256(suite: Suite) -> str:
    """Return the hash of the whole suite, seeds included."""
    content = {**json.loads(identity(suite)), "seeds": suite.seeds}
    content["description"] = suite.description
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def find(name: str) -> Path:
    """Return the file of a suite: a path, or the name of one that the package brings.

    Raises InputError naming the known suites.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return path
    files = [file for folder in bundled_folders() for file in sorted(folder.glob("*.toml"))]
    known = {file.stem: file for file in files if file.name != PUBLISHED}
    if name not in known:
        raise unknown("suite", name, known)
    return known[name]


def bundled_folders() -> list[Path]:
    """Return the folders of suites that come with the package or its source checkout."""
    package = Path(__file__).parent
    candidates = [package / "bundled_suites", package.parent / "suites"]
    return [folder for folder in candidates if folder.is_dir()]
