"""Suites on supernets: candidates share weights, and what is found is judged standalone.

What a search saw are accuracies with shared weights. They are not those of the cells trained alone,
which the truth table or fresh trainings give; how far one stands for the other is measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo import tables
from nasbench_evo.analysis.bootstrap import Array
from nasbench_evo.evaluators import settings
from nasbench_evo.files import plain_fields
from nasbench_evo.randomness import stream
from nasbench_evo.results import kind, weight_sharing
from nasbench_evo.results.answer import Judgement, by_table
from nasbench_evo.results.columns import Column, ResultRow
from nasbench_evo.results.kind import Choice, Findings, Track
from nasbench_evo.results.ranking import (
    Ranking,
    final_genotypes,
    rankings,
    standalone_accuracy,
)
from nasbench_evo.results.rows import Group, made, mean_intervals, ranked
from nasbench_evo.results.runs import Point, Run, UnitRuns
from nasbench_evo.results.trained import (
    FINAL,
    FINAL_MEANING,
    SECONDS_MEANING,
    SEEN,
    Training,
    finals,
    mean_or_none,
    read_space,
)
from nasbench_evo.results.weight_sharing import PairedSearches
from nasbench_evo.spaces import Space
from nasbench_evo.suite import Suite, Unit


def _of_weights(g: Group) -> bool:
    return g.runs.unit.training is not None


def _seconds(g: Group) -> float | None:
    if not _of_weights(g):
        return None
    return fmean(run.simulated_seconds for run in g.runs.records)


class Supernet(Training):
    """Rows are judged by the standalone accuracy of their final genotypes in the truth table."""

    name = "supernet"
    judged = ("truth", "final_test", "seen")
    figures = ("shared_weights", "final_accuracy", "relaxation")
    meaning = (
        "Accuracies are percent, means over runs. Seen: with shared weights, not to be compared "
        "with the others. Standalone: trained alone, as the truth table has it, with its 95% "
        f"bootstrap interval. {FINAL_MEANING} tau-b: Kendall's, of shared against standalone "
        "accuracy after the last epoch, with the 95% bootstrap interval of its mean over runs. "
        "* best of the table or tied with it."
    )
    columns = (
        *kind.ROW,
        kind.LABEL,
        dataclasses.replace(kind.DATASET, meaning="What the shared weights are trained on."),
        Column(
            "searched",
            lambda g: "shared weights" if _of_weights(g) else "table",
            "searched on",
            meaning="Shared weights, or the truth table with the same seeds.",
            width=0,
            kind="text",
        ),
        kind.COUNT,
        Column(
            "seen",
            lambda g: mean_or_none([run.seen for run in g.runs.records]),
            "seen",
            "%",
            f"Highest accuracy that the search saw, with shared weights ({SEEN}).",
            width=3,
        ),
        Column(
            "truth_dataset",
            lambda g: g.facts.get("truth_dataset"),
            "judged on",
            meaning="Data set of the truth table.",
            kind="text",
            width=4,
        ),
        Column(
            "truth",
            lambda g: g.facts.get("truth"),
            "standalone",
            "%",
            "Validation accuracy of the final architectures trained alone, from the truth table: "
            "mean over runs with its 95% bootstrap interval.",
            low="truth_low",
            high="truth_high",
            width=0,
        ),
        kind.RANK,
        Column(
            "seen_truth",
            lambda g: g.facts.get("seen_truth"),
            "best seen, standalone",
            "%",
            "The same of the best architecture that the search saw, beside what it ended with.",
            width=4,
        ),
        Column("truth_std", lambda g: g.facts.get("truth_std")),
        Column("truth_low", lambda g: g.facts.get("truth_low")),
        Column("truth_high", lambda g: g.facts.get("truth_high")),
        Column(
            "regret",
            lambda g: g.facts.get("regret"),
            "regret",
            "points",
            "Distance of that mean to the table's best, percentage points.",
            width=2,
        ),
        Column(
            "truth_test",
            lambda g: g.facts.get("truth_test"),
            "standalone test",
            "%",
            "Test accuracy of the final architectures in the table.",
            width=4,
        ),
        *FINAL[:-1],
        dataclasses.replace(
            FINAL[-1],
            of=lambda g: len(finals(g.runs)),
            show=lambda row: str(row.final_trainings or ""),
        ),
        Column(
            "kendall_tau",
            lambda g: g.facts.get("kendall_tau"),
            "tau-b",
            meaning="Kendall's, of shared against standalone accuracy after the last epoch, with "
            "the bootstrap interval of its mean over runs.",
            low="tau_low",
            high="tau_high",
            width=1,
        ),
        Column("tau_low", lambda g: g.facts.get("tau_low")),
        Column("tau_high", lambda g: g.facts.get("tau_high")),
        Column(
            "spearman",
            lambda g: g.facts.get("spearman"),
            "Spearman",
            meaning="Rank correlation of the same; mean over runs.",
        ),
        Column("search_seconds", _seconds, "s/run", meaning=SECONDS_MEANING, form=".0f", width=4),
        kind.BEST_OF,
        kind.ASKED,
    )

    def find(self, suite: Suite, collected: Sequence[UnitRuns]) -> Findings:
        """Return the rows, the rankings along the way and the searches beside the table's."""
        every = rankings(suite, collected)
        by_unit = {ranking.unit: ranking for ranking in every}
        groups: list[Group] = []
        for dataset in suite.datasets:
            own = [runs for runs in collected if runs.unit.dataset == dataset and runs.records]
            for truth in self._truths(suite):
                found = [_group(suite, runs, truth, by_unit.get(runs.unit)) for runs in own]
                groups += ranked(found)
        kind.labelled(groups)
        paired = pairs(suite, collected)
        sentences = [weight_sharing.sentence(result, label) for label, result in paired.items()]
        return Findings(suite, collected, made(self.columns, groups), every, paired, sentences)

    def _truths(self, suite: Suite) -> list[str | None]:
        if suite.truth is None:
            return [None]
        return list(tables.reported(suite.truth.table).datasets)

    def space(self, suite: Suite) -> Space:
        """Return the space; raise InputError for settings that do not fit."""
        return read_space(settings.SupernetSettings, suite)

    def groups(self, suite: Suite) -> tuple[str, ...]:
        """Return data set and data set of the truth."""
        return ("dataset", "truth_dataset")

    def shown(self, suite: Suite, row: ResultRow) -> bool:
        """Every row is of the end of the runs."""
        return True

    def title(self, suite: Suite, row: ResultRow) -> str:
        """Return what was trained on and what judged."""
        judged = f", judged on {row.truth_dataset}" if row.truth_dataset else ""
        return f"{suite.space} supernet on {row.dataset}{judged}"

    def choice(self, suite: Suite) -> Choice | None:
        """Return the data sets of the truth."""
        if suite.truth is None:
            return None
        values = tables.reported(suite.truth.table).datasets
        chosen = suite.truth.dataset or suite.datasets[0]
        return Choice("Judged on", "truth_dataset", values, chosen)

    def about(self, suite: Suite) -> dict[str, Any]:
        """Return what names the suite, and its truth."""
        truth = None if suite.truth is None else suite.truth.model_dump()
        return {**super().about(suite), "truth": truth}

    def more(self, found: Findings) -> dict[str, Any]:
        """Return the rank correlation of each epoch of each run, and the paired searches."""
        return {
            "rank_correlation": [
                {
                    "algorithm": r.unit.row.label,
                    "dataset": r.unit.dataset,
                    "seed": seed,
                    "epoch": epoch,
                }
                | plain_fields(figures.to_json())
                for r in found.rankings
                for seed, curve in zip(r.seeds, r.curves, strict=True)
                for epoch, figures in curve
            ],
            "paired": {label: plain_fields(pair.to_json()) for label, pair in found.pairs.items()},
            "sentences": list(found.sentences),
        }

    def headlines(self, found: Findings) -> Sequence[str]:
        """Return what sharing weights did to each search."""
        return found.sentences

    def options(self, suite: Suite, unit: Unit) -> list[str]:
        """Return how to train; of a search on the truth table, the table."""
        if unit.row.on_table:
            return ["--table", unit.table, *kind.budget_options(unit)]
        return super().options(suite, unit)

    def track(self, suite: Suite, unit: Unit, seed: int) -> Track:
        """Return the incumbent's accuracy as seen; on the table, its standalone accuracy."""
        if not unit.row.on_table or suite.truth is None:
            return super().track(suite, unit, seed)
        return Track(
            "Standalone accuracy of the incumbent",
            "in the truth table (%)",
            "standalone_accuracy",
            lambda point: _truth_of(suite, unit, point),
        )

    def facts(self, suite: Suite, unit: Unit, run: Run) -> dict[str, Any]:
        """Return what trainings give, and what the truth says of the result."""
        standalone = _truth_of(suite, unit, Point(run.evaluations, run.genotype))
        return {**super().facts(suite, unit, run), "standalone": standalone}

    def known_of_runs(
        self, found: Findings, runs: UnitRuns, dataset: str
    ) -> dict[str, Sequence[float | None] | Array]:
        """Return also what the truth says, and tau-b of shared and standalone accuracy."""
        suite, unit = found.suite, runs.unit
        known = super().known_of_runs(found, runs, dataset)
        ended = [
            Point(run.evaluations, one)
            for run, one in zip(runs.records, final_genotypes(runs), strict=True)
        ]
        known["standalone"] = [_truth_of(suite, unit, point) for point in ended]
        known["seen_standalone"] = [_truth_of(suite, unit, run.curve[-1]) for run in runs.records]
        if suite.truth is not None:
            table, called = tables.reported(suite.truth.table), suite.truth.dataset or dataset
            sizes = [table.size(called, point.genotype) for point in ended]
            known["parameters"] = [None if size is None else size / 1e6 for size in sizes]
        for ranking in found.rankings:
            if ranking.unit == unit:
                known["kendall_tau"] = [
                    curve[-1][1]["kendall_tau"].estimate for curve in ranking.curves
                ]
        return known

    def judged_by(self, suite: Suite, unit: Unit, run: Run) -> Judgement:
        """Return what fresh trainings gave, with the truth's regret and rank of the genotype.

        Without fresh trainings the truth's accuracies stand for them.
        """
        trained = super().judged_by(suite, unit, run)
        if suite.truth is None:
            return trained
        table = tables.reported(suite.truth.table)
        truth = by_table(table, suite.truth.dataset or unit.dataset, run.genotype)
        details = {**truth.details, **trained.details}
        if not run.final:
            return dataclasses.replace(truth, details=details)
        return dataclasses.replace(trained, regret=truth.regret, rank=truth.rank, details=details)

    def told(self, suite: Suite, unit: Unit, run: Run) -> dict[str, str]:
        """Return what trainings tell, and what the truth says of the result."""
        standalone = _truth_of(suite, unit, Point(run.evaluations, run.genotype))
        said = {} if run.seen is None else {"seen": f"{run.seen:.2f} %"}
        if standalone is not None:
            said["standalone, in the truth table"] = f"{standalone:.2f} %"
        return said | super().told(suite, unit, run)

    def scope(self, suite: Suite) -> str:
        """Return that a run ends with its epochs, and what judges it."""
        judged = ""
        if suite.truth is not None:
            table = tables.reported(suite.truth.table)
            judged = f" Judged by the table {table.name}, {table.label}."
        return (
            "a run ends with the epochs of its search. Candidates share the weights of a "
            f"supernet: {self.where(suite)}.{judged}"
        )


def _group(suite: Suite, runs: UnitRuns, truth: str | None, ranking: Ranking | None) -> Group:
    """Return the runs of a unit as one data set of the truth judges them."""
    facts: dict[str, Any] = {} if ranking is None else _correlated(ranking)
    if suite.truth is not None and truth is not None:
        facts |= _judged(runs, suite.truth.table, truth)
        losses = -facts.pop("each")
    elif all(run.final for run in runs.records):
        losses = -np.array([fmean(one["test_accuracy"] for one in r.final) for r in runs.records])
    else:
        losses = -np.array([math.nan if r.seen is None else r.seen for r in runs.records])
    (interval,) = mean_intervals([losses])
    return Group(runs, runs.unit.dataset, 0, losses, interval, facts, asked=suite.seeds)


def _judged(runs: UnitRuns, name: str, dataset: str) -> dict[str, Any]:
    """Return the truth's view of the final cells on one of its data sets."""
    table = tables.reported(name)
    genotypes = final_genotypes(runs)
    best = [run.curve[-1].genotype for run in runs.records]
    accuracies = standalone_accuracy(table, dataset, genotypes)
    ((mean, low, high),) = mean_intervals([accuracies])
    return {
        "each": accuracies,
        "truth_dataset": dataset,
        "truth": mean,
        "truth_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "truth_low": low,
        "truth_high": high,
        "regret": float(table.best[table.row(dataset)]) - mean,
        "seen_truth": mean_or_none(standalone_accuracy(table, dataset, best).tolist()),
        "truth_test": mean_or_none([table.mean_test(dataset, one) for one in genotypes]),
    }


def _correlated(ranking: Ranking) -> dict[str, Any]:
    last = [curve[-1][1] for curve in ranking.curves]
    taus = np.array([figures["kendall_tau"].estimate for figures in last])
    ((mean, low, high),) = mean_intervals([taus])
    spearman = float(np.mean([figures["spearman"].estimate for figures in last]))
    return {"kendall_tau": mean, "tau_low": low, "tau_high": high, "spearman": spearman}


def _truth_of(suite: Suite, unit: Unit, point: Point) -> float | None:
    """Return the standalone accuracy of a genotype in the truth table; None without one."""
    if suite.truth is None:
        return None
    table = tables.reported(suite.truth.table)
    row = table.row(suite.truth.dataset or unit.dataset)
    return float(table.mean_accuracy[row, table.space.index(point.genotype)])


def fitness(runs: UnitRuns) -> tuple[NDArray[np.int64], Array]:
    """Return the epochs [e] in which runs measured individuals, and their accuracies [n, e, 3].

    The three are the highest, mean and lowest of the epoch, percent. Runs that a budget ended
    before the others are left out.
    """
    longest = max(len(run.fitness) for run in runs.records)
    values = np.array([run.fitness for run in runs.records if len(run.fitness) == longest])
    return values[0, :, 0].astype(np.int64), values[:, :, 1:]


_DIAGNOSED = ("population", "random_paths", "agreement", "distinct_children", "distinct")


def collapse(runs: UnitRuns) -> tuple[NDArray[np.int64], Array] | None:
    """Return the epochs [g] of what runs said of their populations, and the values [n, g, 5].

    Those are, in this order: mean accuracy of the population and of random paths (percent, with
    the same weights on the same images), agreement of the population's genes (0..1), different
    children bred from it, and different genotypes in it. None where the runs say nothing of that,
    see `random_paths` of GeneticNAS; runs that ended before the others are left out.
    """
    every = [
        [note for note in run.data.get("epochs", ()) if _DIAGNOSED[1] in note]
        for run in runs.records
    ]
    longest = max((len(notes) for notes in every), default=0)
    if not longest:
        return None
    whole = [notes for notes in every if len(notes) == longest]
    values = np.array([[[note[key] for key in _DIAGNOSED] for note in notes] for notes in whole])
    return np.array([note["epoch"] for note in whole[0]]), values


def pairs(suite: Suite, collected: Sequence[UnitRuns]) -> dict[str, PairedSearches]:
    """Return, by label, each search beside the same one on the truth table, seed by seed."""
    if suite.truth is None:
        return {}
    table = tables.reported(suite.truth.table)
    on_table = {_twin(runs): runs for runs in collected if runs.unit.row.on_table}
    found: dict[str, PairedSearches] = {}
    for runs in collected:
        twin = None if runs.unit.row.on_table else on_table.get(_twin(runs))
        if twin is None:
            continue
        dataset = suite.truth.dataset or runs.unit.dataset
        common = {r.seed for r in runs.records} & {r.seed for r in twin.records}
        if not common:
            continue
        both = [
            UnitRuns(one.unit, [r for r in one.records if r.seed in common]) for one in (runs, twin)
        ]
        shared, other = (final_genotypes(one) for one in both)
        several = len(suite.datasets) > 1
        label = f"{runs.unit.row.label}{f', {runs.unit.dataset}' if several else ''}"
        found[label] = weight_sharing.paired(
            table.space,
            shared,
            other,
            standalone_accuracy(table, dataset, shared),
            standalone_accuracy(table, dataset, other),
            rng=stream(0, "bootstrap of paired searches"),
        )
    return found


def _twin(runs: UnitRuns) -> tuple[Any, str]:
    """Return what a search on shared weights and the same on the table have in common."""
    return runs.unit.row.configured, runs.unit.dataset
