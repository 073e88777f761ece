"""The content of a suite file, and what of it goes together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from nasbench_evo import names

OF_BUDGETS = {"evaluations", "simulated_seconds", "checkpoints", "table", "incumbent"}
OF_SUPERNETS = {"truth", "rank_correlation", "final_set"}
FOREIGN = {  # by evaluator: the keys that do not go with it
    "lookup": OF_SUPERNETS,
    "standalone": OF_SUPERNETS,
    "supernet": OF_BUDGETS,
}


def _values(content: dict[str, Any]) -> dict[str, Any]:
    """Return what is set of an algorithm or a training; names and texts are short."""
    for key, value in content.items():
        names.checked("a key", key)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                names.checked(key, one)
    return content


Name = Annotated[str, AfterValidator(lambda text: names.checked("a name", text, _LONGEST))]
Values = Annotated[dict[str, Any], AfterValidator(_values)]
_LONGEST = 200  # characters: package.module:Class is a name, too
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
    evaluator: Literal["lookup", "standalone", "supernet"] = "lookup"
    table: Name = "nasbench201"  # of a lookup
    space: Name = "nasbench201"  # of trainings; a table has its own
    evaluator_set: Values = {}  # settings of the trainings
    devices: list[Name] = Field(default=["cpu"], min_length=1)  # of the trainings
    datasets: list[Name] = Field(min_length=1, max_length=1000)
    seeds: int = Field(ge=1, le=100_000)  # a plan lists every one
    first_seed: int = Field(default=0, ge=0, le=2**62)  # the store's integers have 64 bits
    evaluations: int = Field(
        default=300, ge=1, le=_MOST
    )  # a supernet's search ends with its epochs
    simulated_seconds: float | None = Field(default=None, gt=0)
    checkpoints: list[int] = Field(default=[], max_length=1000)
    incumbent: Literal["seen", "mean"] | None = None  # None: the rule of each algorithm
    # of supernets: standalone truth, ranking along the way, trainings of what was found
    truth: Truth | None = None
    rank_correlation: RankCorrelation | None = None
    final_set: Values | None = None
    rows: list[Entry] = Field(min_length=1, max_length=1000)

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
