"""The content of a suite file, and what of it goes together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from nasbench_evo import names
from nasbench_evo.errors import unknown
from nasbench_evo.external import is_outside
from nasbench_evo.runner import Budget

OF_BUDGETS = {
    "evaluations", "simulated_seconds", "checkpoints", "table", "incumbent", "report_on", "report",
}  # fmt: skip
OF_SUPERNETS = {"truth", "rank_correlation", "final_set"}
OF_TABLES = {"report_on", "report"}
EVALUATORS = ("lookup", "standalone", "supernet")  # or package.module:Class
_FOREIGN = {  # by evaluator: the keys that do not go with it
    "lookup": OF_SUPERNETS,
    "standalone": OF_SUPERNETS | OF_TABLES,
    "supernet": OF_BUDGETS,
}
_FOREIGN_TO_OWN = OF_SUPERNETS | OF_TABLES | {"table", "devices"}


def _evaluator(name: str) -> str:
    """Return the name of an evaluator, or of somebody's own; raise InputError for another."""
    if name not in EVALUATORS and not is_outside(name):
        raise unknown("evaluator", name, [*EVALUATORS, "package.module:Class"])
    return name


def _values(content: dict[str, Any]) -> dict[str, Any]:
    """Return what is set of an algorithm or a training; names and texts are short."""
    for key, value in content.items():
        names.checked("a key", key)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                names.checked(key, one, _LONGEST_TEXT)
    return content


Name = Annotated[str, AfterValidator(lambda text: names.checked("a name", text, _LONGEST))]
Values = Annotated[dict[str, Any], AfterValidator(_values)]
_LONGEST = 200  # characters: package.module:Class is a name, too
_LONGEST_TEXT = 1000  # characters of a value: genotypes are long
_MOST = 10**9  # evaluations


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Entry(_Strict):
    """One algorithm with a preset and changes to it; `grid` makes a row of each combination.

    In a suite on supernets `evaluator = "lookup"` searches the truth table instead.
    """

    algorithm: Name
    preset: Name = "paper"
    set: Values = {}
    grid: Annotated[dict[str, list[Any]], AfterValidator(_values)] = {}
    evaluator: Literal["lookup"] | None = None
    incumbent: Literal["seen", "mean"] | None = None  # rule of recommendation; None: the suite's

    @field_validator("set")
    @classmethod
    def _lists_of_a_row(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Lists become tuples: rows are compared and keyed by what they set."""
        return {name: _constant(value) for name, value in values.items()}

    @field_validator("grid")
    @classmethod
    def _lists_of_a_grid(cls, values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {name: [_constant(value) for value in some] for name, some in values.items()}


def _constant(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Truth(_Strict):
    """The table that says how good a cell is when it is trained alone.

    `dataset` is the table's data set that rankings are compared with (default: the suite's own).
    """

    table: Name
    dataset: Name | None = None


class RankCorrelation(_Strict):
    """A sample of cells to measure with shared weights after each `every` epochs."""

    cells: int = Field(ge=3, le=1_000_000)
    every: int = Field(ge=1, le=_MOST)


class Suite(_Strict):
    """The content of a suite file."""

    # Names a folder: no path, nothing hidden, no option.
    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)
    description: str = Field(default="", max_length=2000)
    evaluator: Annotated[Name, AfterValidator(_evaluator)] = "lookup"  # or package.module:Class
    table: Name = "nasbench201"  # of a lookup
    # of trainings and of an objective of one's own; a table has its own
    space: Name = "nasbench201"
    evaluator_set: Values = {}  # settings of the trainings, arguments of an own objective
    devices: list[Name] = Field(default=["cpu"], min_length=1)  # of the trainings
    datasets: list[Name] = Field(min_length=1, max_length=1000)
    seeds: int = Field(ge=1, le=100_000)  # a plan lists every one
    first_seed: int = Field(default=0, ge=0, le=2**62)  # the store's integers have 64 bits
    evaluations: int = Field(
        default=300, ge=1, le=_MOST
    )  # a supernet's search ends with its epochs
    simulated_seconds: float | None = Field(default=None, gt=0)
    # evaluations; seconds where the budget is one in seconds
    checkpoints: list[int] = Field(default=[], max_length=1000)
    # data sets of the table; empty: those that are searched on
    report_on: list[Name] = Field(default=[], max_length=1000)
    # "held_out": a search sees one trial of a table, and the others judge what it found
    report: Literal["mean", "held_out"] = "mean"
    incumbent: Literal["seen", "mean"] | None = None  # None: the rule of each algorithm
    # of supernets: standalone truth, ranking along the way, trainings of what was found
    truth: Truth | None = None
    rank_correlation: RankCorrelation | None = None
    final_set: Values | None = None
    rows: list[Entry] = Field(min_length=1, max_length=1000)

    @property
    def by_epochs(self) -> bool:
        """Whether a run ends with the epochs of its search: it has no budget of its own."""
        return self.evaluator == "supernet"

    @property
    def own(self) -> bool:
        """Whether an objective of somebody's own code answers: package.module:Class."""
        return is_outside(self.evaluator)

    @property
    def by_seconds(self) -> bool:
        """Whether a run ends with simulated seconds: checkpoints and axes are seconds then."""
        return self.simulated_seconds is not None

    @property
    def budget(self) -> Budget:
        """What ends a run. Without `evaluations` a budget in seconds has no other limit."""
        counted = not self.by_seconds or "evaluations" in self.model_fields_set
        return Budget(self.evaluations if counted else None, self.simulated_seconds)

    @property
    def end(self) -> float:
        """The end of a run, in the unit of its checkpoints."""
        return self.evaluations if self.simulated_seconds is None else self.simulated_seconds

    @property
    def unit(self) -> str:
        """What checkpoints and axes count; `seconds` or `evaluations` is their column."""
        return "simulated seconds" if self.by_seconds else "evaluations"

    @property
    def length(self) -> str:
        """The end of a run in words."""
        return f"{self.end:.10g} {self.unit}"

    @property
    def column(self) -> str:
        """The key of the column that holds the checkpoint of a row."""
        return "seconds" if self.by_seconds else "evaluations"

    @property
    def marks(self) -> list[float]:
        """Where results are taken: checkpoints, and the end of a run in seconds or without any."""
        ended = self.checkpoints[-1:] == [self.end]
        if ended or (self.checkpoints and not self.by_seconds):
            return [*self.checkpoints]
        return [*self.checkpoints, self.end]

    @property
    def reported(self) -> list[str]:
        """The data sets that results are reported on."""
        return self.report_on or self.datasets

    @model_validator(mode="after")
    def _keys_fit_the_evaluator(self) -> Suite:
        """A search on a supernet ends with its epochs, and only there is there a truth."""
        given = sorted(_FOREIGN.get(self.evaluator, _FOREIGN_TO_OWN) & self.model_fields_set)
        if given:
            raise ValueError(f'evaluator = "{self.evaluator}" does not go with {given[0]}')
        if self.by_epochs and any(row.incumbent and not row.evaluator for row in self.rows):
            raise ValueError(
                "incumbent does not go with shared weights: they change between answers"
            )
        on_table = any(row.evaluator for row in self.rows)
        if on_table and not self.by_epochs:
            raise ValueError('a row\'s own evaluator needs evaluator = "supernet"')
        if self.truth is None and (on_table or self.rank_correlation is not None):
            raise ValueError('rank_correlation and rows on a table need truth = { table = "..." }')
        return self

    @model_validator(mode="after")
    def _checkpoints_fit(self) -> Suite:
        if self.by_epochs:
            return self
        rising = self.checkpoints == sorted(set(self.checkpoints))
        within = all(1 <= checkpoint <= self.end for checkpoint in self.checkpoints)
        if not rising or not within:
            raise ValueError(
                f"checkpoints must rise within 1..{self.end:g} {self.unit}; got {self.checkpoints}"
            )
        return self

    @property
    def held_out(self) -> bool:
        """Whether reports read trials that the search did not see."""
        return self.report == "held_out"

    @model_validator(mode="after")
    def _reports_fit(self) -> Suite:
        if self.held_out and "@" in self.table:
            raise ValueError(
                'report = "held_out" is of a table that is searched at its full length; what is '
                f"searched on {self.table} is reported on trainings that it does not see anyway"
            )
        if self.report_on and len(self.datasets) != 1:
            raise ValueError(
                "report_on says where the finds of one data set are reported; datasets names "
                f"{len(self.datasets)}"
            )
        if len(set(self.report_on)) < len(self.report_on):
            raise ValueError(f"report_on names a data set twice: {self.report_on}")
        return self
