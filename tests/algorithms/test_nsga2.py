"""NSGA-II around the algorithms: ranks, crowding, survival, the set that comes out."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support import Scripted, evaluation

from nasbench_evo import algorithms
from nasbench_evo.algorithms.nsga2 import NSGA2, best_of, crowding, non_dominated, ranked
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.tables import Table

pytest.importorskip("moocore", reason="extra multi is not installed")

BASES = ("genetic_cnn", "genetic_nas", "regularized_evolution")


def convolutions(genotype: Any) -> tuple[float, ...]:
    """A cheap cost: the number of convolutions of a cell."""
    return (float(sum(gene in (2, 3) for gene in genotype)),)


def run(name: str, evaluator: LookupEvaluator, seed: int = 0, **changes: Any) -> Result:
    base = algorithms.get(name).configure("paper", changes)
    return search(NSGA2(base, convolutions), evaluator, seed=seed, budget=Budget(90))


def dominates(a: Any, b: Any) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def test_crowding_by_hand() -> None:
    # Spans 4 and 8; neighbours of the second point: (3 - 0) / 4 + (8 - 2) / 8.
    front = np.array([[0.0, 8.0], [1.0, 4.0], [3.0, 2.0], [4.0, 0.0]])
    assert crowding(front).tolist() == [np.inf, 0.75 + 0.75, 0.75 + 0.5, np.inf]
    assert crowding(front[:1]).tolist() == [0]
    assert crowding(np.ones((3, 2))).tolist() == [0, 0, 0]


def test_rank_comes_before_crowding_and_crowding_before_position() -> None:
    dominated = [5.0, 9.0]
    objectives = np.array([dominated, [1.0, 4.0], [3.0, 2.0], [4.0, 0.0], [0.0, 8.0]])
    assert ranked(objectives) == [3, 4, 1, 2, 0]


POINTS = arrays.arrays(
    float, st.tuples(st.integers(1, 12), st.integers(2, 3)), elements=st.integers(0, 4)
)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_nobody_is_ranked_after_one_that_it_dominates(points: np.ndarray) -> None:
    order = ranked(points)
    assert sorted(order) == list(range(len(points)))
    for later, i in enumerate(order):
        assert not any(dominates(points[i], points[j]) for j in order[:later])


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_the_set_is_that_of_brute_force(points: np.ndarray) -> None:
    history = [evaluation((i,), -row[0]) for i, row in enumerate(points)]
    found = non_dominated(history, lambda genotype: tuple(points[genotype[0], 1:]))
    expected = [
        i for i, row in enumerate(points) if not any(dominates(other, row) for other in points)
    ]
    assert sorted(member.genotype[0] for member in found) == expected
    assert [member.seen for member in found] == sorted((m.seen for m in found), reverse=True)


def test_a_genotype_counts_by_its_mean() -> None:
    history = [evaluation((0,), 80.0), evaluation((1,), 75.0), evaluation((0,), 60.0)]
    (member,) = non_dominated(history, lambda genotype: (1.0,))
    assert member == ((1,), 75.0, (1.0,))


def test_tournament_draws_without_replacement() -> None:
    assert best_of(4, 2, Scripted([0.8, 0.4])) == 1  # 3 of 0..3, then 1 of 0, 1, 2
    assert best_of(4, 2, Scripted([0.0, 0.0])) == 0
    assert best_of(2, 5, Scripted([0.9, 0.0])) == 0  # all there are
    assert best_of(3, 1, Scripted([0.5])) == 1


@pytest.mark.parametrize("name", BASES)
def test_one_seed_one_trace(name: str, cifar10: LookupEvaluator) -> None:
    first = run(name, cifar10)
    assert first.history == run(name, cifar10).history
    assert first.trace_sha256 != run(name, cifar10, seed=1).trace_sha256
    assert first.evaluations == 90


ACTING: list[tuple[str, dict[str, Any]]] = [
    ("genetic_cnn", {"population_size": 10}),
    ("genetic_cnn", {"generations": 2}),
    ("genetic_cnn", {"p_mutation": 0.5}),
    ("genetic_cnn", {"q_mutation": 0.3}),
    ("genetic_cnn", {"p_crossover": 0.8}),
    ("genetic_cnn", {"q_crossover": 0.8, "p_crossover": 0.9}),
    ("genetic_cnn", {"initial": "zeros"}),
    ("genetic_cnn", {"initial": "given", "given": ["333333"]}),
    ("genetic_cnn", {"initial": "zeros", "flips": 2}),
    ("genetic_nas", {"generation_size": 11}),
    ("genetic_nas", {"population_size": 5}),
    ("genetic_nas", {"generations_per_epoch": 1, "epochs": 2}),
    ("genetic_nas", {"p_mutation": 0.3}),
    ("genetic_nas", {"p_crossover": 0.2}),
    ("genetic_nas", {"q_crossover": 0.1}),
    ("genetic_nas", {"mutation": "step", "p_mutation": 0.3}),
    ("regularized_evolution", {"population_size": 20}),
    ("regularized_evolution", {"sample_size": 2}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("genetic_nas", {"warmup": 5}),
    ("genetic_nas", {"warmup_sampling": "fair"}),
    ("genetic_nas", {"final_pick": "fitness"}),
    ("genetic_nas", {"variant": "as_published_code"}),
    ("genetic_nas", {"random_paths": 5}),
    ("genetic_nas", {"duplicates": "mutated"}),
    ("genetic_nas", {"retrainings": 8}),
    ("genetic_cnn", {"trainings": 1}),
    ("genetic_cnn", {"distinct": True}),
    ("genetic_cnn", {"retrainings": 8}),
    ("regularized_evolution", {"replacement": False}),
]


@pytest.mark.parametrize(("name", "changes"), ACTING)
def test_hyperparameters_act(name: str, changes: dict[str, Any], cifar10: LookupEvaluator) -> None:
    assert run(name, cifar10, **changes).trace_sha256 != run(name, cifar10).trace_sha256


@pytest.mark.parametrize(("name", "changes"), REFUSED)
def test_what_would_be_ignored_is_refused(name: str, changes: dict[str, Any]) -> None:
    (changed,) = changes
    with pytest.raises(Unsupported, match=f"{name}.{changed}=.*has no meaning"):
        NSGA2(algorithms.get(name).configure("paper", changes), convolutions)


@pytest.mark.parametrize("name", BASES)
def test_every_hyperparameter_acts_or_is_refused(name: str) -> None:
    known = {key for of, changes in [*ACTING, *REFUSED] if of == name for key in changes}
    assert known == {field.name for field in dataclasses.fields(algorithms.get(name))}


def test_the_number_of_generations_ends_the_search(cifar10: LookupEvaluator) -> None:
    assert run("genetic_cnn", cifar10, generations=2).evaluations == 3 * 20
    assert run("genetic_nas", cifar10, epochs=1).evaluations == 3 * 20


def test_survivors_are_the_best_of_parents_and_children(cifar10: LookupEvaluator) -> None:
    """Replayed by hand: each child is a mutant of the best of those that survive."""
    history = run("regularized_evolution", cifar10, population_size=4, sample_size=4).history
    space = cifar10.space
    seen: dict[Any, list[float]] = {}
    population: list[Any] = []
    for i, answer in enumerate(history):
        if i >= 4:  # the tournament takes all: the parent is the first of the order
            distance = sum(a != b for a, b in zip(answer.genotype, population[0], strict=True))
            assert distance == 1
        seen.setdefault(answer.genotype, []).append(answer.valid_accuracy)
        if answer.genotype not in population:
            population.append(space.validate(answer.genotype))
        if i >= 3:
            points = [(-float(np.mean(seen[g])), *convolutions(g)) for g in population]
            population = [population[j] for j in ranked(np.array(points))][:4]


@pytest.mark.parametrize("name", ["eigen", "eg_nas", "random_search", "local_search"])
def test_others_say_which_can(name: str) -> None:
    with pytest.raises(Unsupported, match="genetic_cnn, genetic_nas, regularized_evolution"):
        NSGA2(algorithms.get(name)(), convolutions)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(Unsupported, match=r"nasbench-evo\[multi\]"):
        NSGA2(algorithms.get("genetic_cnn")(), convolutions)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preset", "cost"),
    [
        ("genetic_cnn", "nb201", "latency"),
        ("genetic_nas", "nb201", "latency"),
        ("regularized_evolution", "paper", "latency"),
        ("genetic_nas", "nb201", "params"),
        ("regularized_evolution", "paper", "params"),
    ],
)
def test_fronts_dominate_more_than_those_of_random_search(
    name: str, preset: str, cost: str, table: Table, cifar10: LookupEvaluator
) -> None:
    """Mean hypervolume of the true means of what 30 runs of 300 evaluations visited."""
    from nasbench_evo.replays import pareto

    accuracy, costs = table.mean_accuracy[0], pareto.costs(table, "cifar10", cost)

    def areas(algorithm: algorithms.Algorithm) -> np.ndarray:
        found = []
        for seed in range(30):
            run = search(algorithm, cifar10, seed=seed, budget=Budget(300))
            cells = [table.space.index(answer.genotype) for answer in run.history]
            found.append(
                pareto.hypervolume(accuracy[cells], costs[cells], accuracy.min(), costs.max())
            )
        return np.array(found)

    function = pareto.cost_function(table, "cifar10", [cost])
    ours = areas(NSGA2(algorithms.get(name).configure(preset), function))
    uniform = areas(algorithms.get("random_search")())
    error = np.hypot(ours.std(ddof=1), uniform.std(ddof=1)) / np.sqrt(30)
    assert ours.mean() - uniform.mean() > 2 * error


def test_a_base_that_cannot_vary_a_space_says_so() -> None:
    class Bare:
        name = "bare"

    with pytest.raises(InputError, match="Integer"):
        NSGA2(algorithms.get("genetic_cnn")(), convolutions).check_space(Bare())
