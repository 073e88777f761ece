"""What a search recommends: the best single answer, or the best average of a genotype."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import loaded

from nasbench_evo import suite as suites
from nasbench_evo import tables
from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.algorithms.genetic_cnn import GeneticCNN
from nasbench_evo.algorithms.regularized_evolution import RegularizedEvolution
from nasbench_evo.engines import Task, execute
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.incumbents import RULES, changes, incumbent_accuracies, incumbents
from nasbench_evo.results.on_table import OnTable
from nasbench_evo.results.runs import UnitRuns, decode
from nasbench_evo.runner import Budget, search

ANSWERS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from([0.2, 1.0]), st.integers(0, 40)),
    min_size=1,
    max_size=40,
)
Answers = list[tuple[str, float, int]]  # genotype, fraction, accuracy


def columns(answers: Answers) -> tuple[list[str], list[float], list[float]]:
    return (
        [g for g, _, _ in answers],
        [float(accuracy) for _, _, accuracy in answers],
        [fraction for _, fraction, _ in answers],
    )


def best_by_definition(answers: Answers, rule: str) -> str:
    """The rule in one expression each, from all answers so far."""
    top = max(fraction for _, fraction, _ in answers)
    full = [(g, accuracy) for g, fraction, accuracy in answers if fraction == top]
    if rule == "seen":
        return max(full, key=lambda answer: answer[1])[0]
    own = {g: [accuracy for name, accuracy in full if name == g] for g, _ in full}
    return max(own, key=lambda g: (round(sum(own[g]) / len(own[g]), 9), len(own[g])))


@given(answers=ANSWERS, rule=st.sampled_from(RULES))
def test_the_incumbent_after_every_answer_is_the_best_by_definition(
    answers: Answers, rule: str
) -> None:
    found = {i: g for i, g, _ in changes(rule, *columns(answers))}
    incumbent = None
    for i in range(len(answers)):
        incumbent = found.get(i, incumbent)
        assert incumbent == best_by_definition(answers[: i + 1], rule)


@given(names=st.permutations("abcdefgh"), accuracies=st.lists(st.integers(0, 9), min_size=8))
def test_without_repetition_the_rules_agree(names: list[str], accuracies: list[int]) -> None:
    ones = [1.0] * 8
    values = [float(a) for a in accuracies[:8]]
    seen, mean = (incumbents(names, values, ones, ones, rule) for rule in RULES)
    assert seen == mean


def test_averages_by_hand() -> None:
    # a falls from 60 to 50 when it is asked again: b with 55 takes over, then a with 56 twice more.
    names, values = "abaab", [60.0, 55.0, 40.0, 68.0, 57.0]
    ones = [1.0] * 5
    points = incumbents(names, values, ones, ones, "mean")
    assert points == [(1.0, "a"), (3.0, "b"), (4.0, "a")]
    # A tie of averages: more answers come first.
    assert incumbents("aabbb", [5.0] * 5, ones, ones, "mean")[-1] == (5.0, "b")


@pytest.mark.parametrize("name", ["genetic_cnn", "eigen", "regularized_evolution"])
def test_the_rule_changes_the_recommendation_but_not_the_search(
    name: str, cifar10: LookupEvaluator
) -> None:
    algorithm = ALGORITHMS[name].configure()
    different = 0
    for seed in range(10):
        seen, mean = (
            search(algorithm, cifar10, seed=seed, budget=Budget(200), incumbent=r) for r in RULES
        )
        assert seen.trace_sha256 == mean.trace_sha256
        assert seen.history == mean.history
        assert seen.genotype == seen.curve[-1][1] == mean.recommended("seen")
        assert mean.genotype == mean.curve[-1][1] == seen.recommended("mean")
        different += seen.genotype != mean.genotype
        own = [a.valid_accuracy for a in mean.history if a.genotype == mean.genotype]
        full = [a for a in mean.history if a.genotype == mean.genotype and a.fraction == 1]
        if len(full) == len(own):
            last = incumbent_accuracies(mean.history, "mean")[-1]
            assert last[1] == mean.genotype
            assert math.isclose(last[2], sum(own) / len(own), abs_tol=1e-8)
    assert different


def test_the_default_is_the_algorithms(cifar10: LookupEvaluator) -> None:
    assert search(GeneticCNN(), cifar10, budget=Budget(20)).incumbent == "mean"
    random = ALGORITHMS["random_search"].configure()
    assert search(random, cifar10, budget=Budget(20)).incumbent == "seen"
    with pytest.raises(InputError, match=r"incumbent rule.*[Dd]id you mean 'mean'"):
        search(GeneticCNN(), cifar10, incumbent="maen")


SUITE = """
name = "rules"
datasets = ["cifar10"]
seeds = 3
evaluations = 100
checkpoints = [100]
{suite}
[[rows]]
algorithm = "genetic_cnn"
{row}
"""


def unit(tmp_path: Path, suite: str = "", row: str = "") -> suites.Unit:
    (found,) = suites.units(loaded(tmp_path, SUITE.format(suite=suite, row=row)))
    return found


def test_a_suite_or_a_row_chooses_the_rule(tmp_path: Path) -> None:
    default, seen = unit(tmp_path), unit(tmp_path, 'incumbent = "seen"')
    assert default.describe()["incumbent"] == "mean"
    assert "incumbent" not in seen.describe()  # so that older stores have these runs
    assert default.key() != seen.key()
    row = unit(tmp_path, 'incumbent = "mean"', 'incumbent = "seen"')
    assert row.key() == seen.key()
    assert row.row.label == "genetic_cnn (paper, incumbent=seen)"
    with pytest.raises(InputError, match="incumbent"):
        unit(tmp_path, 'incumbent = "best"')


def test_a_record_has_both_rules_and_what_the_algorithm_ended_with(tmp_path: Path) -> None:
    task = unit(tmp_path)
    outcome = execute(Task(task, task.key(), tuple(range(8))))
    assert not outcome.failures
    some = 0
    regrets: dict[str, list[float]] = {rule: [] for rule in RULES}
    table = tables.load()
    for record in outcome.records:
        run = search(task.row.configured, task.evaluator(), seed=record.seed, budget=task.budget)
        stored = decode(record)
        assert stored.returned == run.returned
        both = {rule: run.recommended(rule) for rule in RULES}
        assert {rule: stored.recommended(rule) for rule in RULES} == both
        assert replace(stored, data={}).recommended("mean") is None  # of an earlier version
        some += both["seen"] != both["mean"]
        for rule in RULES:
            regrets[rule].append(table.regret("cifar10", both[rule]))
    assert some > 0
    suite = loaded(tmp_path, SUITE.format(suite="", row="")).model_copy(update={"seeds": 8})
    records = [decode(record) for record in outcome.records]
    (row,) = OnTable().find(suite, [UnitRuns(task, records)]).rows
    for rule in RULES:
        assert row[f"regret_{rule}"] == pytest.approx(fmean(regrets[rule]))
    assert row.regret_mean == pytest.approx(row.mean_regret)  # the rule of this row
    older = [replace(record, data={}) for record in records[:1]]
    (row,) = OnTable().find(suite, [UnitRuns(task, older + records[1:])]).rows
    assert row.regret_seen is None
    assert row.regret_mean is None


def test_shared_weights_have_no_mean(tmp_path: Path) -> None:
    path = tmp_path / "shared.toml"
    text = """
name = "shared"
evaluator = "supernet"
datasets = ["digits"]
seeds = 1
{suite}
[[rows]]
algorithm = "genetic_nas"
{row}
"""
    for suite, row in (('incumbent = "mean"', ""), ("", 'incumbent = "mean"')):
        path.write_text(text.format(suite=suite, row=row))
        with pytest.raises(InputError, match="does not go with"):
            suites.load(path)


def test_regularized_evolution_has_no_result_of_its_own(cifar10: LookupEvaluator) -> None:
    assert search(RegularizedEvolution(), cifar10, budget=Budget(30)).returned is None
