"""The answer of one search: the same keys for every evaluator, from a search or from a stored run.

What is not known is None: without a table there is no regret, and what a search saw is not the
accuracy of what it found. What only one evaluator has lies under `details`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.objective import has_times, reported
from nasbench_evo.incumbents import incumbent_accuracies
from nasbench_evo.results.runs import without_data
from nasbench_evo.runner import Budget, Result
from nasbench_evo.spaces import Genotype, Space
from nasbench_evo.tables import Table


class Finished(Protocol):
    """What a `runner.Result` and a stored `Run` have in common."""

    @property
    def genotype(self) -> Genotype: ...  # noqa: D102
    @property
    def evaluations(self) -> float: ...  # noqa: D102
    @property
    def simulated_seconds(self) -> float: ...  # noqa: D102
    @property
    def wall_seconds(self) -> float: ...  # noqa: D102
    @property
    def trace_sha256(self) -> str: ...  # noqa: D102
    @property
    def notes(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True)
class Asked:
    """Which search it was."""

    algorithm: Algorithm
    preset: str
    evaluator: str
    dataset: str
    seed: int


@dataclass(frozen=True)
class Judgement:
    """What is known of a genotype beyond its search: accuracies in percent, regret in points."""

    valid_accuracy: float | None = None
    test_accuracy: float | None = None
    regret: float | None = None
    rank: int | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """One finished search. Accuracies in percent are of what was found, not what was seen."""

    algorithm: str
    preset: str
    hyperparameters: dict[str, Any]
    space: str
    evaluator: str
    dataset: str
    seed: int
    evaluations: float  # full-training equivalents
    genotype: Genotype
    arch: str
    valid_accuracy: float | None
    test_accuracy: float | None
    regret: float | None  # percentage points to the best of the table
    rank: int | None  # in the table, 1 the best
    simulated_seconds: float
    trace_sha256: str
    wall_seconds: float
    notes: dict[str, Any]
    details: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain JSON types."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Answer)}


def title(found: Answer) -> str:
    """Return what was searched how, in a line."""
    return (
        f"{found.algorithm} ({found.preset}), {found.space} on {found.dataset}, seed {found.seed}"
    )


def block(told: Sequence[tuple[str, str]]) -> list[str]:
    """Return labels and texts as lines, the texts below each other."""
    width = max(len(label) for label, _ in told)
    return [f"  {label:<{width}}  {text}" for label, text in told]


def answer(asked: Asked, space: Space, run: Finished, judged: Judgement) -> Answer:
    """Return the answer of a search: what was asked, what it found, what is known of that."""
    details = dict(judged.details)
    if details.get("returned") is not None:
        details["returned_arch"] = space.format(details["returned"])
    return Answer(
        algorithm=asked.algorithm.name,
        preset=asked.preset,
        hyperparameters=asked.algorithm.hyperparameters(),
        space=space.name,
        evaluator=asked.evaluator,
        dataset=asked.dataset,
        seed=asked.seed,
        evaluations=run.evaluations,
        genotype=run.genotype,
        arch=space.format(run.genotype),
        valid_accuracy=judged.valid_accuracy,
        test_accuracy=judged.test_accuracy,
        regret=judged.regret,
        rank=judged.rank,
        simulated_seconds=run.simulated_seconds,
        trace_sha256=run.trace_sha256,
        wall_seconds=run.wall_seconds,
        notes=without_data(run.notes),
        details=details,
    )


def by_table(table: Table, dataset: str, genotype: Genotype) -> Judgement:
    """Return what a table says of a genotype: means over trials, and its place."""
    row, index = table.row(dataset), table.space.index(genotype)
    return Judgement(
        None if table.by_test(dataset) else float(table.mean_accuracy[row, index]),
        table.mean_test(dataset, genotype),
        table.regret(dataset, genotype),
        table.rank(dataset, genotype),
        {
            "reported": table.protocol(dataset),
            "trials": int(table.trials[row, index]),
            "genotypes": int(table.correct.shape[1]),
            "parameters": table.size(dataset, genotype),
            "latency_seconds": table.latency(dataset, genotype),
            **_measured(table, row, index),
        },
    )


def of_search(searched: Table, reported: Table, dataset: str, result: Result) -> Judgement:
    """Return what a table says of what a search on it, or on another length of it, found."""
    judged = by_table(reported, dataset, result.genotype)
    source: dict[str, Any] = {"table": searched.name, "searched_epochs": searched.epochs}
    source |= {"incumbent": result.incumbent, "returned": result.returned}
    if result.returned is not None:
        source["returned_regret"] = reported.regret(dataset, result.returned)
    return dataclasses.replace(judged, details={**source, **judged.details})


def _measured(table: Table, row: int, index: int) -> dict[str, Any]:
    """Return what the table measures, where its accuracy is a score of that."""
    if table.measured is None:
        return {}
    value = float(table.mean_measured[row, index])
    return {"measured": {"name": table.metric.name, "unit": table.metric.unit, "value": value}}


def by_training(final: Sequence[Mapping[str, Any]], details: Mapping[str, Any]) -> Judgement:
    """Return what fresh trainings of a genotype say; nothing without any."""
    said = {**details, "final_trainings": [dict(one) for one in final]}
    if not final:
        return Judgement(details=said)
    validated = all(one["valid_accuracy"] is not None for one in final)
    return Judgement(
        sum(one["valid_accuracy"] for one in final) / len(final) if validated else None,
        sum(one["test_accuracy"] for one in final) / len(final),
        details=said,
    )


def by_objective(evaluator: Any, result: Result, name: str) -> Judgement:
    """Return what an objective says of what a search found: its truth, where it knows one."""
    seen = incumbent_accuracies(result.history, result.incumbent)[-1][2]
    true = reported(evaluator, result.genotype)
    said = {"objective": name, "incumbent": result.incumbent, "returned": result.returned}
    return Judgement(true, details={**said, "seen_valid_accuracy": seen})


def require_seconds(evaluator: Any, budget: Budget) -> None:
    """Raise InputError where a budget in seconds alone would never end on an objective."""
    if budget.evaluations is None and not has_times(evaluator):
        raise InputError(
            f"{evaluator.name} has no seconds(genotype), and a budget in seconds would never end: "
            "write it, or give the budget in evaluations."
        )


def lines(found: Answer) -> list[tuple[str, str]]:
    """Return what people are told of an answer: labels and texts, in order."""
    told: list[tuple[str, str | None]] = [
        ("valid accuracy", _valid(found)),
        ("test accuracy", _number(found.test_accuracy, ".3f", " %")),
        *_seen(found),
        ("reported from", _source(found)),
        ("regret", _number(found.regret, ".3f", " percentage points")),
        ("rank", _rank(found)),
        ("ended with", _ended(found)),
        ("parameters", _number(found.details.get("parameters"), ",d", "")),
        ("latency", _milliseconds(found.details.get("latency_seconds"))),
        ("evaluations", f"{found.evaluations:g} {_of_what(found)}"),
        ("training time", _duration(found.simulated_seconds)),
        ("wall time", _wall(found.wall_seconds)),
        ("trace SHA-256", found.trace_sha256),
        *(("note", f"{key} = {value}") for key, value in found.notes.items()),
    ]
    return [(label, text) for label, text in told if text]


def _valid(found: Answer) -> str | None:
    trials = found.details.get("trials")
    over = f" (mean over {trials} trials)" if trials else ""
    if trials == 1:
        over = " (one trial: the number that a search sees, so too high for what it found)"
    return _number(found.valid_accuracy, ".3f", f" %{over}")


def _seen(found: Answer) -> list[tuple[str, str | None]]:
    behind = " %" if "objective" in found.details else " % valid, so too high"
    seen = _number(found.details.get("seen_valid_accuracy"), ".3f", behind)
    return [
        ("as the search saw it", seen),
        *(
            (
                "trained anew",
                f"{_number(one['valid_accuracy'], '.3f', ' % valid, ') or ''}"
                f"{one['test_accuracy']:.3f} % test ({one['status']})",
            )
            for one in found.details.get("final_trainings", ())
        ),
    ]


def _source(found: Answer) -> str | None:
    reported, epochs = found.details.get("reported"), found.details.get("searched_epochs")
    return reported and f"{reported}; searched at {epochs} epochs"


def _of_what(found: Answer) -> str:
    shared = found.details.get("weights") == "shared"
    return "individuals with shared weights" if shared else "full trainings"


def _ended(found: Answer) -> str | None:
    """Return what the algorithm's own result is worth, where it has one beside the best seen."""
    returned = found.details.get("returned")
    if returned is None:
        return None
    if returned == found.genotype:
        return "the same"
    regret = found.details.get("returned_regret")
    worth = _number(regret, ".3f", " percentage points of regret, ") or ""
    return f"{worth}{found.details['returned_arch']}"


def _rank(found: Answer) -> str | None:
    return None if found.rank is None else f"{found.rank} of {found.details['genotypes']}"


def _number(value: float | None, form: str, behind: str) -> str | None:
    return None if value is None else f"{value:{form}}{behind}"


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1e3:.2f} ms"


def _duration(seconds: float) -> str | None:
    """Return a time in the unit that suits it; nothing where it is not known."""
    if not seconds:
        return None
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds:.1f} s"


def _wall(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
