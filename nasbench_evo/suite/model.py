"""The content of a suite file, and what of it goes together."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

OF_BUDGETS = {"evaluations", "simulated_seconds", "checkpoints", "table", "incumbent"}
OF_SUPERNETS = {"truth", "rank_correlation", "final_set"}
FOREIGN = {  # by evaluator: the keys that do not go with it
    "lookup": OF_SUPERNETS,
    "standalone": OF_SUPERNETS,
    "supernet": OF_BUDGETS,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Entry(_Strict):
    """One algorithm with a preset and changes to it; `grid` makes a row of each combination.

    In a suite on supernets `evaluator = "lookup"` searches the truth table instead.
    """

    algorithm: str
    preset: str = "paper"
    set: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
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

    table: str
    dataset: str | None = None


class RankCorrelation(_Strict):
    """A sample of cells to measure with shared weights after each `every` epochs."""

    cells: int = Field(ge=3)
    every: int = Field(ge=1)


class Suite(_Strict):
    """The content of a suite file."""

    # Names a folder: no path, nothing hidden, no option.
    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)
    description: str = ""
    evaluator: Literal["lookup", "standalone", "supernet"] = "lookup"
    table: str = "nasbench201"  # of a lookup
    space: str = "nasbench201"  # of trainings; a table has its own
    evaluator_set: dict[str, Any] = {}  # settings of the trainings
    devices: list[str] = Field(default=["cpu"], min_length=1)  # of the trainings
    datasets: list[str] = Field(min_length=1)
    seeds: int = Field(ge=1, le=100_000)  # a plan lists every one
    first_seed: int = Field(default=0, ge=0, le=2**62)  # the store's integers have 64 bits
    evaluations: int = Field(default=300, ge=1)  # a supernet's search ends with its epochs
    simulated_seconds: float | None = Field(default=None, gt=0)
    checkpoints: list[int] = []
    incumbent: Literal["seen", "mean"] | None = None  # None: the rule of each algorithm
    # of supernets: standalone truth, ranking along the way, trainings of what was found
    truth: Truth | None = None
    rank_correlation: RankCorrelation | None = None
    final_set: dict[str, Any] | None = None
    rows: list[Entry] = Field(min_length=1)

    @property
    def by_epochs(self) -> bool:
        """Whether a run ends with the epochs of its search: it has no budget of its own."""
        return FOREIGN[self.evaluator] == OF_BUDGETS

    @model_validator(mode="after")
    def _keys_fit_the_evaluator(self) -> Suite:
        """A search on a supernet ends with its epochs, and only there is there a truth."""
        given = sorted(FOREIGN[self.evaluator] & self.model_fields_set)
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
        if not self.checkpoints:
            raise ValueError("checkpoints is missing: the numbers of evaluations to report at")
        rising = self.checkpoints == sorted(set(self.checkpoints))
        if not rising or self.checkpoints[0] < 1 or self.checkpoints[-1] > self.evaluations:
            raise ValueError(
                f"checkpoints must rise within 1..{self.evaluations}; got {self.checkpoints}"
            )
        return self
