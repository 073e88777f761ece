"""Suites that train every candidate: there is no table to ask.

A curve shows the validation accuracy of the incumbent as its search saw it, which is the highest
of many noisy values and so too high. Fresh trainings of what each run found stand beside it: their
validation and test accuracies are those of new networks, and no search has seen them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import metadata
from statistics import fmean
from typing import Any

import numpy as np

from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.engines import NETWORK, UNTAUGHT
from nasbench_evo.evaluators import settings
from nasbench_evo.results import kind
from nasbench_evo.results.answer import Judgement, by_training
from nasbench_evo.results.columns import Column
from nasbench_evo.results.kind import Findings, Kind, Track
from nasbench_evo.results.rows import Group, seen_at_marks
from nasbench_evo.results.runs import Run, UnitRuns, apart, as_seen
from nasbench_evo.spaces import Space
from nasbench_evo.suite import Suite, Unit

SEEN = "so too high: the best of many noisy values"
FINAL_MEANING = "Final: new networks of what each run found, trained after the search."


def finals(runs: UnitRuns) -> list[Mapping[str, Any]]:
    """Return the fresh trainings of what the runs found, in run order."""
    return [one for run in runs.records for one in run.final]


def final_mean(runs: UnitRuns, part: str) -> float | None:
    """Return the mean accuracy ("valid" or "test") of the fresh trainings, percent."""
    return mean_or_none([one[f"{part}_accuracy"] for one in finals(runs)])


def final_std(runs: UnitRuns) -> float | None:
    """Return the deviation over runs and trainings of their test accuracy, points."""
    values = [one["test_accuracy"] for one in finals(runs)]
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _returned_same(runs: UnitRuns) -> float | None:
    ended = [run for run in runs.records if run.returned is not None]
    if not ended:
        return None
    return fmean(float(run.returned == run.curve[-1].genotype) for run in ended)


def _at_the_end(g: Group, value: Any) -> Any:
    return value if g.facts.get("last", True) else None


FINAL = (
    Column(
        "final_valid",
        lambda g: _at_the_end(g, final_mean(g.runs, "valid")),
        "final valid",
        "%",
        "Validation accuracy of new networks of what was found; mean.",
        width=3,
    ),
    Column(
        "final_test",
        lambda g: _at_the_end(g, final_mean(g.runs, "test")),
        "final test",
        "%",
        "Their accuracy on test images, which no search saw: mean and standard deviation over runs "
        "and trainings.",
        std="final_test_std",
        width=0,
    ),
    Column("final_test_std", lambda g: _at_the_end(g, final_std(g.runs))),
    Column(
        "final_trainings",
        lambda g: _at_the_end(g, len(finals(g.runs)) or None),
        "trainings",
        meaning="Number of those new networks.",
        form="d",
    ),
)
SECONDS_MEANING = "Seconds of training and measuring of a run; mean."


class Training(Kind):
    """What suites that train networks share."""

    devices = True

    def provenance(self, suite: Suite) -> dict[str, Any]:
        """Return the version of torch and the devices."""
        return {"packages": {"torch": metadata.version("torch")}, "devices": list(suite.devices)}

    def needs(self, suite: Suite) -> str:
        """Return that torch is needed, and a GPU where one was used."""
        text = "Trainings need torch: pip install 'nasbench-evo[train]'."
        if any(device.startswith("cuda") for device in suite.devices):
            text += (
                f" These ran on {', '.join(suite.devices)}: a CUDA GPU is needed. Another kind of "
                "device rounds otherwise and so makes other runs; so may another kind of GPU."
            )
        return text

    def about(self, suite: Suite) -> dict[str, Any]:
        """Return what names the suite, its space and the settings of its trainings."""
        return kind.of_evaluator(suite)

    def options(self, suite: Suite, unit: Unit) -> list[str]:
        """Return evaluator, space, devices and settings."""
        words = ["--evaluator", self.name, "--space", suite.space]
        words += ["--devices", ",".join(suite.devices)]
        words += kind.settings("--evaluator-set", suite.evaluator_set)
        return words + kind.settings("--final-set", suite.final_set)

    def facts(self, suite: Suite, unit: Unit, run: Run) -> dict[str, Any]:
        """Return what was seen of the result, and its fresh trainings."""
        final = {
            f"final_{part}": mean_or_none([one[f"{part}_accuracy"] for one in run.final])
            for part in ("valid", "test")
        }
        return {
            "on_table": unit.row.on_table,
            "seen": run.seen,
            "standalone": None,
            **final,
            "final_trainings": len(run.final),
        }

    def judged_by(self, suite: Suite, unit: Unit, run: Run) -> Judgement:
        """Return what fresh trainings of the genotype gave."""
        details = {"seen_valid_accuracy": run.seen, "fitness_by_epoch": run.fitness or None}
        return by_training(run.final, details)

    def told(self, suite: Suite, unit: Unit, run: Run) -> dict[str, str]:
        """Return what was seen, what the fresh trainings gave, and the cost."""
        said = {} if run.seen is None else {"seen": f"{run.seen:.2f} %"}
        said |= trained_anew(run.final)
        said["found after"] = kind.found_after(run)
        if not unit.row.on_table:
            said["training and measuring"] = f"{run.simulated_seconds:,.1f} s"
        return said

    def track(self, suite: Suite, unit: Unit, seed: int) -> Track:
        """Return the accuracy of the incumbent as its search saw it."""
        axis = "validation accuracy as seen (%)"
        return Track("Accuracy of the incumbent as seen", axis, "valid_accuracy_as_seen", as_seen)

    def known_of_runs(
        self, found: Findings, runs: UnitRuns, dataset: str
    ) -> dict[str, Sequence[float | None] | Array]:
        """Return what was seen, what the fresh trainings of each run gave, and what was spent."""
        every = [self.facts(found.suite, runs.unit, run) for run in runs.records]
        untaught = [run.data.get(UNTAUGHT, ()) for run in runs.records]
        sizes = [run.data.get(NETWORK, {}).get("parameters") for run in runs.records]
        return {
            "seen": [one["seen"] for one in every],
            "final_valid": [one["final_valid"] for one in every],
            "final_test": [one["final_test"] for one in every],
            "final_test_untaught": [
                mean_or_none([one["test_accuracy"] for one in some]) for some in untaught
            ],
            "parameters": [None if size is None else size / 1e6 for size in sizes],
            "evaluations": [run.evaluations for run in runs.records],
            "neighbour": apart(runs),
        }

    def where(self, suite: Suite) -> str:
        """Return the space and the devices in words."""
        return f"space {suite.space}, trained on {', '.join(suite.devices)}"


class Standalone(Training):
    """Rows are judged by the accuracy that searches saw; fresh trainings stand beside it."""

    name = "standalone"
    judged = ("seen_mean",)
    figures = ("accuracy", "final_accuracy", "relaxation")
    meaning = (
        "Accuracies are percent. Seen: validation accuracy of the incumbent in its search, the "
        "best of many noisy values and so too high; mean with its 95% bootstrap interval. "
        f"{FINAL_MEANING} {kind.AGAINST} Ranks, ties and these compare what was seen."
    )
    columns = (
        *kind.ROW,
        kind.LABEL,
        kind.DATASET,
        kind.EVALUATIONS,
        kind.COUNT,
        Column(
            "seen_mean",
            lambda g: -float(g.losses.mean()),
            "seen",
            "%",
            f"Mean over runs of the incumbent's validation accuracy as its search saw it ({SEEN}), "
            "with its 95% bootstrap interval.",
            low="seen_low",
            high="seen_high",
            width=1,
        ),
        Column("seen_std", lambda g: g.std),
        Column("seen_low", lambda g: -g.interval.high),
        Column("seen_high", lambda g: -g.interval.low),
        kind.RANK,
        *FINAL,
        Column(
            "training_seconds",
            lambda g: _at_the_end(g, fmean(run.simulated_seconds for run in g.runs.records)),
            "s/run",
            meaning=SECONDS_MEANING,
            form=".0f",
            width=4,
        ),
        *kind.COMPARED,
        Column(
            "returned_same",
            lambda g: _at_the_end(g, _returned_same(g.runs)),
            "ended on it",
            meaning="Part of the runs whose algorithm itself ended with the incumbent, of those "
            "that return a result of their own (a last population, a final alpha).",
            width=5,
        ),
        kind.BEST_OF,
        kind.ASKED,
    )

    def find(self, suite: Suite, collected: Sequence[UnitRuns]) -> Findings:
        """Return the rows, with comparisons at the last checkpoint."""
        return kind.found_by_accuracy(self, suite, collected)

    def known_of_runs(
        self, found: Findings, runs: UnitRuns, dataset: str
    ) -> dict[str, Sequence[float | None] | Array]:
        """Return also what was seen at each checkpoint."""
        return {**seen_at_marks(found.suite, runs), **super().known_of_runs(found, runs, dataset)}

    def space(self, suite: Suite) -> Space:
        """Return the space; raise InputError for settings that do not fit."""
        return read_space(settings.Settings, suite)

    def options(self, suite: Suite, unit: Unit) -> list[str]:
        """Return how to train, and the budget."""
        words = super().options(suite, unit)
        words += ["--evaluations", f"{suite.evaluations}"]
        seconds = suite.simulated_seconds
        return words if seconds is None else [*words, "--simulated-seconds", f"{seconds:g}"]

    def scope(self, suite: Suite) -> str:
        """Return the budget and that every candidate is trained."""
        return (
            f"{kind.within(suite)}. Every candidate is a network of its own: {self.where(suite)}."
        )


def read_space(read_as: Any, suite: Suite) -> Space:
    """Return the space of a suite that trains, its settings read as a kind of settings."""
    chosen = settings.read(read_as, suite.evaluator_set)
    space: Space = chosen.make_space(suite.space, chosen.image_size)
    return space


def trained_anew(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the accuracies of the new networks of what a run found; empty without any."""
    failed = sorted({one["reason"] or one["status"] for one in found if one["status"] != "ok"})
    said = {
        f"final trainings, {name}": ", ".join(f"{one[key]:.2f}" for one in found) + " %"
        for name, key in (("test", "test_accuracy"), ("validation", "valid_accuracy"))
        if found and all(one[key] is not None for one in found)
    }
    return {**said, "failed trainings": "; ".join(failed)} if failed else said


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are known; None without any."""
    some = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(some)) if some else None
