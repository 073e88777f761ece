"""Suites on an objective of somebody's own code: rows are judged by its accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.external import is_outside
from nasbench_evo.results import kind
from nasbench_evo.results.answer import Judgement
from nasbench_evo.results.columns import Column
from nasbench_evo.results.kind import Findings, Kind, Track
from nasbench_evo.results.rows import seen_at_marks
from nasbench_evo.results.runs import Run, UnitRuns, as_seen
from nasbench_evo.spaces import Space
from nasbench_evo.suite import Suite, Unit, units


class OnObjective(Kind):
    """Rows are judged by the truth of what was found, where the objective says it, else as seen."""

    name = "objective"
    judged = ("mean_accuracy",)
    figures = ("accuracy", "relaxation")
    meaning = (
        "Accuracy: of the incumbent, percent: the objective's truth(genotype), or what the search "
        "saw where there is none, and then the best of many noisy values and too high; "
        f"mean with its 95% bootstrap interval. {kind.AGAINST}"
    )
    columns = (
        *kind.ROW,
        kind.LABEL,
        kind.DATASET,
        kind.EVALUATIONS,
        kind.SECONDS,
        kind.COUNT,
        Column(
            "mean_accuracy",
            lambda g: -float(g.losses.mean()),
            "accuracy",
            "%",
            "Mean accuracy of the incumbent with its 95% bootstrap interval.",
            low="accuracy_low",
            high="accuracy_high",
            width=0,
        ),
        Column("std_accuracy", lambda g: g.std),
        Column("accuracy_low", lambda g: -g.interval.high),
        Column("accuracy_high", lambda g: -g.interval.low),
        kind.RANK,
        *kind.COMPARED,
        kind.BEST_OF,
        kind.ASKED,
    )

    def find(self, suite: Suite, collected: Sequence[UnitRuns]) -> Findings:
        """Return the rows, with comparisons at the last checkpoint."""
        return kind.found_by_accuracy(self, suite, collected)

    def space(self, suite: Suite) -> Space:
        """Return the space that is searched."""
        return units(suite)[0].evaluator().space

    def known_of_runs(
        self, found: Findings, runs: UnitRuns, dataset: str
    ) -> dict[str, Sequence[float | None] | Array]:
        """Return the accuracy of each run's incumbent at each checkpoint, and what was spent."""
        return {
            **seen_at_marks(found.suite, runs),
            "seen": [run.seen for run in runs.records],
            "evaluations": [run.evaluations for run in runs.records],
        }

    def track(self, suite: Suite, unit: Unit, seed: int) -> Track:
        """Return the accuracy of the incumbent."""
        return Track("Accuracy of the incumbent", "accuracy (%)", "accuracy", as_seen)

    def judged_by(self, suite: Suite, unit: Unit, run: Run) -> Judgement:
        """Return what the objective says of what was found."""
        return Judgement(run.seen, details={"objective": suite.evaluator})

    def told(self, suite: Suite, unit: Unit, run: Run) -> dict[str, str]:
        """Return the accuracy, and when it was found."""
        said = {} if run.seen is None else {"accuracy": f"{run.seen:.3f} %"}
        return {**said, "found after": kind.found_after(run)}

    def about(self, suite: Suite) -> dict[str, Any]:
        """Return what names the suite, its objective and its space."""
        return kind.of_evaluator(suite)

    def options(self, suite: Suite, unit: Unit) -> list[str]:
        """Return objective, space, its settings and the budget."""
        words = ["--evaluator", suite.evaluator, "--space", suite.space]
        words += kind.settings("--evaluator-set", suite.evaluator_set)
        return words + kind.budget_options(unit)

    def scope(self, suite: Suite) -> str:
        """Return the budget and the objective."""
        space = self.space(suite).name
        return f"{kind.within(suite)}. Objective: {suite.evaluator}, space {space}."

    def needs(self, suite: Suite) -> str:
        """Return whose code is needed."""
        outside = " and ".join(name for name in (suite.evaluator, suite.space) if is_outside(name))
        return f"{outside} must be importable: the package is installed, or lies in the folder."
