"""Ours beside published figures: which may be compared, and what is said of the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from nasbench_evo import suite as suites
from nasbench_evo.analysis.statistics import Interval
from nasbench_evo.results import comparison
from nasbench_evo.results.columns import ResultRow
from nasbench_evo.results.published import PublishedRow

SUITE = suites.load(suites.find("nb201"))
ROW = PublishedRow(
    method="Regularized evolution",
    algorithm="regularized_evolution",
    space="nasbench201",
    dataset="cifar10",
    split="valid",
    mean=91.19,
    std=0.31,
    runs=500,
    budget="12000 simulated seconds on CIFAR-10",
    protocol="searched on CIFAR-10, reported after full training",
    source="a source",
    seconds=12000,
    searched_on="cifar10",
)


def test_the_same_budget_and_protocol_are_comparable() -> None:
    assert comparison.differences(timed(12000), ROW) == []
    limited = SUITE.model_copy(update={"simulated_seconds": 12000.0})  # and by 300 evaluations
    assert comparison.differences(limited, ROW) == [
        "its budget was 12000 simulated seconds, ours is 12000 simulated seconds and 300 "
        "evaluations"
    ]
    transfer = timed(12000, report_on=["cifar100"])
    assert comparison.differences(transfer, dataclasses.replace(ROW, dataset="cifar100")) == []


def timed(seconds: float, report_on: Sequence[str] = ()) -> suites.Suite:
    """The suite with a budget in seconds alone."""
    content = SUITE.model_dump(include={"name", "seeds", "rows"})
    return suites.Suite.model_validate(
        {
            **content,
            "datasets": ["cifar10"],
            "simulated_seconds": seconds,
            "report_on": list(report_on),
        }
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "its budget was 12000 simulated seconds, ours is 300 evaluations"),
        ({"dataset": "cifar100"}, "it searched on cifar10, ours on cifar100"),
        ({"searched_epochs": 12}, "by accuracy after 12 epochs, ours after 200 epochs"),
        ({"weights": "shared"}, "weight-sharing supernet"),
        ({"stated": False}, "protocol is not stated"),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], reason: str) -> None:
    found = comparison.differences(SUITE, dataclasses.replace(ROW, **changes))
    assert any(reason in text for text in found)


def test_another_simulated_budget_is_named() -> None:
    assert comparison.differences(timed(500), ROW) == [
        "its budget was 12000 simulated seconds, ours is 500 simulated seconds"
    ]


def lines() -> list[dict[str, str]]:
    labels = [row.label for row in suites.rows(SUITE)]
    ours = {(label, d, "valid"): Interval(50, 49, 51) for label in labels for d in SUITE.datasets}
    rows = comparison.compare_all(SUITE, ours)
    return [dict(zip(comparison.COLUMNS, line, strict=True)) for line in rows]


def test_the_best_cell_matches_where_the_source_takes_the_mean_over_trials() -> None:
    found = {line["data set"]: line for line in lines() if line["published"] == "Optimal"}
    assert {d: line["judgement"] for d, line in found.items()} == {
        "cifar10": "match",
        "cifar100": "match",
        "ImageNet16-120": "differs",
    }
    # The papers print the best single trial there, which is not the mean.
    assert "that cell's best single trial is 46.77" in found["ImageNet16-120"]["why"]


def test_every_row_of_ours_with_a_published_counterpart_is_judged_with_a_reason() -> None:
    found = [line for line in lines() if line["published"] != "Optimal"]
    assert {line["judgement"] for line in found} == {"not comparable"}
    assert all(line["why"] for line in found)
    evolution = [line for line in found if line["published"] == "Regularized evolution"]
    assert len(evolution) == 6  # two presets on three data sets


def test_sentences_share_what_is_the_same() -> None:
    rows = [line for line in comparison.compare_all(SUITE, {}) if line[2] == "Optimal"]
    assert len(comparison.sentences(rows)) == 3
    both = comparison.sentences([tuple(line.values()) for line in lines()])
    (text,) = [s for s in both if s.startswith("cifar10 valid: published Regularized evolution")]
    assert "regularized_evolution (paper) 50.00 [49.00, 51.00]" in text
    assert "regularized_evolution (real2019) 50.00 [49.00, 51.00]: not comparable; " in text


def test_a_summary_is_compared_at_its_last_checkpoint_where_it_has_an_interval() -> None:
    values = {
        "algorithm": "regularized_evolution",
        "preset": "paper",
        "dataset": "cifar10",
        "evaluations": 300,
        "n": 500,
        "mean_accuracy": 91.5,
        "accuracy_low": 91.4,
        "accuracy_high": 91.6,
        "mean_test": None,
        "test_low": None,
        "test_high": None,
    }
    row = ResultRow(values)
    earlier = ResultRow({**values, "evaluations": 100, "mean_accuracy": 90.0})
    single = ResultRow({**values, "preset": "real2019", "n": 1})
    (text,) = [s for s in comparison.of_summary(SUITE, [earlier, row, single]) if "evolution" in s]
    assert "ours regularized_evolution (paper) 91.50 [91.40, 91.60]: not comparable" in text
